//! How fast a method answers.

mod latencies;

use crate::{
    bus::with_bus,
    call::{Answer, Wanted, arguments, client},
    failure::Failure,
    output::{Output, duration, parse_duration},
    settings::ServerArgs,
};
use clap::Args;
use latencies::Latencies;
use replybus::{CallError, client::ServiceClient, contract::MethodKind};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// Call a method again and again, and say how fast it answers
///
/// Calls are made for real, as fast as they are answered, by so many callers at once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    replybus bench account.requests balance '{\"account\":\"ada\"}' --query --callers 64")]
pub(crate) struct BenchArgs {
    /// The queue of the service
    queue: String,

    /// The method
    method: String,

    /// Its arguments by their names, as a JSON object; - reads them from stdin
    #[arg(default_value = "{}", value_name = "JSON")]
    arguments: String,

    /// The method is a query
    #[arg(long)]
    query: bool,

    /// Callers at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    callers: u16,

    /// How long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
}

/// What came of the calls.
#[derive(Default)]
struct Tally {
    latencies: Latencies,
    /// The service's own errors: they are answers.
    errors: u64,
    /// By their kind.
    failures: BTreeMap<&'static str, u64>,
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: BenchArgs,
    output: &Output,
) -> Result<(), Failure> {
    let body = arguments(&args.arguments)?;
    let wanted = Wanted {
        method: args.method.clone(),
        kind: if args.query {
            MethodKind::Query
        } else {
            MethodKind::Command
        },
        is_job: false,
    };
    with_bus(servers, async |bus| {
        let (client, position) = client(bus, &args.queue, &wanted)?;
        let begun = Instant::now();
        let until = begun + args.duration;
        let mut callers = JoinSet::new();
        for _ in 0..args.callers {
            callers.spawn(call_until(client.clone(), position, body.clone(), until));
        }
        let mut all = Tally::default();
        while let Some(tally) = callers.join_next().await {
            let tally = tally.map_err(|error| Failure::because("a caller failed", error))?;
            all.add(&tally);
        }
        report(&all, begun.elapsed(), output)
    })
    .await
}

async fn call_until(client: ServiceClient, position: usize, body: Value, until: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < until {
        let asked = Instant::now();
        let call = client.call::<_, Answer>(position, &body);
        // One that is under way at the end is cancelled, and not counted.
        let Ok(answer) = timeout_at(until, async { call.await }).await else {
            break;
        };
        match answer {
            Ok(_) => tally.latencies.add(asked.elapsed()),
            Err(CallError::Handler(_)) => {
                tally.latencies.add(asked.elapsed());
                tally.errors += 1;
            }
            Err(CallError::Bus(failure)) => {
                *tally.failures.entry(failure.kind().as_str()).or_default() += 1;
                // What fails at once is not asked in a hot loop.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    tally
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.latencies.merge(&other.latencies);
        self.errors += other.errors;
        for (kind, count) in &other.failures {
            *self.failures.entry(kind).or_default() += count;
        }
    }
}

fn report(all: &Tally, took: Duration, output: &Output) -> Result<(), Failure> {
    let answered = all.latencies.count();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = answered as f64 / took.as_secs_f64();
    let [p50, p90, p99] = [500, 900, 990].map(|permille| all.latencies.at(permille));
    let max = all.latencies.max();
    if output.json {
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        output.json(&json!({
            "answered": answered,
            "errors": all.errors,
            "failures": all.failures,
            "seconds": took.as_secs_f64(),
            "calls_per_second": rate,
            "p50_ms": millis(p50),
            "p90_ms": millis(p90),
            "p99_ms": millis(p99),
            "max_ms": millis(max),
        }))?;
    } else {
        let exact = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
        output.line(&format!(
            "{answered} answers in {}: {rate:.0} a second",
            duration(took)
        ))?;
        let (p50, p90, p99, max) = (exact(p50), exact(p90), exact(p99), exact(max));
        output.line(&format!("p50 {p50}, p90 {p90}, p99 {p99}, max {max}"))?;
        if all.errors > 0 {
            output.line(&format!(
                "{} of them were errors of the service's own",
                all.errors
            ))?;
        }
        for (kind, count) in &all.failures {
            output.line(&format!("{count} failed: {kind}"))?;
        }
    }
    match answered {
        0 => Err(Failure::Said("no call was answered".to_owned())),
        _ => Ok(()),
    }
}
