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
    page,
};
use std::{env, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let given: Vec<String> = env::args().collect();
    // As a process of the bank, which this program is started as by itself.
    if given.get(1).is_some_and(|word| word == "serve") {
        let service = service::Service::parse_from(given.into_iter().skip(1));
        return service::run(service).await;
    }
    // `cargo bench` says `--bench`; test runners, which only want to see that it starts, don't.
    if !given.iter().any(|given| given == "--bench") || given.iter().any(|given| given == "--test")
    {
        eprintln!("nothing measured: run it with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match measure(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

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
