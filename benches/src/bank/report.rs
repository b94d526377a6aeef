//! What was measured, as a table for people and as lines of JSON for programs.

use super::step::Step;
use serde::Serialize;
use std::fmt;

/// One number of clients.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Clients at a time.
    pub clients: u32,
    /// Transfers answered in a second.
    pub transfers_per_s: f64,
    /// The same, as a multiple of the first row's.
    pub growth: f64,
    /// Half of the transfers took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 transfers took no longer, in milliseconds.
    pub p99_ms: f64,
    /// Answers that were not a receipt.
    pub failed: u64,
}

impl Row {
    /// What a step came to; `first` is what it is compared with, unless it is the first.
    #[must_use]
    pub fn new(clients: u32, step: &Step, first: Option<&Self>) -> Self {
        let per_s = step.slice.calls_per_s;
        Self {
            clients,
            transfers_per_s: hundredths(per_s),
            growth: hundredths(per_s / first.map_or(per_s, |first| first.transfers_per_s)),
            p50_ms: hundredths(step.slice.p50_us / 1e3),
            p99_ms: hundredths(step.slice.p99_us / 1e3),
            failed: step.failed,
        }
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The heading of a table of rows.
#[must_use]
pub fn heading() -> String {
    format!(
        "{:>7} {:>11} {:>7} {:>9} {:>9} {:>7}",
        "clients", "transfers/s", "growth", "p50 ms", "p99 ms", "failed"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7} {:>11.1} {:>7.2} {:>9.2} {:>9.2} {:>7}",
            self.clients, self.transfers_per_s, self.growth, self.p50_ms, self.p99_ms, self.failed
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Slice;

    #[test]
    fn growth_is_relative_to_the_first_row() {
        let step = |calls_per_s| Step {
            slice: Slice {
                p50_us: 1_234.0,
                p99_us: 5_678.0,
                calls_per_s,
            },
            failed: 0,
        };
        let first = Row::new(1, &step(100.0), None);
        let second = Row::new(4, &step(250.0), Some(&first));
        assert_eq!(
            first.to_string(),
            "      1       100.0    1.00      1.23      5.68       0"
        );
        assert_eq!(
            second.to_string(),
            "      4       250.0    2.50      1.23      5.68       0"
        );
        assert_eq!(first.to_string().len(), heading().len());
    }
}
