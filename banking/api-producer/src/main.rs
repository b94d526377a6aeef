//! The gateway as a program of its own.

use api_producer::HttpSettings;
use live_feed::Feed;
use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "The bank's HTTP gateway: passes every request on over a queue";
    chassis::run_standalone(
        api_producer::NAME,
        about,
        false,
        async |platform, own: HttpSettings| {
            let feed = Feed::open(platform)?;
            let (running, address) = api_producer::start(platform, &own, &feed).await?;
            tracing::info!("listening on http://{address}");
            Ok(running)
        },
    )
}
