//! The program itself: what it needs, and how it says so.

use town::command::{assert_help_names, assert_refused};

const PROGRAM: &str = env!("CARGO_BIN_EXE_account-service");

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
        assert_refused(PROGRAM, arguments, reason);
    }
}

#[test]
fn help_names_every_setting() {
    let settings = [
        "RABBITMQ_URL",
        "REDIS_URL",
        "DATABASE_URL",
        "DATABASE_CONNECTIONS",
        "KEYS_DIR",
        "BUS_NAMESPACE",
        "PROBE_ADDR",
        "LOG_FORMAT",
    ];
    assert_help_names(PROGRAM, &settings);
}
