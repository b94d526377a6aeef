//! Pauses between attempts, each about twice as long as the one before.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// Pauses without end, from `least` up to `most`; jittered, so that relays do not come back together.
pub(super) fn pauses(least: Duration, most: Duration) -> ExponentialBackoff {
    // backon's jitter adds up to the whole pause, so half the bound is the bound.
    ExponentialBuilder::default()
        .with_min_delay(least / 2)
        .with_max_delay(most / 2)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        let (least, most) = (Duration::from_millis(100), Duration::from_secs(60));
        // Which of them are long is chance.
        for _ in 0..50 {
            for (times, pause) in (0..14).zip(pauses(least, most)) {
                let shortest = (least / 2 * 2_u32.pow(times)).min(most / 2);
                assert!(
                    (shortest..=shortest * 2).contains(&pause),
                    "{times}: {pause:?}"
                );
            }
        }
    }
}
