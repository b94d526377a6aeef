//! What became of a call, by the flight record.

mod slowest;
mod timeline;

use crate::{
    bus::with_store,
    failure::Failure,
    output::{Output, parse_duration},
    settings::ServerArgs,
};
use clap::Args;
use replybus::{
    CallId,
    flight::Flight,
    limits::{FLIGHT_BATCH_EVERY, FLIGHT_WRITTEN_WITHIN},
};
use serde_json::{Value, json};
use std::{
    str::FromStr,
    time::{Duration, Instant},
};

/// The digits of a trace id.
const TRACE_DIGITS: usize = 32;

/// Show what became of a call: who took it, what it waited for, where its time went
///
/// With the calls that its handler made, in whichever service. It is there if the programs keep a
/// flight record, which is off unless they were told to. Times are those of the machines where things
/// happened, whose clocks differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  replybus explain 01a22446-3505-7000-82aa-2b249b5280fc
  replybus explain 0af7651916cd43dd8448eb211c80319c
  replybus explain --slowest --queue account.requests --within 1m")]
pub(crate) struct ExplainArgs {
    /// The id of the call, or the trace id of all that was called for one request
    #[arg(
        value_name = "CALL_ID",
        required_unless_present = "slowest",
        conflicts_with = "slowest"
    )]
    of: Option<Named>,

    /// List the calls that took longest
    #[arg(long)]
    slowest: bool,

    /// With --slowest: only calls to this queue
    #[arg(long, conflicts_with = "of")]
    queue: Option<String>,

    /// With --slowest: of the last so long
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5m", conflicts_with = "of")]
    within: Duration,

    /// With --slowest: how many, at most
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "of")]
    limit: usize,
}

/// What is to be explained.
#[derive(Debug, Clone, Copy)]
enum Named {
    Call(CallId),
    Trace(u128),
}

impl FromStr for Named {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == TRACE_DIGITS && text.bytes().all(is_digit) {
            let id = u128::from_str_radix(text, 16);
            return id.map(Self::Trace).map_err(|_| "not a trace id");
        }
        let id = text.parse().map(Self::Call);
        id.map_err(|_| {
            "expected a call id, a lower-case UUID of 36 characters with hyphens, or a trace id, 32 \
             lower-case hexadecimal digits"
        })
    }
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: ExplainArgs,
    output: &Output,
) -> Result<(), Failure> {
    with_store(servers, async |bus| {
        let unread = |error| Failure::because("the flight record can't be read", error);
        let Some(of) = args.of else {
            let queue = args.queue.as_deref();
            let found = bus.slowest_flights(queue, args.within, args.limit).await;
            return slowest::print(&found.map_err(unread)?, args.within, output);
        };
        // What happened a moment ago is still to be written.
        let until = Instant::now() + FLIGHT_BATCH_EVERY + FLIGHT_WRITTEN_WITHIN;
        let flights = loop {
            let found = match of {
                Named::Call(call) => bus.flight(call).await.map(Vec::from_iter),
                Named::Trace(trace_id) => bus.flights_of_trace(trace_id).await,
            };
            let found = found.map_err(unread)?;
            if !found.is_empty() || Instant::now() >= until {
                break found;
            }
            tokio::time::sleep(FLIGHT_BATCH_EVERY).await;
        };
        if flights.is_empty() {
            return Err(Failure::Said(unknown(of)));
        }
        if output.json {
            let flights: Vec<Value> = flights.iter().map(as_json).collect();
            return output.json(&flights);
        }
        for (at, flight) in flights.iter().enumerate() {
            if at > 0 {
                output.line("")?;
            }
            timeline::print(flight, output)?;
        }
        Ok(())
    })
    .await
}

/// Why there may be nothing, and what to do.
fn unknown(of: Named) -> String {
    let name = match of {
        Named::Call(call) => call.to_string(),
        Named::Trace(trace_id) => format!("{trace_id:032x}"),
    };
    format!(
        "{name}: nothing is recorded of it: it was too long ago, or the programs keep no flight record, \
         which is off until Bus::builder().flight_record(..) or a setting of theirs switches it on"
    )
}

/// A flight with what is made of it, the calls within it likewise.
fn as_json(flight: &Flight) -> Value {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let times = flight.times();
    let mut value = json!({
        "call": flight.call,
        "service": flight.service,
        "method": flight.method,
        "queue": flight.queue,
        "parent": flight.parent,
        "trace": flight.trace,
        "outcome": flight.outcome(),
        "took_us": flight.took().map(micros),
        "queued_us": times.queued.map(micros),
        "ran_us": times.ran.map(micros),
        "answering_us": times.answering.map(micros),
        "events": flight.events,
    });
    if let Some(object) = value.as_object_mut() {
        let nested = flight.nested.iter().map(as_json).collect();
        object.insert("nested".to_owned(), Value::Array(nested));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_traces_are_told_apart_by_their_spelling() {
        let call = "01a22446-3505-7000-82aa-2b249b5280fc";
        assert!(matches!(call.parse(), Ok(Named::Call(id)) if id.to_string() == call));
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert!(matches!(trace.parse(), Ok(Named::Trace(id)) if format!("{id:032x}") == trace));
        for bad in [
            "",
            "17",
            &call.to_uppercase(),
            &trace[1..],
            "+af7651916cd43dd8448eb211c80319c",
        ] {
            assert!(bad.parse::<Named>().is_err(), "{bad}");
        }
    }
}
