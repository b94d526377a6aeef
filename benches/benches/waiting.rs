//! Measures what a call costs among many that wait, many queues and many instances; see the README
//! beside it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the figures go to standard output, all else to standard error"
)]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use replybus_benches::{
    entry, page,
    waiting::{self, Of, Row, crowd, spread},
};
use std::{
    env,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

/// Measures the memory and time of calls among many that wait, many queues and many instances
#[derive(Debug, Parser)]
struct Arguments {
    /// Calls that wait at once, one figure or several
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000,1000000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    calls: Vec<u32>,
    /// Rounds, of all but the calls that wait at once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Writes what was measured into docs/performance.md, as tables
    #[arg(long)]
    report: bool,

    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
    /// Measures one number of calls that wait, in this process
    #[arg(long, hide = true)]
    alone: Option<u32>,
}

/// Seconds of a turn.
const SECONDS: Duration = Duration::from_millis(200);
/// What there are many of, and how many.
const NUMBERS: [(Of, u32); 11] = [
    (Of::Waiting, 0),
    (Of::Waiting, 1_000),
    (Of::Waiting, 10_000),
    (Of::Waiting, 32_000),
    (Of::Queues, 1),
    (Of::Queues, 10),
    (Of::Queues, 100),
    (Of::Queues, 1_000),
    (Of::Instances, 1),
    (Of::Instances, 10),
    (Of::Instances, 100),
];

fn main() -> ExitCode {
    entry::run(measure)
}

// One thread, so that time per call is work per call.
#[tokio::main(flavor = "current_thread")]
async fn measure(arguments: &Arguments) -> Result<()> {
    if let Some(calls) = arguments.alone {
        println!("{}", serde_json::to_string(&crowd::run(calls).await?)?);
        return Ok(());
    }
    let load = page::machine::load();
    eprintln!("{}", waiting::heading());
    let mut rows: Vec<Row> = Vec::new();
    for calls in &arguments.calls {
        let mut row = alone(*calls)?;
        let first = rows.first().unwrap_or(&row).us_per_call;
        row.ratio = (row.us_per_call / first * 100.0).round() / 100.0;
        eprintln!("{row}");
        rows.push(row);
    }
    for row in spread::run(&NUMBERS, arguments.rounds, SECONDS).await? {
        eprintln!("{row}");
        rows.push(row);
    }
    for row in &rows {
        println!("{}", serde_json::to_string(row)?);
    }
    if arguments.report {
        let length = format!("{} rounds of {SECONDS:?}", arguments.rounds);
        page::write(&page::waiting::section(&rows), &rows, &load, &length)?;
    }
    Ok(())
}

/// One number of calls that wait, in a process of its own: memory that was given back is not always
/// given back to the system.
fn alone(calls: u32) -> Result<Row> {
    let program = env::current_exe().context("could not find this program")?;
    let run = Command::new(program)
        .args(["--bench", "--alone", &calls.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("could not start this program again")?;
    ensure!(run.status.success(), "{calls} calls could not wait at once");
    serde_json::from_slice(&run.stdout).context("a row was no row")
}
