//! Questions to who serves a queue, and the order to drain.

use crate::{
    bus::with_bus,
    failure::Failure,
    output::{Output, Table, clock, confirm, duration, measured, millis, parse_duration},
    settings::ServerArgs,
};
use clap::Args;
use replybus::{
    Bus,
    control::{
        Control, ControlError, DrainOutcome, DurationHistogram, InstanceDrain, InstanceStats,
        MethodStats,
    },
    presence::InstanceId,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Ask the instances of a queue whether they are there
///
/// Who answers, and how soon.
#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    asked: Asked,
}

/// Ask the instances of a queue what they have done
///
/// What each instance has done since it was started: what it served, the service's own errors among
/// that, and what failed otherwise; how long it took there, and what it had waited in the queue before,
/// up to an eighth too large. A dash is not known. Instances that do not hear are left out.
#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    asked: Asked,
}

#[derive(Debug, Args)]
struct Asked {
    /// The queue
    queue: String,

    /// How long to wait for instances that do not answer
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    within: Duration,
}

/// Have an instance, or all of a queue, take no more and end what they have
///
/// They take no more, and end what they have; then their programs may be stopped. Only instances
/// that were served with allow_drain do so.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    replybus drain 019ac3f2-7c11-7d5e-9a4b-52f0c4a7e9d1 --within 1m")]
pub(crate) struct DrainArgs {
    /// An instance, by its id, or a queue: then all of its instances
    #[arg(value_name = "INSTANCE|QUEUE")]
    target: String,

    /// How long to wait until they are done
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = parse_duration)]
    within: Duration,

    /// Do not ask before all instances of a queue drain
    #[arg(long)]
    yes: bool,
}

/// Why a queue could not be asked.
pub(crate) fn refused(queue: &str) -> impl Fn(ControlError) -> Failure + '_ {
    move |error| Failure::because(queue, error)
}

pub(crate) async fn ping(
    servers: &ServerArgs,
    args: PingArgs,
    output: &Output,
) -> Result<(), Failure> {
    let Asked { queue, within } = args.asked;
    with_bus(servers, async |bus| {
        let pongs = bus.control(&queue).within(within).ping().await;
        let pongs = pongs.map_err(refused(&queue))?;
        if output.json {
            let pongs: Vec<Value> = pongs
                .iter()
                .map(|pong| json!({ "instance": pong.instance, "took_ms": millis(pong.took) }))
                .collect();
            output.json(&pongs)?;
        } else if !pongs.is_empty() {
            let mut table = Table::new(&["INSTANCE", "TOOK"]);
            for pong in &pongs {
                table.row([&pong.instance, &duration(pong.took)]);
            }
            table.print(output)?;
        }
        somebody(&queue, pongs.len())
    })
    .await
}

/// Fails if nobody of a queue answered.
pub(crate) fn somebody(queue: &str, answers: usize) -> Result<(), Failure> {
    match answers {
        0 => Err(Failure::Said(format!(
            "{queue}: nobody answers; `replybus services {queue}` tells who should"
        ))),
        _ => Ok(()),
    }
}

pub(crate) async fn stats(
    servers: &ServerArgs,
    args: StatsArgs,
    output: &Output,
) -> Result<(), Failure> {
    let Asked { queue, within } = args.asked;
    with_bus(servers, async |bus| {
        let stats = bus.control(&queue).within(within).stats().await;
        let stats = stats.map_err(refused(&queue))?;
        if output.json {
            let stats: Vec<Value> = stats
                .iter()
                .map(|of| {
                    json!({
                        "instance": of.instance,
                        "since": clock(of.since),
                        "in_flight": of.in_flight,
                        "methods": methods_json(of),
                    })
                })
                .collect();
            output.json(&stats)?;
            return somebody(&queue, stats.len());
        }
        somebody(&queue, stats.len())?;
        stats_table(&stats).print(output)
    })
    .await
}

