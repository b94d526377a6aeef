//! How much of what waits is asked for at once: less on a line that is too slow for all of it.

use crate::error::Failure;
use std::time::Duration;

/// The most, with which it begins: enough to spread the cost of a round trip, and at the largest reply
/// a bounded answer (128 MiB).
const ENTRIES_MAX: usize = 128;
/// The longest that an answer of one entry may take, unless it usually may take longer.
const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// So many entries at once, and how long their answer may take. What takes too long is tried again on
/// another connection, and would take too long again, for as long as the line is slow: so there are
/// fewer in the next try, and more time for them.
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

    /// After a failure. A connection that was cut, or a server that is busy, says nothing of how much
    /// the line can carry: an answer that did not come does.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        if matches!(failure, Failure::Silent(_)) {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.entries = (self.entries / 4).max(1);
        self.patience = self.patience.saturating_mul(2);
    }

    /// After one that did, of so many entries. Fewer than there might have been say nothing of more.
    pub(crate) fn grow(&mut self, had: usize) {
        self.patience = 1;
        if had >= self.entries {
            self.entries = (self.entries + 1 + self.entries / 8).min(ENTRIES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_tried_with_less_and_waited_for_longer() {
        let usual = Duration::from_secs(3);
        let mut portion = Portion::whole();
        let mut tried = Vec::new();
        for _ in 0..12 {
            tried.push((portion.entries(), portion.patience(usual).as_secs()));
            portion.shrink();
        }
        let begin = [(128, 3), (32, 6), (8, 12), (2, 24), (1, 48), (1, 60)];
        assert_eq!(tried[..6], begin);
        assert_eq!(portion.patience(usual), PATIENCE_MAX);
        let usual = 2 * PATIENCE_MAX;
        assert_eq!(portion.patience(usual), usual);
    }

    #[test]
    fn nothing_but_an_answer_that_did_not_come_makes_it_smaller() {
        let mut portion = Portion::whole();
        for failure in [Failure::NoConnection, Failure::Unexpected, Failure::Closed] {
            portion.failed(&failure);
            assert_eq!(portion, Portion::whole(), "{failure}");
        }
        portion.failed(&Failure::Silent(PATIENCE_MAX));
        assert_eq!(portion.entries(), ENTRIES_MAX / 4);
    }

    #[test]
    fn it_grows_by_what_was_full() {
        let mut portion = Portion::whole();
        for _ in 0..5 {
            portion.shrink();
        }
        portion.grow(0);
        assert_eq!(portion.entries(), 1);
        assert_eq!(portion.patience(PATIENCE_MAX / 4), PATIENCE_MAX / 4);
        let mut grown = Vec::new();
        while portion.entries() < ENTRIES_MAX {
            portion.grow(portion.entries());
            grown.push(portion.entries());
        }
        assert_eq!(grown[..4], [2, 3, 4, 5]);
        assert!(grown.len() < 40, "{grown:?}");
        portion.grow(ENTRIES_MAX);
        assert_eq!(portion, Portion::whole());
    }
}
