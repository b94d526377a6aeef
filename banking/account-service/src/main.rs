//! The account service in a process of its own.

use chassis::settings::PlatformSettings;
use clap::Parser;
use std::process::ExitCode;

/// Accounts and the double-entry ledger of the bank.
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Program::parse().platform;
    chassis::run_standalone(
        account_service::NAME,
        settings,
        true,
        account_service::start,
    )
    .await
}
