//! The transfer service as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Transfers between users of the bank: serves transfer.requests, asks \
                 account.requests, emits transaction.completed";
    chassis::run_standalone(transfer_service::NAME, about, true, async |platform, ()| {
        transfer_service::start(platform).await
    })
}
