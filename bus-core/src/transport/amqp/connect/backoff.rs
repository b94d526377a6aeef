//! The pauses between attempts to reach a broker, or something on it.

use crate::limits::{RECONNECT_MAX, RECONNECT_MIN, STEADY_AFTER};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// Growing pauses without end; jittered, so that programs that lost a broker together do not come
/// back together. They begin small again when what was reached has lasted: what is lost as soon as
/// it is there is not reached more often than what can't be.
#[derive(Debug)]
pub(crate) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(crate) fn new() -> Self {
        // backon's jitter adds up to the whole pause, so half the bound is the bound.
        let backoff = ExponentialBuilder::new()
            .with_min_delay(RECONNECT_MIN / 2)
            .with_max_delay(RECONNECT_MAX / 2)
            .with_jitter()
            .without_max_times();
        Self(backoff.build())
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.0.next().unwrap_or(RECONNECT_MAX)
    }

    /// What was reached is lost again after so long.
    pub(crate) fn lost_after(&mut self, lasted: Duration) {
        if lasted >= STEADY_AFTER {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bounds of a pause whose jitter is not known.
    fn after(losses: u32) -> std::ops::RangeInclusive<Duration> {
        let least = (RECONNECT_MIN / 2 * 2_u32.pow(losses)).min(RECONNECT_MAX / 2);
        least..=least * 2
    }

    #[test]
    fn what_is_lost_at_once_is_reached_for_ever_less_often() {
        let mut backoff = Backoff::new();
        for losses in 0..12 {
            let pause = backoff.next();
            assert!(after(losses).contains(&pause), "{losses}: {pause:?}");
            backoff.lost_after(STEADY_AFTER - Duration::from_millis(1));
        }
        backoff.lost_after(STEADY_AFTER);
        let pause = backoff.next();
        assert!(after(0).contains(&pause), "{pause:?}");
    }
}
