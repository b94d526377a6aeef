//! One call for people: a line for what it came to, one for where its time went, and one for each
//! thing that happened, with the calls within it indented.

use crate::{
    failure::Failure,
    output::{Color, Output, Table, duration, shown},
};
use replybus::flight::{Flight, FlightEvent, FlightStep};
use std::time::SystemTime;

/// How far a call within another is moved to the right.
const INDENT: &str = "  ";

/// The digits of an instance's id that tell it from others: the first are those of a moment.
const INSTANCE_DIGITS: usize = 6;

pub(super) fn print(flight: &Flight, output: &Output) -> Result<(), Failure> {
    let outcome = flight.outcome().unwrap_or("no end is recorded");
    let color = match outcome {
        "ok" => Color::Green,
        "handler" => Color::Yellow,
        _ => Color::Red,
    };
    let of = format!("{} {}", shown(&name(flight)), flight.call);
    let outcome = output.paint(color, &shown(outcome));
    output.line(&format!(
        "{}: {outcome}{}",
        output.paint(Color::Bold, &of),
        took(flight)
    ))?;
    if let Some(parent) = flight.parent {
        output.line(&format!("within the call {parent}"))?;
    }
    if let Some(trace) = &flight.trace {
        output.line(&format!("of the trace {}", shown(trace)))?;
    }
    if let Some(spent) = spent(flight) {
        output.line(&spent)?;
    }
    let mut table = Table::new(&["AT", "BY", "WHAT"]);
    add(&mut table, flight, first(flight), "");
    table.print(output)
}

/// The method and its queue, as far as they are known.
fn name(flight: &Flight) -> String {
    match flight.service.is_empty() {
        true => "a call".to_owned(),
        false => format!("{}.{} on {}", flight.service, flight.method, flight.queue),
    }
}

fn took(flight: &Flight) -> String {
    let took = flight.took();
    took.map_or_else(String::new, |took| format!(" in {}", duration(took)))
}

/// Where its time went.
fn spent(flight: &Flight) -> Option<String> {
    let times = flight.times();
    let parts = [
        ("queued", times.queued),
        ("ran", times.ran),
        ("answering", times.answering),
    ];
    let parts = parts.into_iter();
    let parts = parts.filter_map(|(what, time)| Some(format!("{what} {}", duration(time?))));
    let parts: Vec<_> = parts.collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// When the first thing of all happened.
fn first(flight: &Flight) -> SystemTime {
    let own = flight.events.first().map(|event| event.at);
    let nested = flight.nested.iter().map(first);
    own.into_iter()
        .chain(nested)
        .min()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Adds the lines of a call, each call within it where it was made.
fn add(table: &mut Table, flight: &Flight, begin: SystemTime, indent: &str) {
    let mut nested = flight.nested.iter().peekable();
    for event in &flight.events {
        while let Some(within) = nested.next_if(|within| within.began_at() < event.at) {
            add_nested(table, within, begin, indent);
        }
        table.row([
            &at(event.at, begin),
            &by(event),
            &format!("{indent}{}", what(&event.step)),
        ]);
    }
    for within in nested {
        add_nested(table, within, begin, indent);
    }
}

fn add_nested(table: &mut Table, flight: &Flight, begin: SystemTime, indent: &str) {
    let outcome = flight.outcome().unwrap_or("no end is recorded");
    let title = format!(
        "{} {}: {outcome}{}",
        name(flight),
        flight.call,
        took(flight)
    );
    table.row([
        &at(flight.began_at(), begin),
        &"",
        &format!("{indent}{INDENT}{title}"),
    ]);
    add(table, flight, begin, &format!("{indent}{INDENT}{INDENT}"));
}

/// A moment after the first one; clocks that differ can put it before.
fn at(at: SystemTime, begin: SystemTime) -> String {
    match at.duration_since(begin) {
        Ok(after) if after.is_zero() => "0".to_owned(),
        Ok(after) => format!("+{}", duration(after)),
        Err(before) => format!("-{}", duration(before.duration())),
    }
}

fn by(event: &FlightEvent) -> String {
    let instance = event.instance.to_string();
    let digits = instance.len().saturating_sub(INSTANCE_DIGITS);
    let digits = instance.get(digits..).unwrap_or_default();
    format!("{} {digits} on {}", event.program, event.host)
}

fn what(step: &FlightStep) -> String {
    let of_attempt = |what: &str, attempt: u32| match attempt {
        0 | 1 => what.to_owned(),
        attempt => format!("{what}, attempt {attempt}"),
    };
    match step {
        FlightStep::Published { repeated: true, .. } => "published again".to_owned(),
        FlightStep::Published { .. } => "published".to_owned(),
        FlightStep::Confirmed => "confirmed by the broker".to_owned(),
        FlightStep::Taken {
            redelivered: true, ..
        } => "taken, delivered before".to_owned(),
        FlightStep::Taken { .. } => "taken from the queue".to_owned(),
        FlightStep::WaitsForRun => "waits: another run has its claim".to_owned(),
        FlightStep::Claimed { attempt } => of_attempt("claimed", *attempt),
        FlightStep::NotClaimed { outcome } => {
            format!("not run: its claim was answered with {outcome}")
        }
        FlightStep::Began { attempt } => of_attempt("handler began", *attempt),
        FlightStep::Ended { outcome } => format!("handler ended: {outcome}"),
        FlightStep::PutOff { runs } => format!("put off after run {runs}, waits on the broker"),
        FlightStep::DeadLettered { reason } => format!("dead letter: {reason}"),
        FlightStep::LetterDropped { reason } => format!("dead letter dropped: {reason}"),
        FlightStep::ReplyStored {
            outcome,
            inbox_absent: true,
        } => format!("reply stored: {outcome}; its caller's inbox was gone"),
        FlightStep::ReplyStored { outcome, .. } => format!("reply stored: {outcome}"),
        FlightStep::ReplyNotStored => "reply not stored in time".to_owned(),
        FlightStep::Answered { outcome } => format!("answered: {outcome}"),
        FlightStep::Failed { reason } => format!("failed at the caller: {reason}"),
        FlightStep::Abandoned => "given up by the caller".to_owned(),
        // Of a later version of the library.
        other => format!("{other:?}"),
    }
}
