//! When a command whose handler put it off is run again.

use super::random_id;
use crate::limits::{RETRIES, RETRIES_MAX, RETRY_BASE, RETRY_DELAY, RETRY_DELAY_MAX};
use std::time::Duration;

/// How often, and after which pauses, a command is run again whose handler returned an error that
/// it marked as passing ([`RetryLater`](crate::RetryLater)): `#[command(retry(..))]`.
///
/// Each pause is twice the one before, up to the longest. A setter brings what it is given within
/// its bounds.
///
/// ```
/// use replybus::contract::RetryPolicy;
/// use std::time::Duration;
///
/// let policy = RetryPolicy::new().max(4).base(Duration::from_secs(1)).max_delay(Duration::from_secs(5));
/// let pauses = (1..=4).map(|failed| policy.pause(failed).as_secs());
/// assert_eq!(pauses.collect::<Vec<_>>(), [1, 2, 4, 5]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Runs after the first.
    pub max: u32,
    /// The pause after the first run.
    pub base: Duration,
    /// The longest pause.
    pub max_delay: Duration,
    /// Each pause is a random part of what it would be, so that what failed together does not come
    /// back together.
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryPolicy {
    /// The defaults in [`crate::limits`], without jitter.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            max: RETRIES,
            base: RETRY_BASE,
            max_delay: RETRY_DELAY,
            jitter: false,
        }
    }

    /// Sets the runs after the first: 1 to [`RETRIES_MAX`].
    #[must_use]
    pub const fn max(mut self, max: u32) -> Self {
        self.max = match max {
            0 => 1,
            1..=RETRIES_MAX => max,
            _ => RETRIES_MAX,
        };
        self
    }

    /// Sets the pause after the first run: 1 ms to [`RETRY_DELAY_MAX`].
    #[must_use]
    pub const fn base(mut self, base: Duration) -> Self {
        self.base = bounded(base);
        self
    }

    /// Sets the longest pause: 1 ms to [`RETRY_DELAY_MAX`].
    #[must_use]
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = bounded(max_delay);
        self
    }

    /// Makes each pause a random part of what it would be, from nothing to all of it ("full
    /// jitter").
    #[must_use]
    pub const fn jitter(mut self) -> Self {
        self.jitter = true;
        self
    }

    /// The pause after so many runs that failed, which is at least one.
    #[must_use]
    pub fn pause(&self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        let pause = self.base.saturating_mul(1 << doublings);
        let pause = pause.min(self.max_delay);
        if self.jitter { part_of(pause) } else { pause }
    }
}

const fn bounded(delay: Duration) -> Duration {
    let (least, most) = (Duration::from_millis(1), RETRY_DELAY_MAX);
    if delay.as_nanos() < least.as_nanos() {
        least
    } else if delay.as_nanos() > most.as_nanos() {
        most
    } else {
        delay
    }
}

/// A random part of a time, up to all of it.
fn part_of(whole: Duration) -> Duration {
    // 32 random bits as a numerator.
    let (random, _, _, _) = random_id().to_fields_le();
    let nanos = whole.as_nanos().saturating_mul(u128::from(random)) >> 32;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_never_overflow() {
        let policy = RetryPolicy::new();
        for (failed, pause) in [
            (0, 200),
            (1, 200),
            (2, 400),
            (3, 800),
            (9, 51_200),
            (10, 60_000),
        ] {
            assert_eq!(
                policy.pause(failed),
                Duration::from_millis(pause),
                "{failed}"
            );
        }
        let longest = policy.base(Duration::MAX).max_delay(Duration::MAX);
        assert_eq!(longest.pause(u32::MAX), RETRY_DELAY_MAX);
    }

    #[test]
    fn jitter_takes_any_part_of_a_pause() {
        let policy = RetryPolicy::new().base(RETRY_DELAY).jitter();
        let pauses: Vec<_> = (0..200).map(|_| policy.pause(1)).collect();
        assert!(pauses.iter().all(|pause| *pause <= RETRY_DELAY));
        for tenth in 0..10 {
            let from = RETRY_DELAY / 10 * tenth;
            let is_there = |pause: &Duration| (from..from + RETRY_DELAY / 10).contains(pause);
            assert!(pauses.iter().any(is_there), "{tenth}");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_brought_within() {
        let policy = RetryPolicy::new().max(0).base(Duration::ZERO);
        assert_eq!((policy.max, policy.base), (1, Duration::from_millis(1)));
        assert_eq!(RetryPolicy::new().max(u32::MAX).max, RETRIES_MAX);
    }
}
