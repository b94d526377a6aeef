//! Measures how fast a stream of items travels, both ways; see the README beside it.
#![allow(clippy::print_stdout, reason = "the figures go there")]

use anyhow::{Context, Result};
use clap::Parser;
use replybus_benches::{
    entry,
    handler::Handler,
    path::Site,
    streams::{self, Source},
    worker,
};
use std::{process::ExitCode, time::Duration};
use uuid::Uuid;

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

    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// `worker` in the process that serves `path`
    #[arg(long, hide = true)]
    role: Option<String>,
    #[arg(long, hide = true)]
    path: Option<String>,
    #[arg(long, hide = true, default_value_t = Uuid::new_v4().simple().to_string())]
    run: String,
    #[arg(long, hide = true)]
    handler_us: Option<u64>,
}

fn main() -> ExitCode {
    entry::run(run)
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<()> {
    let site = Site::of_environment(arguments.run.clone(), Handler(Duration::ZERO))?;
    if arguments.role.is_some() {
        let path = arguments.path.as_deref().context("a worker needs a path")?;
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
