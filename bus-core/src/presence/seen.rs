//! Whether others see an instance that is served here.

use crate::limits::PRESENCE_TTL;
use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// So much sooner than its record goes an instance counts as not seen: the time from a look at this to
/// what is begun by it.
const SOONER: Duration = Duration::from_secs(1);

/// The time that a delivery waits until the instance is seen again. Without that it is served as well.
const SEEN_WITHIN: Duration = Duration::from_secs(1);

/// How long the record of an instance surely lives. A call is given up for good where nobody is seen,
/// which an instance whose record was gone has to learn before it begins anything: it may have the
/// message of such a call.
#[derive(Debug)]
pub(crate) struct Seen {
    began: Instant,
    /// Milliseconds from then on for which it is surely seen.
    sure_for: AtomicU64,
    /// And for which nothing need wait for it, as it was tried in vain a moment ago.
    excused_for: AtomicU64,
    wanted: Notify,
    tried: Notify,
}

impl Seen {
    /// Of one that nobody has seen yet.
    pub(super) fn not_yet() -> Self {
        Self {
            began: Instant::now(),
            sure_for: AtomicU64::new(0),
            excused_for: AtomicU64::new(0),
            wanted: Notify::new(),
            tried: Notify::new(),
        }
    }

    /// `true` while it is surely seen.
    pub(crate) fn is_sure(&self) -> bool {
        self.is_within(&self.sure_for)
    }

    /// `true` if there is no use in waiting until it is: it is, or that was tried in vain.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_sure() || self.is_within(&self.excused_for)
    }

    /// Has the instance be announced again, and waits until that was tried.
    pub(crate) async fn again(&self) {
        let mut tried = pin!(self.tried.notified());
        tried.as_mut().enable();
        if self.is_sure() {
            return;
        }
        self.wanted.notify_one();
        if timeout(SEEN_WITHIN, tried).await.is_err() {
            tracing::debug!("it is not known whether others see this instance");
        }
    }

    /// Waits until somebody wants it to be announced.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// A record was asked for at this moment that lives for so long, and what was given up before is
    /// known.
    pub(super) fn is_seen(&self, asked_at: Instant, ttl: Duration) {
        self.tell(&self.sure_for, asked_at + ttl.saturating_sub(SOONER));
    }

    /// It could not be announced: until that is tried again deliveries don't wait for it.
    pub(super) fn is_not_seen(&self) {
        self.tell(&self.excused_for, Instant::now() + PRESENCE_TTL / 3);
    }

    fn is_within(&self, time: &AtomicU64) -> bool {
        millis(self.began.elapsed()) < time.load(Ordering::Acquire)
    }

    fn tell(&self, time: &AtomicU64, until: Instant) {
        let until = until.saturating_duration_since(self.began);
        time.fetch_max(millis(until), Ordering::AcqRel);
        self.tried.notify_waiters();
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::time::{advance, sleep};

    #[tokio::test(start_paused = true)]
    async fn it_is_seen_for_less_than_its_record_lives() {
        let seen = Seen::not_yet();
        assert!(!seen.is_sure() && !seen.is_settled());
        seen.is_seen(Instant::now(), PRESENCE_TTL);
        advance(PRESENCE_TTL - SOONER - Duration::from_millis(1)).await;
        assert!(seen.is_sure() && seen.is_settled());
        advance(Duration::from_millis(1)).await;
        assert!(!seen.is_sure() && !seen.is_settled());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_it_goes_on_when_it_is_seen_or_could_not_be() {
        for works in [true, false] {
            let seen = Arc::new(Seen::not_yet());
            let waiting = Arc::clone(&seen);
            let waiting = tokio::spawn(async move { waiting.again().await });
            seen.wanted().await;
            sleep(SEEN_WITHIN / 2).await;
            match works {
                true => seen.is_seen(Instant::now(), PRESENCE_TTL),
                false => seen.is_not_seen(),
            }
            waiting.await.unwrap();
            assert_eq!((seen.is_sure(), seen.is_settled()), (works, true));
            advance(PRESENCE_TTL).await;
            // Nobody is there who would announce it.
            let began = Instant::now();
            seen.again().await;
            assert_eq!(began.elapsed(), SEEN_WITHIN);
        }
    }
}
