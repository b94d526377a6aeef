//! How much of what waits is asked for at once: fewer on a line that is too slow for many.

use std::time::Duration;

/// The most: enough to spread the cost of a round trip, and at the largest reply a bounded answer
/// (128 MiB).
const ENTRIES_MAX: usize = 128;
/// The longest that an answer of one entry may take.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// What is asked for, and how long its answer may take. An answer that comes too late is asked for
/// again on another connection, and would be too late again, for as long as the line is slow: so there
/// is less in the next, and when that is one entry, more time for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Portion {
    entries: usize,
    /// Times the usual patience.
    patience: u32,
}

impl Portion {
    pub(crate) const fn whole() -> Self {
        Self {
            entries: ENTRIES_MAX,
            patience: 1,
        }
    }

    pub(crate) fn entries(self) -> usize {
        self.entries
    }

    /// The time for an answer that usually has this.
    pub(crate) fn patience(self, usual: Duration) -> Duration {
        let longest = PATIENCE_MAX.max(usual);
        usual.saturating_mul(self.patience).min(longest)
    }

    /// After an answer that did not come.
    pub(crate) fn shrink(&mut self) {
        if self.entries > 1 {
            self.entries = (self.entries / 4).max(1);
        } else {
            self.patience = self.patience.saturating_mul(2);
        }
    }

    /// After one that did.
    pub(crate) fn grow(&mut self) {
        self.entries = (self.entries * 2).min(ENTRIES_MAX);
        self.patience = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_late_is_asked_for_in_less_and_then_waited_for_longer() {
        let usual = Duration::from_secs(3);
        let mut portion = Portion::whole();
        let mut asked = Vec::new();
        for _ in 0..12 {
            asked.push((portion.entries(), portion.patience(usual).as_secs()));
            portion.shrink();
        }
        let begin = [(128, 3), (32, 3), (8, 3), (2, 3), (1, 3), (1, 6), (1, 12)];
        assert_eq!(asked[..7], begin);
        assert_eq!(portion.patience(usual), PATIENCE_MAX);
        portion.grow();
        assert_eq!((portion.entries(), portion.patience(usual)), (2, usual));
        for _ in 0..20 {
            portion.grow();
        }
        assert_eq!(portion, Portion::whole());
        let usual = 2 * PATIENCE_MAX;
        assert_eq!(portion.patience(usual), usual);
    }
}
