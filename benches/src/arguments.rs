//! The command line.

use crate::{
    echo::{TEXT_BYTES_MAX, TEXT_BYTES_MIN},
    handler::Handler,
    observed::Observed,
    plan::{Stage, Wanted},
};
use anyhow::Result;
use clap::{Parser, ValueEnum, builder::RangedU64ValueParser};
use std::time::Duration;
use uuid::Uuid;

/// Measures whole calls from one process to another, by the path they take. Without callers,
/// payloads, workers and times of handlers it varies one of them after another, within 8 minutes;
/// with some of them it measures all their combinations.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Callers at a time, one figure or several
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub callers: Vec<u32>,
    /// Bytes of text in a call, there and back
    #[arg(long, value_delimiter = ',', value_parser = payload())]
    pub payloads: Vec<u32>,
    /// Processes that answer
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: Vec<u32>,
    /// Microseconds that a handler takes: waited if it is a millisecond or more, else worked
    #[arg(long = "handler-us", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub handlers_us: Vec<u32>,
    /// Rounds; in each, every path has one turn with every load
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Seconds that a turn is measured
    #[arg(long, default_value = "0.5", value_parser = seconds)]
    pub seconds: Duration,
    /// Paths to measure, besides the first, which is what they are compared with [default: all but replybus_signed]
    #[arg(long = "path", value_delimiter = ',')]
    pub paths: Vec<String>,

    /// Exports traces and counts metrics at both ends of the framework's paths, as programs do in
    /// production; the collector is a thread of this process. The share of traces that is recorded,
    /// of which there are no more than the exporter takes by default, or `metrics` for these alone
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = "1", conflicts_with = "report")]
    pub observed: Option<Observed>,

    /// Writes what was measured into docs/performance.md and its folder, as tables and charts
    #[arg(long)]
    pub report: bool,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    pub bench: bool,
    /// What this process does.
    #[arg(long, hide = true, value_enum, default_value_t = Role::Measure)]
    pub role: Role,
    /// Where a worker's traces go, if it is observed.
    #[arg(long, hide = true)]
    pub collector: Option<String>,
    /// Keeps the names of this run apart from those of others.
    #[arg(long, hide = true, default_value_t = Uuid::new_v4().simple().to_string())]
    pub run: String,
}

/// What a process of the benchmark does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Calls and measures.
    Measure,
    /// Answers.
    Worker,
}

impl Arguments {
    /// The loads to measure.
    ///
    /// # Errors
    /// They are more than servers should have to hold.
    pub fn stages(&self) -> Result<Vec<Stage>> {
        let wanted = Wanted {
            callers: &self.callers,
            payloads: &self.payloads,
            workers: &self.workers,
            handlers_us: &self.handlers_us,
        };
        wanted.stages()
    }

    /// What a handler of this process does, if it is a worker.
    #[must_use]
    pub fn handler(&self) -> Handler {
        let handler_us = self.handlers_us.first().copied().unwrap_or_default();
        Handler(Duration::from_micros(handler_us.into()))
    }
}

fn payload() -> RangedU64ValueParser<u32> {
    let range = u64::from(TEXT_BYTES_MIN)..=u64::from(TEXT_BYTES_MAX);
    RangedU64ValueParser::new().range(range)
}

fn seconds(text: &str) -> std::result::Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "not a positive number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_lists() {
        let defaults = Arguments::parse_from(["bench", "--bench"]);
        assert!(defaults.callers.is_empty());
        assert_eq!(defaults.role, Role::Measure);
        assert_eq!(defaults.handler(), Handler(Duration::ZERO));
        let given = Arguments::parse_from(["bench", "--callers=2,3", "--seconds=0.5"]);
        assert_eq!(given.callers, [2, 3]);
        assert_eq!(given.seconds, Duration::from_millis(500));
    }

    #[test]
    fn the_default_run_takes_less_than_8_minutes() {
        let defaults = Arguments::parse_from(["bench"]);
        let stages = defaults.stages().unwrap();
        let settings: usize = stages.iter().map(|stage| stage.settings.len()).sum();
        let turns = u32::try_from(settings * crate::paths::chosen(&[]).unwrap().len()).unwrap();
        let measured = (defaults.seconds + crate::rounds::RAMP) * turns * defaults.rounds;
        // A minute is for workers that start and end, and for the last calls of a turn.
        assert!(measured <= Duration::from_secs(420), "{measured:?}");
    }

    #[test]
    fn nonsense_is_refused() {
        for argument in [
            "--seconds=-1",
            "--seconds=0",
            "--callers=0",
            "--rounds=0",
            "--payloads=15",
            "--payloads=262144",
        ] {
            assert!(
                Arguments::try_parse_from(["bench", argument]).is_err(),
                "{argument}"
            );
        }
    }
}
