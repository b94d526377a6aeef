//! The gateway as a program of its own.

use api_producer::HttpSettings;
use chassis::settings::PlatformSettings;
use clap::Parser;
use contracts::program::API_PRODUCER;
use live_feed::Feed;
use std::process::ExitCode;

/// The bank's HTTP gateway: passes every request on over a queue.
#[derive(Debug, Parser)]
#[command(version)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,

    #[command(flatten)]
    http: HttpSettings,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Program { platform, http } = Program::parse();
    chassis::run_standalone(API_PRODUCER, platform, false, async |platform| {
        let feed = Feed::open(platform)?;
        let (running, address) = api_producer::start(platform, &http, &feed).await?;
        tracing::info!("listening on http://{address}");
        Ok(running)
    })
    .await
}
