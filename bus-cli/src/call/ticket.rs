//! What became of a call that was submitted.

use super::{Answer, answered, args::json, say_progress};
use crate::{
    bus::with_bus,
    failure::Failure,
    output::{Output, parse_duration},
    settings::ServerArgs,
};
use clap::{Args, ValueEnum};
use replybus::{CancelOutcome, Ticket, TicketStatus};
use serde_json::json;
use std::time::Duration;

/// Wait for a call that was submitted, look at it, or cancel it
///
/// The ticket is what `replybus call --submit` printed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replybus call report.requests yearly '{\"year\":2026}' --submit > ticket\n  \
    replybus ticket wait - < ticket")]
pub(crate) struct TicketArgs {
    /// What to do with it
    #[arg(value_enum)]
    what: What,

    /// The ticket, as JSON; - reads it from stdin
    ticket: String,

    /// With wait: how long to wait
    #[arg(long, value_parser = parse_duration)]
    timeout: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Wait for the answer and print it
    Wait,
    /// Say whether it waits, runs or is done
    Status,
    /// Say how far it is, until it is done, and print the answer
    Watch,
    /// Cancel it, and say whether it was started
    Cancel,
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: TicketArgs,
    output: &Output,
) -> Result<(), Failure> {
    let ticket: Result<Ticket<Answer>, _> = serde_json::from_value(json(&args.ticket)?);
    let ticket = ticket.map_err(|error| Failure::Usage(format!("no ticket: {error}")))?;
    with_bus(servers, async |bus| match args.what {
        What::Wait => answered(wait(bus, &ticket, args.timeout).await, output),
        What::Watch => {
            let mut updates = ticket.progress(bus);
            let mut waiting = std::pin::pin!(wait(bus, &ticket, args.timeout));
            loop {
                tokio::select! {
                    answer = &mut waiting => return answered(answer, output),
                    Some(progress) = updates.next() => say_progress(progress),
                }
            }
        }
        What::Status => {
            let status = ticket.status(bus).await;
            let status = status.map_err(|error| Failure::because("its status", error))?;
            output.json(&shown_status(&status))
        }
        What::Cancel => {
            let outcome = ticket.cancel(bus).await;
            cancelled(
                outcome.map_err(|error| Failure::because("it was not cancelled", error))?,
                output,
            )
        }
    })
    .await
}

async fn wait(
    bus: &replybus::Bus,
    ticket: &Ticket<Answer>,
    timeout: Option<Duration>,
) -> Result<serde_json::Value, replybus::CallError<serde_json::Value>> {
    match timeout {
        Some(timeout) => ticket.wait_for(bus, timeout).await,
        None => ticket.wait(bus).await,
    }
}

fn shown_status(status: &TicketStatus) -> serde_json::Value {
    match status {
        TicketStatus::Waiting => json!({ "status": "waiting" }),
        TicketStatus::Running {
            attempt,
            is_alive,
            progress,
            ..
        } => json!({
            "status": "running",
            "attempt": attempt,
            "is_alive": is_alive,
            "progress": progress,
        }),
        TicketStatus::Done => json!({ "status": "done" }),
        _ => json!({ "status": "unknown" }),
    }
}

/// Says what came of a cancellation: exit code 0 if it surely is never started.
pub(crate) fn cancelled(outcome: CancelOutcome<Answer>, output: &Output) -> Result<(), Failure> {
    let (word, done) = match outcome {
        CancelOutcome::NeverStarted => ("never_started", true),
        CancelOutcome::Running => ("running", false),
        CancelOutcome::Done(_) => ("done", false),
        CancelOutcome::Told => ("told", true),
        _ => ("unknown", false),
    };
    output.json(&json!({ "cancelled": word }))?;
    if done { Ok(()) } else { Err(Failure::Found) }
}
