//! The arguments of calls, of the command line and of the method.

use crate::{
    failure::Failure,
    output::{parse_duration, parse_moment},
};
use clap::{ArgGroup, Args};
use serde_json::Value;
use std::{
    io::Read as _,
    time::{Duration, SystemTime},
};

/// Bytes that are read from stdin: more are no request that is sent.
const STDIN_BYTES_MAX: u64 = replybus::limits::REQUEST_BYTES_MAX as u64;

/// Call a method and print its answer
///
/// The service is asked in JSON and answers in it, whatever it is written in.
///
/// The answer is printed as JSON. An error of the service's own is printed as {"error": ..}, with
/// exit code 3; that there is no answer is said on stderr, with exit code 1. A call that is
/// interrupted is cancelled.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("way").multiple(false),
    after_help = "Examples:\n  \
        replybus call account.requests balance '{\"account\":\"ada\"}' --query\n  \
        replybus call transfer.requests transfer - --key order-17 < transfer.json\n  \
        replybus call report.requests yearly '{\"year\":2026}' --watch\n  \
        replybus call mail.requests welcome '{\"address\":\"ada@example.org\"}' --send --after 1h"
)]
pub(crate) struct CallArgs {
    /// The queue of the service
    pub(crate) queue: String,

    /// The method
    pub(crate) method: String,

    /// Its arguments by their names, as a JSON object; - reads them from stdin
    #[arg(default_value = "{}", value_name = "JSON")]
    pub(crate) arguments: String,

    /// The method is a query: nothing that it does must be remembered
    #[arg(long)]
    pub(crate) query: bool,

    /// The idempotency key of a command: repeated under it, it is answered and not run again
    #[arg(long)]
    pub(crate) key: Option<String>,

    /// How long to wait for the answer; for --send and --submit how late it may be started
    #[arg(long, value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// An entry of metadata; can be given several times
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = parse_entry)]
    pub(crate) metadata: Vec<(String, String)>,

    /// Wait until somebody serves the queue
    #[arg(long)]
    pub(crate) wait_for_service: bool,

    /// Do not wait: print the call's id once the broker has it
    #[arg(long, group = "way")]
    pub(crate) send: bool,

    /// Do not wait: print a ticket, for `replybus ticket`
    #[arg(long, group = "way")]
    pub(crate) submit: bool,

    /// The answer is a stream: print each item in a line
    #[arg(long, group = "way")]
    pub(crate) stream: bool,

    /// The method is a job: say on stderr how far it is
    #[arg(long, group = "way")]
    pub(crate) watch: bool,

    /// With --send or --submit: not before this time has passed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "at")]
    pub(crate) after: Option<Duration>,

    /// With --send or --submit: not before this moment, such as 2026-12-24T18:00:00Z
    #[arg(long, value_name = "MOMENT", value_parser = parse_moment)]
    pub(crate) at: Option<SystemTime>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Await,
    Watch,
    Stream,
    Send,
    Submit,
}

/// When a message is due.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    After(Duration),
    At(SystemTime),
}

impl CallArgs {
    pub(super) fn way(&self) -> Way {
        match (self.send, self.submit, self.stream, self.watch) {
            (true, ..) => Way::Send,
            (_, true, ..) => Way::Submit,
            (_, _, true, _) => Way::Stream,
            (.., true) => Way::Watch,
            _ => Way::Await,
        }
    }

    /// What makes no sense together.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let is_later = self.after.is_some() || self.at.is_some();
        let refused = match self.way() {
            Way::Await | Way::Watch | Way::Stream if is_later => {
                "--after and --at go with --send or --submit: nobody waits for an answer that long"
            }
            Way::Stream if self.key.is_some() || self.wait_for_service => {
                "--stream takes neither --key nor --wait-for-service: a stream is a query"
            }
            _ if self.query && self.key.is_some() => "--key is for commands: a query has none",
            _ => return Ok(()),
        };
        Err(Failure::Usage(refused.to_owned()))
    }
}

pub(crate) fn when(
    after: Option<Duration>,
    at: Option<SystemTime>,
) -> Result<Option<When>, Failure> {
    let is_past = |at: &SystemTime| *at <= SystemTime::now();
    if at.as_ref().is_some_and(is_past) {
        return Err(Failure::Usage("--at: that moment has passed".to_owned()));
    }
    Ok(after.map(When::After).or(at.map(When::At)))
}

/// A JSON object, given or on stdin.
pub(crate) fn arguments(given: &str) -> Result<Value, Failure> {
    let value = json(given)?;
    if value.is_object() {
        return Ok(value);
    }
    Err(Failure::Usage(
        "the arguments are a JSON object with their names, such as '{\"account\":\"ada\"}'".into(),
    ))
}

/// Any JSON, given or on stdin.
pub(crate) fn json(given: &str) -> Result<Value, Failure> {
    let mut text = given.to_owned();
    if given == "-" {
        text.clear();
        let stdin = std::io::stdin().lock();
        let read = stdin.take(STDIN_BYTES_MAX + 1).read_to_string(&mut text);
        read.map_err(|error| Failure::because("stdin can't be read", error))?;
    }
    serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("no JSON: {error}")))
}

fn parse_entry(text: &str) -> Result<(String, String), String> {
    let entry = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = entry.ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
