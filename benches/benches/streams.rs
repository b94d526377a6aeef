//! Measures how fast a stream of items travels, both ways; see the README beside it.
#![allow(clippy::print_stdout, reason = "the figures go there")]

use anyhow::Result;
use clap::Parser;
use replybus_benches::{
    entry,
    streams::{self, Source},
    worker::{self, StartArguments},
};
use std::process::ExitCode;

/// Measures how many items of a stream arrive in a second, from a worker and at one
#[derive(Debug, Parser)]
struct Arguments {
    /// Items of a stream
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    items: u64,
    /// Bytes of text of an item
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    bytes: u32,
    /// Rounds, in each of which every path has its turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,

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
        let source = Source::named(path)?;
        return worker::serve_as(source.name(), |ready| source.serve(&site, ready)).await;
    }
    let wanted = streams::Wanted {
        items: arguments.items,
        bytes: arguments.bytes,
        rounds: arguments.rounds,
    };
    for row in streams::measure(&site, wanted).await? {
        println!("{}", serde_json::to_string(&row)?);
    }
    Ok(())
}
