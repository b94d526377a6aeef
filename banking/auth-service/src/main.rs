//! The auth service as a program of its own.

use auth_service::SessionSettings;
use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Users and their sessions";
    chassis::run_standalone(
        auth_service::NAME,
        about,
        true,
        async |platform, own: SessionSettings| auth_service::start(platform, own.ttl()).await,
    )
}
