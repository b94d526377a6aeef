//! The gateway as a program: its help, and settings that it refuses to start with.

use crate::started::bank;
use api_producer::{HttpSettings, start};
use live_feed::Feed;
use town::command::{assert_help_names, assert_refused};

const PROGRAM: &str = env!("CARGO_BIN_EXE_api-producer");

#[test]
fn its_help_names_every_setting() {
    let settings = [
        "--http-addr",
        "HTTP_ADDR",
        "--admin-secret",
        "ADMIN_SECRET",
        "ADMIN_SECRET_FILE",
        "PUBLIC_METRICS",
        "WS_ORIGINS",
        "CONNECTIONS_PER_ADDRESS",
        "REGISTRATIONS_PER_MINUTE",
        "LOGINS_PER_MINUTE",
        "LOOKUPS_PER_MINUTE",
        "TRUSTED_PROXIES",
        "RABBITMQ_URL_FILE",
        "REDIS_URL_FILE",
        "--amqp-url",
        "RABBITMQ_URL",
        "--redis-url",
        "REDIS_URL",
        "--keys-dir",
        "KEYS_DIR",
        "--probe-addr",
        "PROBE_ADDR",
    ];
    assert_help_names(PROGRAM, &settings);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_reason() {
    for (arguments, reason) in [
        (vec!["--http-addr", "here"], "--http-addr"),
        (vec!["--admin-secret", "hunter2"], "at least 16 characters"),
        (vec!["--amqp-url", "http://broker"], "amqp://"),
        (vec!["--admin-secret-file", "/nowhere"], "can't be read"),
        (vec!["--ws-origins", "*"], "an origin is"),
        (vec!["--connections-per-address", "0"], "1..=16384"),
        (vec!["--logins-per-minute", "-1"], "-1"),
        (vec!["--lookups-per-minute", "10000001"], "10000000"),
        (vec!["--trusted-proxies", "kong"], "a network such as"),
        // Alone in its process it would reach nobody.
        (vec![], "--amqp-url (RABBITMQ_URL)"),
    ] {
        assert_refused(PROGRAM, &arguments, reason);
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_at_start() {
    let bank = bank().await;
    let settings = HttpSettings::at(bank.address);
    let feed = Feed::open(&bank.platform).unwrap();
    let refused = start(&bank.platform, &settings, &feed).await.unwrap_err();
    let reason = format!("{refused:#}");
    assert!(reason.contains(&bank.address.to_string()), "{reason}");
}
