//! The program itself: what it refuses to start with, and the keys it writes.

use super::live_bank;
use crate::program;
use replybus_testkit::servers::Workplace;
use std::{fs, os::unix::fs::PermissionsExt as _};
use town::{
    Bank,
    command::{self, assert_help_names, assert_refused},
};

/// Runs the program to its end; returns whether it succeeded, and what it wrote.
fn run(arguments: &[&str]) -> (bool, String) {
    run_in(&[], arguments)
}

/// The same, in this environment.
fn run_in(environment: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
    command::run_in(environment, program().path, arguments)
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_reason() {
    for (arguments, reason) in [
        (&["serve", "account-service"][..], "--amqp-url"),
        (&["serve", "post-office"], "post-office"),
        (&["--amqp-url", "http://host"], "amqp"),
        (&["--redis-url", "host"], "--redis-url"),
        (&["--database-url", "mysql://host/bank"], "postgres"),
        (&["--http-addr", "localhost"], "--http-addr"),
        (&["--admin-secret", "short"], "--admin-secret"),
        (&["--session-ttl-seconds", "0"], "--session-ttl-seconds"),
        (
            &["--keys-dir", "/nowhere", "--http-addr", "127.0.0.1:0"],
            "/nowhere",
        ),
    ] {
        assert_refused(program().path, arguments, reason);
    }
}

#[test]
fn a_bank_that_shares_a_part_with_others_is_refused_and_told_what_is_missing() {
    let workplace = Workplace::new("apart").unwrap();
    let lasting = format!("sqlite:{}", workplace.path("data").display());
    let amqp = [
        "--amqp-url",
        "amqp://127.0.0.1:1",
        "--database-url",
        &lasting,
    ];
    let redis = [
        "--redis-url",
        "redis://127.0.0.1:1",
        "--database-url",
        &lasting,
    ];
    for (arguments, missing) in [
        (&amqp[..], ["--redis-url", "--keys-dir", "--namespace"]),
        (&redis[..], ["--amqp-url", "--keys-dir", "BUS_NAMESPACE"]),
    ] {
        for missing in missing {
            assert_refused(program().path, arguments, missing);
        }
    }
}

#[test]
fn what_a_subcommand_does_not_need_is_not_looked_at() {
    let workplace = Workplace::new("environment").unwrap();
    let directory = workplace.path("keys");
    let bad = [("ADMIN_SECRET", "short"), ("RABBITMQ_URL", "nowhere")];
    let (success, text) = run_in(&bad, &["keys", directory.to_str().unwrap()]);
    assert!(success, "{text}");
    // It gets as far as to look for the bank.
    let (success, text) = run_in(&bad, &["demo", "--url", "http://127.0.0.1:1"]);
    assert!(!success && text.contains("127.0.0.1:1"), "{text}");
    for needs in [&["serve"][..], &["demo"], &[]] {
        let (success, text) = run_in(&bad, needs);
        assert!(!success && text.contains("--a"), "{needs:?}: {text}");
    }
}

#[test]
fn help_names_every_setting_and_its_variable() {
    let settings = [
        "--amqp-url",
        "RABBITMQ_URL",
        "--redis-url",
        "REDIS_URL",
        "--database-url",
        "DATABASE_URL",
        "--http-addr",
        "HTTP_ADDR",
        "--admin-secret",
        "ADMIN_SECRET",
        "--session-ttl-seconds",
        "SESSION_TTL_SECONDS",
        "--keys-dir",
        "--namespace",
    ];
    assert_help_names(program().path, &settings);
}

#[test]
fn keys_are_private_and_never_written_over() {
    let workplace = Workplace::new("keys").unwrap();
    let directory = workplace.path("keys");
    let (success, text) = run(&["keys", directory.to_str().unwrap()]);
    assert!(success, "{text}");
    let files: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(files.len(), 10);
    let read = || {
        files
            .iter()
            .map(|file| fs::read(file).unwrap())
            .collect::<Vec<_>>()
    };
    let before = read();
    for file in &files {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        let name = file.file_name().unwrap().to_string_lossy();
        let is_public = name.contains("verifying") || name.contains("sealing");
        assert_eq!(mode & 0o077 != 0, is_public, "{}", file.display());
    }
    let (success, _) = run(&["keys", directory.to_str().unwrap()]);
    assert!(!success);
    assert_eq!(read(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_ends_with_as_much_money_as_it_began() {
    let arguments = ["demo", "--users", "5", "--transfers", "50", "--seed", "7"];
    let (success, text) = tokio::task::spawn_blocking(move || run(&arguments))
        .await
        .unwrap();
    assert!(success && text.contains("the same"), "{text}");
    // On a bank of many processes, too.
    let Some(bank) = live_bank().await else {
        return;
    };
    bank.lent_to(async |bank: &Bank| {
        let url = bank.client().url().to_string();
        let demo = tokio::task::spawn_blocking(move || {
            run(&["demo", "--url", &url, "--users", "5", "--transfers", "50"])
        });
        let (success, text) = demo.await.unwrap();
        assert!(success && text.contains("the same"), "{text}");
    })
    .await
    .unwrap();
}
