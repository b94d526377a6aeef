//! The notification service as a program of its own.

use notification_service::SocketSettings;
use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "The notification service of the bank, with live notifications at /ws";
    chassis::run_standalone(
        notification_service::NAME,
        about,
        true,
        async |platform, own: SocketSettings| {
            notification_service::start_with_sockets(platform, own).await
        },
    )
}
