//! The program itself: what it needs, and how it says so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_account-service"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn bad_settings_are_refused_with_the_reason() {
    let only_redis: &[&str] = &["--redis-url", "redis://127.0.0.1"];
    for (arguments, reason) in [
        (&[] as &[&str], "RABBITMQ_URL"),
        (only_redis, "KEYS_DIR"),
        (&["--database-url", "mysql://here"], "postgres://"),
        (&["--database-connections", "0"], "--database-connections"),
        (&["--speed", "high"], "--speed"),
    ] {
        let ended = run(arguments);
        assert!(!ended.status.success(), "{arguments:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

#[test]
fn help_names_every_setting() {
    let ended = run(&["--help"]);
    assert!(ended.status.success());
    let said = String::from_utf8(ended.stdout).unwrap();
    for setting in [
        "RABBITMQ_URL",
        "REDIS_URL",
        "DATABASE_URL",
        "DATABASE_CONNECTIONS",
        "KEYS_DIR",
        "BUS_NAMESPACE",
        "PROBE_ADDR",
        "LOG_FORMAT",
    ] {
        assert!(said.contains(setting), "{setting}");
    }
}
