//! Measures whole calls from one process to another; see the README beside it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures go to standard output, all else to standard error"
)]

use anyhow::{Context, Result};
use replybus_benches::{
    arguments::{Arguments, Role},
    entry, observed, page,
    path::Site,
    paths,
    report::Table,
    rounds::{self, Rounds},
    servers, worker,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    entry::run(run)
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<()> {
    let mut site = Site::of_environment(arguments.run.clone(), arguments.handler())?;
    if let Some(told) = arguments.observed {
        let given = arguments.collector.clone();
        let collector = given.map_or_else(observed::collect, Ok)?;
        site.observed = Some((collector, told));
    }
    let observed = site.observed.as_ref();
    let exporting = observed.map(|(collector, told)| observed::export(collector, *told));
    let _exporting = exporting.transpose()?;
    match arguments.role {
        Role::Worker => {
            let path = arguments.paths.first().context("a worker needs a path")?;
            worker::serve(paths::named(path)?.as_ref(), &site).await
        }
        Role::Measure => measure(arguments, site).await,
    }
}

async fn measure(arguments: &Arguments, mut site: Site) -> Result<()> {
    let load = page::machine::load();
    let stages = arguments.stages()?;
    let mut paths = paths::chosen(&arguments.paths)?;
    let mut nats = None;
    if paths.iter().any(|path| path.name() == "nats") {
        match servers::find_nats(&mut site) {
            Ok(started) => nats = started,
            Err(error) => eprintln!("{error:#}"),
        }
    }
    for name in paths::leave_out(&mut paths, &site) {
        eprintln!("{name} is left out: its server is not there");
    }
    let rounds = Rounds {
        number: arguments.rounds,
        seconds: arguments.seconds,
    };
    let mut rows = Vec::new();
    for (number, stage) in (1..).zip(&stages) {
        let of = stages.len();
        let progress =
            |round| eprintln!("stage {number} of {of}: round {round} of {}", rounds.number);
        rows.extend(rounds::run(&paths, &site, stage, rounds, progress).await?);
    }
    drop(nats);
    eprintln!("{}", Table(&rows));
    for row in &rows {
        println!("{}", serde_json::to_string(row)?);
    }
    if arguments.report {
        let length = format!("{} rounds of {:?}", rounds.number, rounds.seconds);
        page::write(&page::calls::section(&rows), &rows, &load, &length)?;
    }
    Ok(())
}
