//! Measures whole calls through a real RabbitMQ and a real Redis; see the README beside it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures go to standard output, all else to standard error"
)]

use anyhow::{Context, Result};
use clap::Parser;
use replybus_benches::{
    arguments::{Arguments, Role},
    path::Site,
    paths,
    report::Table,
    rounds, worker,
};
use std::{env, process::ExitCode};

fn main() -> ExitCode {
    // `cargo bench` says `--bench`; test runners, which only want to see that it starts, don't.
    let given: Vec<String> = env::args().collect();
    if !given.iter().any(|given| given == "--bench") || given.iter().any(|given| given == "--test")
    {
        eprintln!("nothing measured: run it with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<()> {
    let site = Site::of_environment(arguments.run.clone())?;
    match arguments.role {
        Role::Worker => {
            let path = arguments.paths.first().context("a worker needs a path")?;
            worker::serve(paths::named(path)?.as_ref(), &site).await
        }
        Role::Measure => measure(arguments, &site).await,
    }
}

async fn measure(arguments: &Arguments, site: &Site) -> Result<()> {
    let paths = paths::chosen(&arguments.paths)?;
    let progress = |round| eprintln!("round {round} of {}", arguments.rounds);
    let rows = rounds::run(&paths, site, arguments, progress).await?;
    eprintln!("\n{}", Table(&rows));
    for row in rows {
        println!("{}", serde_json::to_string(&row)?);
    }
    Ok(())
}
