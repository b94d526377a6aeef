//! What grows with the number of calls that wait, of queues and of instances, in one process without
//! servers.
//!
//! [`crowd`] is so many calls that wait at once, in a process of its own; [`spread`] is the time of
//! a call while there is more and more around it.

pub mod crowd;
pub mod spread;

use replybus::{Never, queue_handler};
use serde::{Deserialize, Serialize};
use std::fmt;
use tokio::sync::watch;

/// Answers when it is told to.
#[queue_handler("crowd.requests", concurrency = 64)]
pub trait CrowdService {
    /// Returns its argument, once the gate is open.
    #[query]
    async fn pass(&self, number: u64) -> Result<u64, Never>;
}

/// The implementation: a gate, closed at first.
#[derive(Debug, Clone)]
pub(crate) struct Gate(watch::Receiver<bool>);

impl CrowdService for Gate {
    async fn pass(&self, number: u64) -> Result<u64, Never> {
        // Nobody is left to open it when the benchmark ends.
        let _ = self.0.clone().wait_for(|open| *open).await;
        Ok(number)
    }
}

/// The time and memory of a call at one number of what there are many of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What there are many of.
    pub of: Of,
    /// How many.
    pub number: u32,
    /// Bytes of a call that waits, its task and its message included; of [`Of::Crowd`] only.
    pub bytes_per_call: Option<f64>,
    /// Microseconds of the processor to make a call; of [`Of::Crowd`] until it waits.
    pub us_per_call: f64,
    /// The same to answer a call that waits; of [`Of::Crowd`] only.
    pub us_per_answer: Option<f64>,
    /// `us_per_call` as a multiple of that of the smallest number, in the same round.
    pub ratio: f64,
}

/// What there are many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Calls that wait, and are all answered at the end.
    Crowd,
    /// Calls that wait while others are made.
    Waiting,
    /// Queues that are served, each called in turn.
    Queues,
    /// Instances that serve one queue.
    Instances,
}

impl Of {
    /// What they are, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Crowd => "calls that wait, then are answered",
            Self::Waiting => "other calls that wait",
            Self::Queues => "queues, called in turn",
            Self::Instances => "instances of one queue",
        }
    }
}

/// The heading of a table of rows.
#[must_use]
pub fn heading() -> String {
    format!(
        "{:<35} {:>9} {:>10} {:>8} {:>9} {:>6}",
        "of", "number", "bytes/call", "us/call", "us/answer", "ratio"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |figure: Option<f64>| match figure {
            Some(figure) => format!("{figure:.1}"),
            None => "-".to_owned(),
        };
        write!(
            f,
            "{:<35} {:>9} {:>10} {:>8.2} {:>9} {:>6.2}",
            self.of.words(),
            self.number,
            or_none(self.bytes_per_call),
            self.us_per_call,
            or_none(self.us_per_answer),
            self.ratio
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_line_of_the_table_and_of_json() {
        let row = Row {
            of: Of::Queues,
            number: 10,
            bytes_per_call: None,
            us_per_call: 7.25,
            us_per_answer: None,
            ratio: 1.01,
        };
        assert_eq!(row.to_string().len(), heading().len());
        let line = serde_json::to_string(&row).unwrap();
        assert!(line.starts_with(r#"{"of":"queues","number":10,"bytes_per_call":null,"#));
        assert_eq!(serde_json::from_str::<Row>(&line).unwrap(), row);
    }
}
