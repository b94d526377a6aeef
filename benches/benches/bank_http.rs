//! Measures transfers through the bank's HTTP gateways, on real servers; see the README beside it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures go to standard output, all else to standard error"
)]

use anyhow::Result;
use clap::Parser;
use replybus_benches::{
    bank::{self, Arguments, report, service},
    entry, page,
};
use std::{env, process::ExitCode};

fn main() -> ExitCode {
    // As a process of the bank, which this program is started as by itself.
    if env::args().nth(1).is_some_and(|word| word == "serve") {
        return serve();
    }
    entry::run(measure)
}

#[tokio::main]
async fn serve() -> ExitCode {
    service::run(service::Service::parse_from(env::args().skip(1))).await
}

#[tokio::main]
async fn measure(arguments: &Arguments) -> Result<()> {
    let load = page::machine::load();
    eprintln!("{}", report::heading());
    let rows = bank::run(arguments, |row| eprintln!("{row}")).await?;
    for row in &rows {
        println!("{}", serde_json::to_string(row)?);
    }
    if arguments.report {
        let length = format!("{} s at each number of clients", arguments.seconds);
        page::write(&page::bank::section(&rows), &rows, &load, &length)?;
    }
    Ok(())
}
