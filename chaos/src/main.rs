//! `chaos`: the bank and the shop under load while everything below them fails. The exit code is 0
//! if all that had to be true at the end was.

use chaos::{Settings, run};
use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    run(Settings::parse()).await
}
