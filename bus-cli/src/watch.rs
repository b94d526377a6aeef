//! The calls to a queue, as they end.

use crate::{
    bus::with_bus,
    failure::Failure,
    output::{Color, Output, clock_millis, duration, millis, parse_duration, shown},
    settings::ServerArgs,
};
use clap::Args;
use replybus::{
    control::{CallWatch, WatchOptions, WatchedCall},
    limits::{WATCHED_PER_SECOND, WATCHED_PER_SECOND_MAX},
    presence::InstanceId,
};
use serde_json::json;
use std::{io::Write as _, time::Duration};

/// Columns as wide as most of what is in them.
const TOOK_CHARS: usize = 7;
const METHOD_CHARS: usize = 16;
const OUTCOME_CHARS: usize = 10;

/// Watch the calls to a queue as they end
///
/// Prints a line for each call that instances of the queue have taken and ended, until it is
/// interrupted: when, its method and outcome, how long it took there, how long it had waited before,
/// which of its runs it was, its caller and its id; never its arguments or key. It never consumes
/// anything and never changes anything: the instances tell it, by the control line. Each tells a
/// bounded number of calls a second; how many were missed is said on stderr.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    replybus watch account.requests --method deposit\n  \
    replybus watch account.requests --failed --json | jq .outcome")]
pub(crate) struct WatchArgs {
    /// The queue
    queue: String,

    /// Only calls of this method; unknown is what the service does not have
    #[arg(long, value_name = "NAME")]
    method: Option<String>,

    /// Only calls that came to an error of the service's own, were put off, or failed
    #[arg(long)]
    failed: bool,

    /// Only calls that this instance took
    #[arg(long, value_name = "ID")]
    instance: Option<InstanceId>,

    /// End after so many calls
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// How many calls an instance tells of in a second
    #[arg(long, value_name = "N", default_value_t = WATCHED_PER_SECOND,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(WATCHED_PER_SECOND_MAX)))]
    rate: u32,

    /// How long to wait for instances that do not answer, before it begins
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    within: Duration,
}

pub(crate) async fn run(
    servers: &ServerArgs,
    args: WatchArgs,
    output: &Output,
) -> Result<(), Failure> {
    with_bus(servers, async |bus| {
        let mut options = WatchOptions::new().per_second(args.rate);
        if let Some(method) = &args.method {
            options = options.method(method);
        }
        if args.failed {
            options = options.failed();
        }
        let mut control = bus.control(&args.queue).within(args.within);
        if let Some(instance) = args.instance {
            control = control.instance(instance);
        }
        let watch = control.watch(&options).await;
        let watch = watch.map_err(|error| Failure::because(&args.queue, error))?;
        let instances = watch.instances().len();
        crate::control::somebody(&args.queue, instances)?;
        // Where nobody reads there is nobody to tell.
        let _ = writeln!(
            std::io::stderr(),
            "watching {instances} instances; Ctrl-C ends it"
        );
        show(watch, args.limit.unwrap_or(u64::MAX), output).await
    })
    .await
}

async fn show(mut watch: CallWatch, mut left: u64, output: &Output) -> Result<(), Failure> {
    let mut missed = 0;
    while left > 0 {
        let Some(call) = watch.next().await else {
            break;
        };
        let new = watch.missed().saturating_sub(missed);
        if new > 0 {
            missed += new;
            let _ = writeln!(std::io::stderr(), "{missed} were missed");
        }
        if output.json {
            output.json_line(&as_json(&call, missed))?;
        } else {
            output.line(&line(&call, output))?;
        }
        left -= 1;
    }
    Ok(())
}

fn line(call: &WatchedCall, output: &Output) -> String {
    let color = match &*call.outcome {
        "ok" => Color::Green,
        "handler" | "put_off" => Color::Yellow,
        _ => Color::Red,
    };
    let outcome = output.paint(color, &format!("{:<OUTCOME_CHARS$}", call.outcome));
    let took = duration(call.took);
    let waited = call.waited.map_or_else(String::new, |waited| {
        format!("  waited {:<TOOK_CHARS$}", duration(waited))
    });
    let attempt = match call.attempt {
        1 => String::new(),
        attempt => format!("  run {attempt}"),
    };
    format!(
        "{}  {:<METHOD_CHARS$}  {outcome}  {took:<TOOK_CHARS$}{waited}{attempt}  {}  {}",
        clock_millis(call.ended_at),
        shown(&call.method),
        shown(call.caller.as_deref().unwrap_or("-")),
        call.id,
    )
}

fn as_json(call: &WatchedCall, missed: u64) -> serde_json::Value {
    json!({
        "ended_at": clock_millis(call.ended_at),
        "id": call.id,
        "method": call.method,
        "outcome": call.outcome,
        "took_ms": millis(call.took),
        "waited_ms": call.waited.map(millis),
        "attempt": call.attempt,
        "caller": call.caller,
        "instance": call.instance,
        "missed": missed,
    })
}
