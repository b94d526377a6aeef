//! How long the other end of a stream was silent.

use crate::limits::STREAM_ASK_AFTER;
use std::{mem, time::Duration};
use tokio::time::Instant;

/// The longest time between two looks that counts. The ends of a stream look at least so often, unless
/// their process stands still.
const LOOK_MAX: Duration = STREAM_ASK_AFTER;

/// The time for which the other end of a stream was not heard, though it could have been.
///
/// What can't be heard while a connection is away says nothing of the other end, and when it is back the
/// other end may take as long to come back: so from then on it is counted anew. Nor does time say
/// anything in which this process stood still.
#[derive(Debug)]
pub(super) struct Silence {
    lasted: Duration,
    heard_at: Instant,
    looked_at: Instant,
}

impl Silence {
    /// None, as of now.
    pub(super) fn none() -> Self {
        let now = Instant::now();
        Self {
            lasted: Duration::ZERO,
            heard_at: now,
            looked_at: now,
        }
    }

    /// The silence up to now, if the other end was heard at `heard_at` last. `is_deaf` says whether it
    /// could not be heard now, and is asked only when that matters.
    pub(super) fn look(&mut self, heard_at: Instant, is_deaf: impl FnOnce() -> bool) -> Duration {
        let now = Instant::now();
        let before = mem::replace(&mut self.looked_at, now);
        if mem::replace(&mut self.heard_at, heard_at) != heard_at {
            self.lasted = Duration::ZERO;
        }
        let unheard = now.saturating_duration_since(heard_at.max(before));
        self.lasted += unheard.min(LOOK_MAX);
        if self.lasted >= STREAM_ASK_AFTER && is_deaf() {
            self.lasted = Duration::ZERO;
        }
        self.lasted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_could_have_been_heard_counts() {
        let (heard_at, mut silence) = (Instant::now(), Silence::none());
        for second in 1..=40 {
            advance(SECOND).await;
            assert_eq!(silence.look(heard_at, || false), second * SECOND);
        }
        let heard_at = Instant::now();
        advance(SECOND).await;
        assert_eq!(silence.look(heard_at, || false), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_no_silence_and_what_follows_is_counted_anew() {
        let (heard_at, mut silence) = (Instant::now(), Silence::none());
        let mut longest = Duration::ZERO;
        for _ in 0..100 {
            advance(SECOND).await;
            longest = longest.max(silence.look(heard_at, || true));
        }
        assert!(longest < STREAM_ASK_AFTER, "{longest:?}");
        for second in 1..=20 {
            advance(SECOND).await;
            let lasted = silence.look(heard_at, || false);
            assert!(lasted < second * SECOND + STREAM_ASK_AFTER, "{lasted:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_stood_still_has_not_listened() {
        let (heard_at, mut silence) = (Instant::now(), Silence::none());
        advance(1_000 * SECOND).await;
        assert_eq!(silence.look(heard_at, || false), LOOK_MAX);
    }
}
