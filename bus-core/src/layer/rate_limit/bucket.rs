//! The turns of one rate: a bucket of tokens, kept as the time at which it is full again (the generic
//! cell rate algorithm of ITU-T I.371).

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A rate, and how far calls may be ahead of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// The time from one turn to the next.
    pub(super) every: Duration,
    /// Turns that can be taken at once after a rest, at least 1.
    pub(super) burst: u32,
}

/// The turns that were given.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// When all of the burst can be taken again; none before the first turn.
    full_at: Mutex<Option<Instant>>,
}

impl Bucket {
    /// Gives a turn that is now, or comes before `patience` is at its end, and says after what time.
    /// The error is the time after which there would be one.
    pub(super) fn turn(&self, rate: Rate, patience: Duration) -> Result<Duration, Duration> {
        let now = Instant::now();
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let from = full_at.map_or(now, |full| full.max(now));
        let wait = (from + rate.every).saturating_duration_since(now + rate.every * rate.burst);
        if !wait.is_zero() && wait >= patience {
            return Err(wait);
        }
        *full_at = Some(from + rate.every);
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const RATE: Rate = Rate {
        every: Duration::from_millis(10),
        burst: 3,
    };

    fn millis(wait: Result<Duration, Duration>) -> Result<u128, u128> {
        wait.map(|wait| wait.as_millis())
            .map_err(|wait| wait.as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_what_follows_comes_evenly() {
        let bucket = Bucket::default();
        let turns = |count: usize| -> Vec<_> {
            let turns = std::iter::repeat_with(|| millis(bucket.turn(RATE, Duration::MAX)));
            turns.take(count).collect()
        };
        assert_eq!(turns(5), [Ok(0), Ok(0), Ok(0), Ok(10), Ok(20)]);
        advance(Duration::from_millis(30)).await;
        assert_eq!(turns(2), [Ok(0), Ok(10)]);
        // A long rest is worth no more than the burst.
        advance(Duration::from_secs(3_600)).await;
        assert_eq!(turns(4), [Ok(0), Ok(0), Ok(0), Ok(10)]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_will_not_wait_takes_no_turn() {
        let bucket = Bucket::default();
        for _ in 0..4 {
            bucket.turn(RATE, Duration::MAX).unwrap();
        }
        let patience = Duration::from_millis(20);
        for _ in 0..3 {
            assert_eq!(millis(bucket.turn(RATE, patience)), Err(20));
        }
        let patience = Duration::from_millis(21);
        assert_eq!(millis(bucket.turn(RATE, patience)), Ok(20));
    }
}
