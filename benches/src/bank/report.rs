//! What was measured, as a table for people and as lines of JSON for programs.

use crate::{load::Slice, stats::round};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The path of a bank that meets each recipient for the first time.
pub const STRANGERS: &str = "bank_strangers";

/// One number of clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `bank`, [`STRANGERS`], or `postgres` for the database alone.
    pub path: String,
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
    /// `transfers_per_s` as a multiple of what PostgreSQL does alone at its best number of clients.
    pub ratio_to_postgres: Option<f64>,
}

impl Row {
    /// What a step came to; `first` is what it is compared with, unless it is the first.
    #[must_use]
    pub fn new(path: &str, clients: u32, slice: Slice, failed: u64, first: Option<&Self>) -> Self {
        let hundredths = |value: f64| round(value, 100.0);
        let per_s = slice.calls_per_s;
        Self {
            path: path.to_owned(),
            clients,
            transfers_per_s: hundredths(per_s),
            growth: hundredths(per_s / first.map_or(per_s, |first| first.transfers_per_s)),
            p50_ms: hundredths(slice.p50_us / 1e3),
            p99_ms: hundredths(slice.p99_us / 1e3),
            failed,
            ratio_to_postgres: None,
        }
    }

    /// The same, compared with the best of what PostgreSQL did alone, if it was measured.
    #[must_use]
    pub fn beside(self, alone: &[Self]) -> Self {
        let best = alone.iter().map(|row| row.transfers_per_s);
        let best = best.max_by(f64::total_cmp);
        Self {
            ratio_to_postgres: best.map(|best| round(self.transfers_per_s / best, 1000.0)),
            ..self
        }
    }
}

/// The heading of a table of rows.
#[must_use]
pub fn heading() -> String {
    format!(
        "{:<14} {:>7} {:>11} {:>7} {:>9} {:>9} {:>7} {:>17}",
        "path",
        "clients",
        "transfers/s",
        "growth",
        "p50 ms",
        "p99 ms",
        "failed",
        "to postgres' best"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<14} {:>7} {:>11.1} {:>7.2} {:>9.2} {:>9.2} {:>7} {:>17}",
            self.path,
            self.clients,
            self.transfers_per_s,
            self.growth,
            self.p50_ms,
            self.p99_ms,
            self.failed,
            self.ratio_to_postgres
                .map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(calls_per_s: f64) -> Slice {
        Slice {
            p50_us: 1_234.0,
            p99_us: 5_678.0,
            p999_us: 9_012.0,
            calls_per_s,
        }
    }

    #[test]
    fn growth_is_relative_to_the_first_row_and_the_ratio_to_the_best_of_postgres() {
        let first = Row::new("bank", 1, slice(100.0), 0, None);
        let second = Row::new("bank", 4, slice(250.0), 3, Some(&first));
        let alone =
            [300.0, 500.0, 400.0].map(|per_s| Row::new("postgres", 1, slice(per_s), 0, None));
        assert_eq!(
            first.clone().beside(&[]).to_string(),
            "bank                 1       100.0    1.00      1.23      5.68       0                 -"
        );
        let second = second.beside(&alone);
        assert_eq!(
            second.to_string(),
            "bank                 4       250.0    2.50      1.23      5.68       3              0.50"
        );
        assert_eq!(first.to_string().len(), heading().len());
        let line = serde_json::to_string(&second).unwrap();
        assert!(
            line.ends_with(r#""failed":3,"ratio_to_postgres":0.5}"#),
            "{line}"
        );
        assert_eq!(serde_json::from_str::<Row>(&line).unwrap(), second);
    }
}
