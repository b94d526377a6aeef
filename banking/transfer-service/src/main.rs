//! The transfer service as a program of its own.

use chassis::settings::PlatformSettings;
use clap::Parser;
use contracts::program::TRANSFER_SERVICE;
use std::process::ExitCode;

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
    chassis::run_standalone(TRANSFER_SERVICE, settings, true, transfer_service::start).await
}
