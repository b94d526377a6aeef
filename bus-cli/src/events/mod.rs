//! Events by hand: emitted, and heard as they pass.

use crate::{
    bus::{interrupted, with_broker, with_bus},
    call::{When, when},
    failure::Failure,
    output::{Output, clock, parse_duration, parse_moment},
    settings::ServerArgs,
};
use clap::Args;
use replybus::event::EVENTS_EXCHANGE;
use serde_json::{Value, json};
use std::{
    io::Write as _,
    time::{Duration, SystemTime},
};

/// Emit an event
///
/// Prints the event's id once the broker has it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    replybus emit transfer.completed '{\"amount\":1200}' --exchange bank.events")]
pub(crate) struct EmitArgs {
    /// Its routing key
    event: String,

    /// The event, as JSON; - reads it from stdin
    #[arg(value_name = "JSON")]
    body: String,

    /// The topic exchange of the event
    #[arg(long, value_name = "NAME", default_value = EVENTS_EXCHANGE)]
    exchange: String,

    /// Fail if nobody has subscribed to it
    #[arg(long, conflicts_with_all = ["after", "at"])]
    mandatory: bool,

    /// Not before this time has passed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "at")]
    after: Option<Duration>,

    /// Not before this moment, such as 2026-12-24T18:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = parse_moment)]
    at: Option<SystemTime>,
}

/// Print events as they pass
///
/// Prints each event that is emitted from now on as a line of JSON, until it is interrupted. Groups
/// get theirs all the same, and nothing is left behind. Who reads too slowly misses events, and is
/// told how many.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replybus listen 'transfer.*' --exchange bank.events\n  \
    replybus listen '#' | jq .event")]
pub(crate) struct ListenArgs {
    /// The routing keys: * is one word of them, # any number
    #[arg(default_value = "#")]
    pattern: String,

    /// The topic exchange of the events
    #[arg(long, value_name = "NAME", default_value = EVENTS_EXCHANGE)]
    exchange: String,

    /// End after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub(crate) async fn emit(
    servers: &ServerArgs,
    args: EmitArgs,
    output: &Output,
) -> Result<(), Failure> {
    let body = crate::call::json(&args.body)?;
    let at = when(args.after, args.at)?;
    // What is delayed is listed in Redis.
    with_bus(servers, async |bus| {
        let mut emit = bus.emit_named(&args.exchange, &args.event, &body);
        if args.mandatory {
            emit = emit.mandatory();
        }
        emit = match at {
            Some(When::After(delay)) => emit.after(delay),
            Some(When::At(at)) => emit.at(at),
            None => emit,
        };
        let id = emit
            .await
            .map_err(|error| Failure::because("not emitted", error))?;
        output.json(&json!({ "id": id }))
    })
    .await
}

pub(crate) async fn listen(
    servers: &ServerArgs,
    args: ListenArgs,
    output: &Output,
) -> Result<(), Failure> {
    with_broker(servers, async |bus| {
        let heard = bus.listen(&args.exchange, &args.pattern).await;
        let mut heard = heard.map_err(|error| Failure::because("nothing is heard", error))?;
        // Where nobody reads there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "listening; Ctrl-C ends it");
        let mut left = args.count.unwrap_or(u64::MAX);
        let mut missed = 0;
        let mut done = Ok(());
        while left > 0 && done.is_ok() {
            let event = tokio::select! {
                event = heard.next() => event,
                () = interrupted() => break,
            };
            let Some(event) = event else { break };
            if event.missed > missed {
                missed = event.missed;
                let _ = writeln!(std::io::stderr(), "{missed} were missed");
            }
            done = output.json_line(&line(&event));
            left -= 1;
        }
        heard.end().await;
        done
    })
    .await
}

fn line(event: &replybus::event::HeardEvent) -> Value {
    let body: Result<Value, _> = event.body();
    let mut line = json!({
        "event": event.name(),
        "id": event.id(),
        "emitted_at": event.emitted_at().map(clock),
        "from": event.emitter(),
    });
    if let Some(object) = line.as_object_mut() {
        match body {
            Ok(body) => object.insert("body".to_owned(), body),
            Err(error) => object.insert("unreadable".to_owned(), error.to_string().into()),
        };
    }
    line
}
