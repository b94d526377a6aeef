//! The account service as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Accounts and the double-entry ledger of the bank";
    chassis::run_standalone(account_service::NAME, about, true, async |platform, ()| {
        account_service::start(platform).await
    })
}
