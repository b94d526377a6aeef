//! The program, as it is called. `CHAOS_MINUTES` makes it run, on servers of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::process::{Command, Output};

fn chaos(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(arguments).output().unwrap()
}

#[test]
fn what_makes_no_sense_is_refused_and_the_allowed_named() {
    for (arguments, reason) in [
        (["--minutes", "0"], "it is 0.1 to 10080"),
        (["--rate", "0"], "1..=10000"),
        (["--programs", "/nowhere"], "bank is missing"),
    ] {
        let refused = chaos(&arguments);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && said.contains(reason), "{said}");
    }
}

#[test]
fn what_fails_for_a_while_breaks_no_promise() {
    let Ok(minutes) = std::env::var("CHAOS_MINUTES") else {
        println!("skipped: CHAOS_MINUTES is not set");
        return;
    };
    let ran = chaos(&["--minutes", &minutes]);
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{said}");
    assert_eq!(said.lines().last(), Some("violations: 0"));
}
