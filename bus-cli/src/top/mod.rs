//! All services at a glance, again and again.

mod sample;
mod screen;

use crate::{
    bus::with_bus,
    failure::Failure,
    output::{Output, Table, measured, millis, parse_duration},
    settings::ServerArgs,
};
use clap::{Args, ValueEnum};
use sample::{Row, Sample};
use serde_json::json;
use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

/// Show all services at work
///
/// Calls a second, the services' own errors and other failures among them, by the counts of the
/// instances; how long the calls since the last look took there, and what they had waited before, up
/// to an eighth too large; and what waits by the broker. A dash is not known. On a terminal it fills
/// the screen: q ends it, and n c e f p i w d sort. Elsewhere a table is printed once.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Print a table once
    #[arg(long)]
    once: bool,

    /// Between two looks
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    every: Duration,

    /// What comes first
    #[arg(long, value_enum, default_value_t = Sort::Calls)]
    sort: Sort,
}

/// What rows are sorted by, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The queue's name
    Name,
    /// Calls a second
    Calls,
    /// Errors of the service's own, a second
    Errors,
    /// Failures a second
    Failures,
    /// How long calls took
    P99,
    /// What is worked on
    InFlight,
    /// What waits in the queue
    Waiting,
    /// Dead letters
    Dead,
}

impl Sort {
    const KEYS: [(char, Self); 8] = [
        ('n', Self::Name),
        ('c', Self::Calls),
        ('e', Self::Errors),
        ('f', Self::Failures),
        ('p', Self::P99),
        ('i', Self::InFlight),
        ('w', Self::Waiting),
        ('d', Self::Dead),
    ];

    fn sort(self, rows: &mut [Row]) {
        rows.sort_by(|a, b| {
            let largest = match self {
                Self::Name => std::cmp::Ordering::Equal,
                Self::Calls => b.calls.total_cmp(&a.calls),
                Self::Errors => b.errors.total_cmp(&a.errors),
                Self::P99 => b.p99.cmp(&a.p99),
                Self::Failures => b.failures.total_cmp(&a.failures),
                Self::InFlight => b.in_flight.cmp(&a.in_flight),
                Self::Waiting => b.waiting.cmp(&a.waiting),
                Self::Dead => b.dead.cmp(&a.dead),
            };
            largest.then_with(|| a.queue.cmp(&b.queue))
        });
    }
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: TopArgs,
    output: &Output,
) -> Result<(), Failure> {
    let every = args.every.max(Duration::from_millis(200));
    with_bus(servers, async |bus| {
        let mut last = Sample::take(bus).await?;
        if args.once || output.json || !io::stdout().is_terminal() {
            // Rates need two looks.
            tokio::time::sleep(every.min(Duration::from_secs(1))).await;
            let mut rows = Sample::take(bus).await?.since(&last);
            args.sort.sort(&mut rows);
            return print(&rows, output);
        }
        let mut screen = screen::Screen::open()?;
        let mut sort = args.sort;
        let mut rows = Vec::new();
        loop {
            sort.sort(&mut rows);
            screen.draw(&table(&rows).lines(), sort)?;
            tokio::select! {
                key = screen.key() => match key {
                    Some('q') | None => return Ok(()),
                    Some(key) => {
                        let of_key = Sort::KEYS.into_iter().find(|(known, _)| *known == key);
                        sort = of_key.map_or(sort, |(_, sort)| sort);
                    }
                },
                () = tokio::time::sleep(every) => {
                    let sample = Sample::take(bus).await?;
                    rows = sample.since(&last);
                    last = sample;
                }
            }
        }
    })
    .await
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "QUEUE",
        "INSTANCES",
        "CALLS/S",
        "ERRORS/S",
        "FAILED/S",
        "P50",
        "P99",
        "WAITED P99",
        "IN FLIGHT",
        "WAITING",
        "CONSUMERS",
        "DEAD",
    ]);
    for row in rows {
        table.row([
            &row.queue,
            &row.instances,
            &format!("{:.1}", row.calls),
            &format!("{:.1}", row.errors),
            &format!("{:.1}", row.failures),
            &measured(row.p50),
            &measured(row.p99),
            &measured(row.waited_p99),
            &row.in_flight,
            &row.waiting,
            &row.consumers,
            &row.dead,
        ]);
    }
    table
}

fn print(rows: &[Row], output: &Output) -> Result<(), Failure> {
    if !output.json {
        return table(rows).print(output);
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "queue": row.queue,
                "instances": row.instances,
                "calls_per_second": row.calls,
                "errors_per_second": row.errors,
                "failures_per_second": row.failures,
                "p50_ms": row.p50.map(millis),
                "p99_ms": row.p99.map(millis),
                "waited_p99_ms": row.waited_p99.map(millis),
                "in_flight": row.in_flight,
                "waiting": row.waiting,
                "consumers": row.consumers,
                "dead": row.dead,
            })
        })
        .collect();
    output.json(&rows)
}