/// By instance and method, and of several instances by method for all of them.
fn stats_table(stats: &[InstanceStats]) -> Table {
    let mut table = Table::new(&[
        "INSTANCE",
        "METHOD",
        "SERVED",
        "ERRORS",
        "FAILED",
        "P50",
        "P99",
        "WAITED P99",
        "IN FLIGHT",
        "SINCE",
    ]);
    let mut row = |of: &dyn ToString,
                   method: &str,
                   counts: &MethodStats,
                   in_flight: &dyn ToString,
                   since: &str| {
        table.row([
            of,
            &method,
            &counts.served,
            &counts.errors,
            &counts.failed,
            &measured(counts.took.quantile(0.5)),
            &measured(counts.took.quantile(0.99)),
            &measured(counts.waited.quantile(0.99)),
            in_flight,
            &since,
        ]);
    };
    let mut sums: BTreeMap<&str, MethodStats> = BTreeMap::new();
    for of in stats {
        let since = clock(of.since);
        for (method, counts) in &of.methods {
            let sum = sums.entry(method).or_default();
            sum.served = sum.served.saturating_add(counts.served);
            sum.errors = sum.errors.saturating_add(counts.errors);
            sum.failed = sum.failed.saturating_add(counts.failed);
            sum.took.merge(&counts.took);
            sum.waited.merge(&counts.waited);
            row(&of.instance, method, counts, &of.in_flight, &since);
        }
        if of.methods.is_empty() {
            let none = MethodStats::default();
            row(&of.instance, "-", &none, &of.in_flight, &since);
        }
    }
    if stats.len() > 1 {
        for (method, sum) in &sums {
            row(&"all", method, sum, &"-", "-");
        }
    }
    table
}

fn methods_json(of: &InstanceStats) -> Value {
    let methods = of.methods.iter().map(|(name, counts)| {
        let ms = |histogram: &DurationHistogram, part| histogram.quantile(part).map(millis);
        let stats = json!({
            "served": counts.served,
            "errors": counts.errors,
            "failed": counts.failed,
            "p50_ms": ms(&counts.took, 0.5),
            "p99_ms": ms(&counts.took, 0.99),
            "waited_p50_ms": ms(&counts.waited, 0.5),
            "waited_p99_ms": ms(&counts.waited, 0.99),
        });
        (name.clone(), stats)
    });
    Value::Object(methods.collect())
}

pub(crate) async fn drain(
    servers: &ServerArgs,
    args: DrainArgs,
    output: &Output,
) -> Result<(), Failure> {
    with_bus(servers, async |bus| {
        let control = target(bus, &args).await?;
        let drained = control.drain(args.within).await;
        let drained = drained.map_err(refused(&args.target))?;
        if output.json {
            output.json(&drained)?;
        } else if !drained.is_empty() {
            let mut table = Table::new(&["INSTANCE", "OUTCOME"]);
            for drain in &drained {
                table.row([&drain.instance, &words(drain)]);
            }
            table.print(output)?;
        }
        somebody(&args.target, drained.len())?;
        let is_drained =
            |drain: &InstanceDrain| matches!(drain.outcome, DrainOutcome::Drained { .. });
        if drained.iter().all(is_drained) {
            Ok(())
        } else {
            Err(Failure::Found)
        }
    })
    .await
}

fn words(drain: &InstanceDrain) -> String {
    match drain.outcome {
        DrainOutcome::Drained { given_back: 0 } => "drained".to_owned(),
        DrainOutcome::Drained { given_back } => {
            format!("drained; {given_back} went back to the queue, their time was up")
        }
        DrainOutcome::Draining => "takes no more, and is not done yet".to_owned(),
        DrainOutcome::Refused => "refused: it was not served with allow_drain".to_owned(),
        _ => "unknown".to_owned(),
    }
}

async fn target(bus: &Bus, args: &DrainArgs) -> Result<Control, Failure> {
    let target = &args.target;
    let Ok(instance) = target.parse::<InstanceId>() else {
        let instances = bus.instances(target).await;
        let instances = instances
            .map_err(|error| Failure::because(target, error))?
            .len();
        if !args.yes && instances > 0 {
            confirm(&format!("drain all {instances} instances of {target}?")).await?;
        }
        return Ok(bus.control(target));
    };
    let services = bus.services().await;
    let services = services.map_err(|error| Failure::because("services are not known", error))?;
    let of = services
        .iter()
        .find(|served| served.instances.iter().any(|known| known.id == instance));
    let of = of.ok_or_else(|| {
        Failure::Said(format!(
            "{instance}: no such instance; `replybus services QUEUE` lists them"
        ))
    })?;
    Ok(bus.control(&of.queue).instance(instance))
}
