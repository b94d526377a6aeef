//! Measures what many callers cost; see the README beside it.
#![allow(clippy::print_stdout, reason = "the figures go there")]

use anyhow::{Result, ensure};
use clap::Parser;
use replybus_benches::{
    callers, entry,
    path::Site,
    worker::{self, StartArguments},
};
use replybus_testkit::servers::{Persistence, PrivateRabbit, PrivateRedis};
use std::{process::ExitCode, time::Duration};

/// Measures what callers take that are connected, and whether calls get slower for them, on servers
/// that are started for it
#[derive(Debug, Parser)]
struct Arguments {
    /// Numbers of callers, each a bus with connections of its own
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1_000, 2_800], value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: Vec<u32>,
    /// Calls under way at any time, each by the next caller
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4_096))]
    at_once: u32,
    /// Seconds of a turn, and of the pause before it
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,

    #[command(flatten)]
    start: StartArguments,
}

fn main() -> ExitCode {
    entry::run(run)
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<()> {
    let site = arguments.start.site()?;
    if let Some(path) = arguments.start.served()? {
        ensure!(path == callers::WORKER, "there is no such worker");
        return worker::serve_as(callers::WORKER, |ready| callers::serve(&site, ready)).await;
    }
    let mut numbers = arguments.callers.clone();
    numbers.sort_unstable();
    numbers.dedup();
    let wanted = callers::Wanted {
        callers: numbers,
        at_once: arguments.at_once,
        seconds: Duration::from_secs(arguments.seconds),
    };
    // Shared ones may allow fewer connections, and their memory is that of others as well.
    let rabbit = PrivateRabbit::start().await?;
    let redis = PrivateRedis::start(Persistence::None).await?;
    let site = Site {
        amqp_url: rabbit.url(),
        redis_url: redis.url(),
        ..site
    };
    callers::measure(&site, &wanted, |row| {
        println!("{}", serde_json::to_string(row)?);
        Ok(())
    })
    .await
}
