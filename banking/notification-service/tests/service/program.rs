//! The program around the service.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_notification-service");
    let mut command = Command::new(program);
    // Nothing but the arguments says where servers are.
    command.env_clear().args(arguments);
    command.output().unwrap()
}

#[test]
fn bad_settings_are_refused_with_the_reason() {
    for (arguments, reason) in [
        (&[][..], "--amqp-url (RABBITMQ_URL)"),
        (
            &["--amqp-url", "amqp://localhost"][..],
            "--redis-url (REDIS_URL)",
        ),
        (&["--ws-addr", "nowhere"][..], "--ws-addr"),
        (
            &["--database-url", "mysql://localhost"][..],
            "--database-url",
        ),
    ] {
        let refused = run(arguments);
        assert!(!refused.status.success(), "{arguments:?}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
}

#[test]
fn its_help_names_every_setting() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    let help = String::from_utf8_lossy(&help.stdout);
    for setting in [
        "WS_ADDR",
        "127.0.0.1:8081",
        "RABBITMQ_URL",
        "REDIS_URL",
        "DATABASE_URL",
        "KEYS_DIR",
        "PROBE_ADDR",
    ] {
        assert!(help.contains(setting), "{setting}");
    }
}
