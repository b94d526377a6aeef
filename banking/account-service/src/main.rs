//! The account service in a process of its own.

use chassis::settings::PlatformSettings;
use clap::{CommandFactory, Parser, error::ErrorKind};
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
    if let Err(reason) = settings.check_standalone(true) {
        let refused = Program::command().error(ErrorKind::MissingRequiredArgument, reason);
        refused.exit();
    }
    chassis::run(account_service::NAME, settings, account_service::start).await
}
