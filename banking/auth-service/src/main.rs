//! The auth service as a program of its own.

use auth_service::SessionSettings;
use chassis::settings::PlatformSettings;
use clap::Parser;
use contracts::program::AUTH_SERVICE;
use std::process::ExitCode;

/// Users and their sessions.
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,
    #[command(flatten)]
    sessions: SessionSettings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = Program::parse();
    let ttl = program.sessions.ttl();
    chassis::run_standalone(AUTH_SERVICE, program.platform, true, async |platform| {
        auth_service::start(platform, ttl).await
    })
    .await
}
