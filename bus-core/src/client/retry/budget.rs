//! What bounds the further attempts of many calls together.

use crate::limits::{RETRY_BUDGET_PERCENT, RETRY_BUDGET_RESERVE, RETRY_BUDGET_SAVED_MAX};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// What one attempt costs: a call earns a number of hundredths of it.
const ATTEMPT: u32 = 100;

/// A budget for further attempts: each call that is made earns a part of one, and each further
/// attempt, a hedge included, spends one. What is earned is saved up to
/// [`RETRY_BUDGET_SAVED_MAX`] attempts. Clones are one budget.
///
/// ```
/// use replybus::client::{RetryBudget, RetryLayer};
///
/// // One for all clients of a program: no more than 5 % on top of what it asks anyway.
/// let budget = RetryBudget::with_percent(5);
/// let stock = RetryLayer::new().budget(budget.clone());
/// let prices = RetryLayer::new().budget(budget.clone());
/// assert_eq!(budget.attempts_left(), 10);
/// # drop((stock, prices));
/// ```
#[derive(Debug, Clone)]
pub struct RetryBudget(Arc<Account>);

#[derive(Debug)]
struct Account {
    /// Hundredths of an attempt that a call earns.
    percent: u32,
    /// Hundredths of an attempt.
    saved: AtomicU32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryBudget {
    /// [`RETRY_BUDGET_PERCENT`] of the calls, and [`RETRY_BUDGET_RESERVE`] attempts to begin with.
    #[must_use]
    pub fn new() -> Self {
        Self::with_percent(RETRY_BUDGET_PERCENT)
    }

    /// Another part of the calls, at most all of them; with 0 no more than the attempts that it
    /// begins with.
    #[must_use]
    pub fn with_percent(percent: u32) -> Self {
        Self(Arc::new(Account {
            percent: percent.min(ATTEMPT),
            saved: AtomicU32::new(RETRY_BUDGET_RESERVE * ATTEMPT),
        }))
    }

    /// Whole attempts that could be made now.
    #[must_use]
    pub fn attempts_left(&self) -> u32 {
        self.0.saved.load(Ordering::Relaxed) / ATTEMPT
    }

    /// Takes in a call.
    pub(super) fn earn(&self) {
        let earned = |saved: u32| {
            let more = saved + self.0.percent;
            Some(more.min(RETRY_BUDGET_SAVED_MAX * ATTEMPT))
        };
        let relaxed = Ordering::Relaxed;
        let _ = self.0.saved.fetch_update(relaxed, relaxed, earned);
    }

    /// Pays for an attempt; `false` if there is not enough.
    pub(super) fn spend(&self) -> bool {
        let relaxed = Ordering::Relaxed;
        let paid = |saved: u32| saved.checked_sub(ATTEMPT);
        self.0.saved.fetch_update(relaxed, relaxed, paid).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_calls_and_what_it_begins_with() {
        let budget = RetryBudget::new();
        let spent = (0..1000).filter(|_| {
            budget.earn();
            budget.clone().spend()
        });
        let spent = u32::try_from(spent.count()).unwrap();
        assert_eq!(
            spent,
            RETRY_BUDGET_RESERVE + 1000 * RETRY_BUDGET_PERCENT / 100
        );
    }

    #[test]
    fn what_is_saved_is_bounded() {
        let budget = RetryBudget::with_percent(u32::MAX);
        for _ in 0..10 * RETRY_BUDGET_SAVED_MAX {
            budget.earn();
        }
        assert_eq!(budget.attempts_left(), RETRY_BUDGET_SAVED_MAX);
        let nothing = RetryBudget::with_percent(0);
        while nothing.spend() {}
        nothing.earn();
        assert_eq!(nothing.attempts_left(), 0);
    }
}
