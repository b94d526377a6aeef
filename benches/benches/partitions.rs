//! Measures calls of contracts with partitions; see the README beside it.
#![allow(clippy::print_stdout, reason = "the figures go there")]

use anyhow::{Result, ensure};
use clap::Parser;
use replybus_benches::{
    entry, partitions,
    worker::{self, StartArguments},
};
use std::{process::ExitCode, time::Duration};

/// Measures how many calls a second are answered by 1, 4 and 16 partitions
#[derive(Debug, Parser)]
struct Arguments {
    /// Callers, each of which calls again when it has its answer, of a key of its own
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=4096))]
    callers: u32,
    /// Processes that serve
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    workers: u32,
    /// Rounds, in each of which every number of partitions has its turn
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of a turn
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=600))]
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
        ensure!(path == partitions::WORKER, "there is no such worker");
        return worker::serve_as(partitions::WORKER, |ready| partitions::serve(&site, ready)).await;
    }
    let wanted = partitions::Wanted {
        callers: arguments.callers,
        workers: arguments.workers,
        rounds: arguments.rounds,
        seconds: Duration::from_secs(arguments.seconds),
    };
    for row in partitions::measure(&site, wanted).await? {
        println!("{}", serde_json::to_string(&row)?);
    }
    Ok(())
}
