//! The transfer service as a program of its own.

use chassis::{report, settings::PlatformSettings};
use clap::Parser;
use std::{
    io::{Write, stderr},
    process::ExitCode,
};

/// Moves money between users of the bank: serves transfer.requests, asks account.requests, emits
/// transaction.completed.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Settings {
    #[command(flatten)]
    platform: PlatformSettings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse().platform;
    if let Err(error) = settings.check_standalone(true) {
        // Before there is a log. There is nobody to tell if this fails as well.
        let _ = writeln!(stderr(), "error: {}", report(&error));
        return ExitCode::FAILURE;
    }
    chassis::run("transfer-service", settings, async |platform| {
        transfer_service::start(platform).await
    })
    .await
}
