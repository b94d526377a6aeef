//! `notification-service`: tells both sides of each transfer.

use anyhow::Context as _;
use chassis::{
    report,
    settings::{LogFormat, PlatformSettings},
    telemetry,
};
use clap::Parser;
use notification_service::{Feed, NAME, serve_live, start};
use std::{net::SocketAddr, process::ExitCode};

/// The notification service of the bank, with live notifications at /ws.
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,

    /// Address of the live notifications, at /ws
    #[arg(
        long,
        env = "WS_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8081"
    )]
    ws_addr: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = Program::parse();
    if let Err(error) = program.platform.check_standalone(true) {
        telemetry::init(LogFormat::Text);
        tracing::error!("{}", report(&error));
        return ExitCode::FAILURE;
    }
    let address = program.ws_addr;
    chassis::run(NAME, program.platform, async |platform| {
        let feed = Feed::open(platform)?;
        let identity = platform.identity.clone();
        let (live, _) = serve_live(identity, &feed, address)
            .await
            .context("live notifications can't be served")?;
        Ok(start(platform, &feed).await?.with(live))
    })
    .await
}
