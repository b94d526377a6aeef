//! `notification-service`: tells both sides of each transfer.

use anyhow::Context as _;
use chassis::settings::PlatformSettings;
use clap::Parser;
use contracts::program::NOTIFICATION_SERVICE;
use live_feed::{Feed, ws};
use notification_service::start;
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
    let address = program.ws_addr;
    chassis::run_standalone(
        NOTIFICATION_SERVICE,
        program.platform,
        true,
        async |platform| {
            let feed = Feed::open(platform)?;
            let identity = platform.identity.clone();
            let (live, _) = ws::serve(identity, &feed, address)
                .await
                .context("live notifications can't be served")?;
            Ok(start(platform, &feed).await?.with(live))
        },
    )
    .await
}
