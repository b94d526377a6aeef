//! What it takes to start, and how the service is.

use crate::world::on_both;
use auth_service::SessionSettings;
use chassis::{Platform, keys::Keys, report, settings::PlatformSettings};
use clap::Parser;
use contracts::ServiceHealth;
use std::{fs, process::Command, time::Duration};
use uuid::Uuid;

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,
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
    let keys = directory.display().to_string();
    let program = Program::parse_from(["test", "--keys-dir", &keys]);
    let platform = Platform::connect("test", program.platform).await.unwrap();
    let started = auth_service::start(&platform, Duration::from_secs(60)).await;
    let reason = report(&started.unwrap_err());
    assert!(reason.contains("session-signing.pem"), "{reason}");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_program_refuses_to_be_alone_without_servers_and_names_what_is_missing() {
    let program = Command::new(env!("CARGO_BIN_EXE_auth-service"))
        .env_clear()
        .output()
        .unwrap();
    assert!(!program.status.success());
    let said = String::from_utf8(program.stderr).unwrap();
    for setting in ["RABBITMQ_URL", "REDIS_URL", "KEYS_DIR"] {
        assert!(said.contains(setting), "{said}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_auth-service"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("SESSION_TTL_SECONDS") && help.contains("DATABASE_URL"));
}
