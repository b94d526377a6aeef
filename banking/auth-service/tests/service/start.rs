//! What it takes to start, and how the service is.

use crate::world::on_both;
use auth_service::SessionSettings;
use chassis::{Platform, keys::Keys, report, settings::PlatformSettings};
use clap::Parser;
use contracts::ServiceHealth;
use std::{fs, time::Duration};
use town::command::{assert_help_names, assert_refused};
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_auth-service");

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    sessions: SessionSettings,
}

#[tokio::test]
async fn says_how_it_is() {
    on_both(async |world| {
        let health = world.auth().health().await.unwrap();
        assert_eq!(health, ServiceHealth::new("auth-service", true, true));
    })
    .await;
}

#[test]
fn a_session_lives_for_a_second_to_31_days_and_a_day_if_nobody_says() {
    let parse = |seconds: &str| {
        let flag = format!("--session-ttl-seconds={seconds}");
        Program::try_parse_from(["test", &flag])
    };
    let default = Program::parse_from(["test"]);
    assert_eq!(default.sessions.ttl(), Duration::from_secs(86_400));
    for allowed in [1, 2_678_400] {
        let program = parse(&allowed.to_string()).unwrap();
        assert_eq!(program.sessions.ttl(), Duration::from_secs(allowed));
    }
    for refused in ["0", "-1", "2678401", "1.5", "", "day"] {
        assert!(parse(refused).is_err(), "{refused}");
    }
}

#[tokio::test]
async fn without_the_private_key_it_does_not_start_and_says_why() {
    let directory = std::env::temp_dir().join(format!("keys-{}", Uuid::new_v4()));
    Keys::write_new(&directory).unwrap();
    fs::remove_file(directory.join("session-signing.pem")).unwrap();
    let settings = PlatformSettings {
        keys_dir: Some(directory.clone()),
        ..PlatformSettings::default()
    };
    let platform = Platform::connect("test", settings).await.unwrap();
    let started = auth_service::start(&platform, Duration::from_secs(60)).await;
    let reason = report(&started.unwrap_err());
    assert!(reason.contains("session-signing.pem"), "{reason}");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_program_refuses_to_be_alone_without_servers_and_names_what_is_missing() {
    for setting in ["RABBITMQ_URL", "REDIS_URL", "KEYS_DIR"] {
        assert_refused(PROGRAM, &[], setting);
    }
    assert_help_names(PROGRAM, &["SESSION_TTL_SECONDS", "DATABASE_URL"]);
}
