//! The auth service as a program of its own.

use auth_service::SessionSettings;
use chassis::settings::PlatformSettings;
use clap::Parser;
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
    let standalone = program.platform.check_standalone(true);
    chassis::run("auth-service", program.platform, async |platform| {
        standalone?;
        auth_service::start(platform, program.sessions.ttl()).await
    })
    .await
}
