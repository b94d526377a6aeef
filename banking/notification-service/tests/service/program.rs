//! The program around the service.

use town::command::{assert_help_names, assert_refused};

const PROGRAM: &str = env!("CARGO_BIN_EXE_notification-service");

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
        assert_refused(PROGRAM, arguments, reason);
    }
}

#[test]
fn its_help_names_every_setting() {
    let settings = [
        "WS_ADDR",
        "127.0.0.1:8081",
        "RABBITMQ_URL",
        "REDIS_URL",
        "DATABASE_URL",
        "KEYS_DIR",
        "PROBE_ADDR",
    ];
    assert_help_names(PROGRAM, &settings);
}
