//! The outcome of a demo, in a few lines.

use std::{fmt, time::Duration};

/// The outcome of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The money was moved.
    Made,
    /// There was not enough of it.
    Rejected,
    /// There was no verdict.
    Failed,
}

/// Counts and times of a demo.
pub(super) struct Summary {
    pub(super) failed: usize,
    made: usize,
    rejected: usize,
    took: Duration,
    p50: Duration,
    p99: Duration,
    before: i64,
    after: i64,
}

impl Summary {
    pub(super) fn new(
        outcomes: &[(Outcome, Duration)],
        took: Duration,
        before: i64,
        after: i64,
    ) -> Self {
        let count = |which| {
            outcomes
                .iter()
                .filter(|(outcome, _)| *outcome == which)
                .count()
        };
        let mut times: Vec<Duration> = outcomes.iter().map(|(_, time)| *time).collect();
        times.sort_unstable();
        // The nearest rank: the smallest time that so many in a hundred do not exceed.
        let percentile = |hundredths: usize| {
            let rank = (times.len() * hundredths).div_ceil(100).max(1);
            times.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            failed: count(Outcome::Failed),
            made: count(Outcome::Made),
            rejected: count(Outcome::Rejected),
            took,
            p50: percentile(50),
            p99: percentile(99),
            before,
            after,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let all = u32::try_from(self.made + self.rejected).unwrap_or(u32::MAX);
        let rate = f64::from(all) / seconds.max(f64::EPSILON);
        writeln!(
            f,
            "{:>14}  {} made, {} rejected for want of money, {} without a verdict",
            "transfers", self.made, self.rejected, self.failed
        )?;
        writeln!(f, "{:>14}  {seconds:.1} s, {rate:.0} a second", "time")?;
        writeln!(
            f,
            "{:>14}  p50 {:.1} ms, p99 {:.1} ms",
            "answered in",
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3
        )?;
        write!(
            f,
            "{:>14}  {} before, {} after: {}",
            "sum of money",
            self.before,
            self.after,
            if self.before == self.after {
                "the same"
            } else {
                "NOT the same"
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_ranks() {
        let outcomes: Vec<_> = (1..=200)
            .rev()
            .map(|millis| (Outcome::Made, Duration::from_millis(millis)))
            .collect();
        let summary = Summary::new(&outcomes, Duration::from_secs(2), 7, 7);
        assert_eq!(summary.p50, Duration::from_millis(100));
        assert_eq!(summary.p99, Duration::from_millis(198));
        assert!(summary.to_string().contains("100 a second"));
        assert!(summary.to_string().ends_with("7 before, 7 after: the same"));
    }

    #[test]
    fn nothing_at_all_is_told_too() {
        let summary = Summary::new(&[], Duration::ZERO, 7, 8);
        assert!(summary.to_string().ends_with("NOT the same"));
    }
}
