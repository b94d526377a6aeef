//! The command line.

use clap::{Parser, ValueEnum};
use std::time::Duration;
use uuid::Uuid;

/// Measures whole calls through RabbitMQ and Redis, by the path they take.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// Callers at a time, one figure or several.
    #[arg(long, value_delimiter = ',', default_value = "1,64,512",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub callers: Vec<u32>,
    /// Rounds; in each, every path has one turn with every number of callers.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Seconds that a turn is measured.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub seconds: Duration,
    /// Paths to measure, besides the first, which is what they are compared with [default: all].
    #[arg(long = "path", value_delimiter = ',')]
    pub paths: Vec<String>,

    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    pub bench: bool,
    /// What this process does.
    #[arg(long, hide = true, value_enum, default_value_t = Role::Measure)]
    pub role: Role,
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

fn seconds(text: &str) -> Result<Duration, String> {
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
        assert_eq!(defaults.callers, [1, 64, 512]);
        assert_eq!(defaults.role, Role::Measure);
        let given = Arguments::parse_from(["bench", "--callers", "2,3", "--seconds", "0.5"]);
        assert_eq!(given.callers, [2, 3]);
        assert_eq!(given.seconds, Duration::from_millis(500));
    }

    #[test]
    fn nonsense_is_refused() {
        for argument in ["--seconds=-1", "--seconds=0", "--callers=0", "--rounds=0"] {
            assert!(
                Arguments::try_parse_from(["bench", argument]).is_err(),
                "{argument}"
            );
        }
    }
}
