//! What was measured, as a table for people and as lines of JSON for programs.

use crate::{load::Slice, stats::median};
use serde::Serialize;
use std::fmt;

/// The medians of one path at one number of callers.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The path.
    pub path: &'static str,
    /// Calls under way at any time.
    pub callers: u32,
    /// Half of the calls took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 calls took no longer, in microseconds.
    pub p99_us: f64,
    /// Calls answered in a second.
    pub calls_per_s: f64,
    /// Half of a call's time, as a multiple of the first path's in the same round.
    pub p50_ratio: f64,
    /// The slowest calls' time, as a multiple of the first path's in the same round.
    pub p99_ratio: f64,
    /// Calls a second, as a multiple of the first path's in the same round.
    pub calls_per_s_ratio: f64,
    /// Rounds that these are the medians of.
    pub rounds: usize,
}

impl Row {
    /// The medians of a path's slices; `first` holds those of the path it is compared with, round
    /// by round.
    #[must_use]
    pub fn new(path: &'static str, callers: u32, slices: &[Slice], first: &[Slice]) -> Self {
        let middle = |figure: fn(&Slice) -> f64| round(median(slices.iter().map(figure)), 10.0);
        let ratio = |figure: fn(&Slice) -> f64| {
            let pairs = slices.iter().zip(first);
            round(
                median(pairs.map(|(slice, first)| figure(slice) / figure(first))),
                1000.0,
            )
        };
        Self {
            path,
            callers,
            p50_us: middle(|slice| slice.p50_us),
            p99_us: middle(|slice| slice.p99_us),
            calls_per_s: middle(|slice| slice.calls_per_s),
            p50_ratio: ratio(|slice| slice.p50_us),
            p99_ratio: ratio(|slice| slice.p99_us),
            calls_per_s_ratio: ratio(|slice| slice.calls_per_s),
            rounds: slices.len(),
        }
    }
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

/// Prints rows as a table.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.0.first().map_or("-", |row| row.path);
        writeln!(
            f,
            "{:<20} {:>7} {:>10} {:>10} {:>10}   p50, p99, calls/s as a multiple of {first}",
            "path", "callers", "p50 us", "p99 us", "calls/s"
        )?;
        for row in self.0 {
            writeln!(
                f,
                "{:<20} {:>7} {:>10.0} {:>10.0} {:>10.0}   {:>5.2} {:>5.2} {:>5.2}",
                row.path,
                row.callers,
                row.p50_us,
                row.p99_us,
                row.calls_per_s,
                row.p50_ratio,
                row.p99_ratio,
                row.calls_per_s_ratio
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(p50_us: f64) -> Slice {
        Slice {
            p50_us,
            p99_us: p50_us * 2.0,
            calls_per_s: 1e6 / p50_us,
        }
    }

    #[test]
    fn ratios_pair_the_rounds() {
        // The machine was slow in the second round, for both.
        let first = [slice(100.0), slice(400.0), slice(100.0)];
        let path = [slice(200.0), slice(800.0), slice(200.0)];
        let row = Row::new("path", 1, &path, &first);
        let text = serde_json::to_string(&row).unwrap();
        assert!(
            text.starts_with(r#"{"path":"path","callers":1,"p50_us":200.0,"#),
            "{text}"
        );
        assert!(
            text.contains(r#""p50_ratio":2.0,"p99_ratio":2.0,"calls_per_s_ratio":0.5"#),
            "{text}"
        );
        assert_eq!(Table(&[row]).to_string().lines().count(), 2);
    }
}
