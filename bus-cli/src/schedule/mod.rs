//! What waits on the broker until it is due.

use crate::{
    bus::with_bus,
    call::{Answer, cancelled},
    failure::Failure,
    output::{Output, Table, clock, duration},
    settings::ServerArgs,
};
use clap::{Args, Subcommand};
use replybus::{
    Bus, CallId, Ticket,
    delayed::{DelayedKind, DelayedMessage},
};
use serde_json::{Value, json};
use std::time::SystemTime;

/// List what waits until it is due, and cancel it
///
/// Calls and events for later, the next ticks of schedules, and what handlers put off. It is the
/// word of those who delayed them, in Redis: the broker itself can't be asked.
#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List what waits, the nearest first
    List {
        /// The queue, or the routing key of an event
        queue: String,
    },
    /// Cancel a call that waits, and say whether it is sure that it never starts
    Cancel {
        /// The queue
        queue: String,
        /// The id of the call
        id: CallId,
        /// The idempotency key of the call, if it has one: it is noted nowhere
        #[arg(long)]
        key: Option<String>,
    },
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: ScheduleArgs,
    output: &Output,
) -> Result<(), Failure> {
    with_bus(servers, async |bus| match args.what {
        What::List { queue } => list(bus, &queue, output).await,
        What::Cancel { queue, id, key } => {
            let waiting = waiting(bus, &queue).await?;
            let message = waiting
                .iter()
                .find(|message| message.id == id)
                .ok_or_else(|| {
                    let text =
                        "nothing with this id is listed; it may be due, cancelled, or not noted";
                    Failure::Said(format!("{queue}: {id}: {text}"))
                })?;
            let outcome = ticket(message, key.as_deref())?.cancel(bus).await;
            let outcome =
                outcome.map_err(|error| Failure::because("it was not cancelled", error))?;
            cancelled(outcome, output)
        }
    })
    .await
}

fn ticket(message: &DelayedMessage, key: Option<&str>) -> Result<Ticket<Answer>, Failure> {
    message.ticket(key).ok_or_else(|| {
        Failure::Usage(match (message.kind, message.keyed) {
            (DelayedKind::Call, true) => format!("{}: it has a key; --key names it", message.id),
            (DelayedKind::Call, false) => format!("{}: it has no key", message.id),
            (kind, _) => format!(
                "{}: calls can be cancelled, this is {}",
                message.id,
                word(kind)
            ),
        })
    })
}

async fn waiting(bus: &Bus, queue: &str) -> Result<Vec<DelayedMessage>, Failure> {
    let waiting = bus.delayed(queue).await;
    waiting.map_err(|error| Failure::because(queue, error))
}

async fn list(bus: &Bus, queue: &str, output: &Output) -> Result<(), Failure> {
    let waiting = waiting(bus, queue).await?;
    if output.json {
        let all: Vec<Value> = waiting.iter().map(as_json).collect();
        return output.json(&all);
    }
    if waiting.is_empty() {
        return output.line(&format!("nothing is known to wait for {queue}"));
    }
    let mut table = Table::new(&["ID", "KIND", "METHOD", "DUE", "IN", "KEY", "BY"]);
    for message in &waiting {
        let left = message
            .due_at
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        table.row([
            &message.id,
            &word(message.kind),
            &message.name,
            &clock(message.due_at),
            &duration(left),
            &if message.keyed { "yes" } else { "-" },
            &message.program,
        ]);
    }
    table.print(output)
}

fn word(kind: DelayedKind) -> &'static str {
    match kind {
        DelayedKind::Call => "call",
        DelayedKind::Event => "event",
        DelayedKind::Tick => "tick",
        DelayedKind::Retry => "retry",
        _ => "other",
    }
}

fn as_json(message: &DelayedMessage) -> Value {
    json!({
        "id": message.id,
        "kind": word(message.kind),
        "service": message.service,
        "method": message.name,
        "due_at": clock(message.due_at),
        "keyed": message.keyed,
        "by": message.program,
    })
}
