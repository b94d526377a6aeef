//! What is served, and by whom.

use crate::{
    bus::with_bus,
    failure::Failure,
    output::{Output, Table, ago, clock},
    settings::ServerArgs,
};
use clap::Args;
use replybus::{
    Bus,
    presence::{Instance, ServedQueue},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Show what is served, and by whom
///
/// By their records in Redis, where each instance says what it is. One that was killed is among
/// them for 6 seconds; groups of events are not. A queue whose records can't be read is listed as
/// unknown, and said at the end.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  replybus services\n  replybus services account.requests --json"
)]
pub(crate) struct ServicesArgs {
    /// Show the instances of this queue, and their methods
    queue: Option<String>,
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: ServicesArgs,
    output: &Output,
) -> Result<(), Failure> {
    with_bus(servers, async |bus| match &args.queue {
        None => list(bus, output).await,
        Some(queue) => show(bus, queue, output).await,
    })
    .await
}

async fn list(bus: &Bus, output: &Output) -> Result<(), Failure> {
    let services = bus.services().await;
    let services = services.map_err(|error| Failure::because("services are not known", error))?;
    let unknown = services.iter().filter_map(|served| {
        let why = served.unknown.as_ref()?;
        Some(format!("{}: {why}", served.queue))
    });
    let unknown: Vec<_> = unknown.collect();
    if output.json {
        let all: Vec<Value> = services.iter().map(as_json).collect();
        output.json(&all)?;
    } else if services.is_empty() {
        output.line("nothing is served in this namespace")?;
    } else {
        print(&services, output)?;
    }
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Failure::Said(unknown.join("\n"))),
    }
}

fn print(services: &[ServedQueue], output: &Output) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "QUEUE",
        "SERVICE",
        "VERSION",
        "INSTANCES",
        "IN FLIGHT",
        "UP",
    ]);
    for served in services {
        let of_each = |part: fn(&Instance) -> &str| {
            let parts: BTreeSet<&str> = served.instances.iter().map(part).collect();
            parts.into_iter().collect::<Vec<_>>().join(", ")
        };
        let in_flight: u64 = served
            .instances
            .iter()
            .map(|instance| instance.in_flight)
            .sum();
        let oldest = served
            .instances
            .iter()
            .map(|instance| instance.started_at)
            .min();
        table.row([
            &served.queue,
            &of_each(|instance| &instance.service),
            &of_each(|instance| instance.version.as_deref().unwrap_or("-")),
            &served.instances.len(),
            &in_flight,
            &match (oldest, &served.unknown) {
                (Some(oldest), _) => ago(oldest),
                (None, None) => "lost".to_owned(),
                (None, Some(_)) => "unknown".to_owned(),
            },
        ]);
    }
    table.print(output)
}

async fn show(bus: &Bus, queue: &str, output: &Output) -> Result<(), Failure> {
    let instances = bus.instances(queue).await;
    let instances = instances.map_err(|error| Failure::because(queue, error))?;
    if instances.is_empty() {
        let waiting = bus.inspect(queue).await;
        let waiting = waiting.map_err(|error| Failure::because(queue, error))?;
        return Err(Failure::Said(match waiting {
            Some(state) => format!(
                "{queue}: nobody serves it by the records; {} consumers, {} messages wait",
                state.consumers, state.waiting
            ),
            None => {
                format!("{queue}: there is no such queue; `replybus services` lists those served")
            }
        }));
    }
    if output.json {
        let instances: Vec<Value> = instances.iter().map(instance_json).collect();
        return output.json(&json!({ "queue": queue, "instances": instances }));
    }
    let header = [
        "INSTANCE",
        "VERSION",
        "HOST",
        "PROCESS",
        "IN FLIGHT",
        "STARTED",
        "STATE",
    ];
    let mut table = Table::new(&header);
    for instance in &instances {
        table.row([
            &instance.id,
            &instance.version.as_deref().unwrap_or("-"),
            &instance.host,
            &format!("{}/{}", instance.program, instance.process),
            &instance.in_flight,
            &clock(instance.started_at),
            &state(instance),
        ]);
    }
    table.print(output)?;
    output.line("")?;
    let mut table = Table::new(&["METHOD", "CONTRACT", "INSTANCES"]);
    let methods = instances.iter().flat_map(|instance| &instance.methods);
    let methods: BTreeSet<(&String, &String)> = methods.collect();
    for (name, print) in methods {
        let having = |instance: &&Instance| instance.methods.get(name) == Some(print);
        table.row([name, print, &instances.iter().filter(having).count()]);
    }
    table.print(output)
}

fn state(instance: &Instance) -> &'static str {
    if instance.draining {
        "draining"
    } else {
        "serving"
    }
}

fn as_json(served: &ServedQueue) -> Value {
    let instances: Vec<Value> = served.instances.iter().map(instance_json).collect();
    json!({ "queue": served.queue, "instances": instances, "unknown": served.unknown })
}

fn instance_json(instance: &Instance) -> Value {
    json!({
        "id": instance.id,
        "service": instance.service,
        "version": instance.version,
        "program": instance.program,
        "host": instance.host,
        "process": instance.process,
        "methods": instance.methods,
        "started_at": clock(instance.started_at),
        "in_flight": instance.in_flight,
        "state": state(instance),
    })
}
