//! Answers of queries that are kept for others, in the reply store: `#[query(cache = "300s")]`.
//!
//! The caller's side [looks](ask) before anything is published, and keeps what came. The service's
//! side only says, [after a command](Outdates), what is not true any more.

mod ask;
mod flights;
mod key;
mod outdates;
mod status;
mod tags;
mod turn;

pub(crate) use ask::ask;
pub(crate) use outdates::Outdates;
pub use status::CacheStatus;

use crate::{
    client::CallRequest,
    limits::{CACHE_PAUSED_FOR, CACHE_WITHIN},
    reply::StoreError,
};
use flights::Flights;
use std::{
    fmt::Display,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::{Instant, timeout};

/// What the calls of one bus share that look for kept answers.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    flights: Flights,
    /// The store did not answer; until then it is not asked.
    paused_until: Mutex<Option<Instant>>,
}

impl Cache {
    /// Asks the store, within a bound and at most half of the time until `deadline`; `None` if it did
    /// not answer, or does not these days.
    async fn within<T>(
        &self,
        deadline: Instant,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Option<T> {
        let now = Instant::now();
        if self.paused_until().is_some_and(|until| now < until) {
            return None;
        }
        let bound = CACHE_WITHIN.min(deadline.saturating_duration_since(now) / 2);
        match timeout(bound, asked).await {
            Ok(Ok(answered)) => Some(answered),
            Ok(Err(error)) => {
                self.pause(&error);
                None
            }
            Err(elapsed) => {
                if bound == CACHE_WITHIN {
                    self.pause(&elapsed);
                }
                None
            }
        }
    }

    fn pause(&self, error: &dyn Display) {
        let pause = CACHE_PAUSED_FOR.as_secs();
        tracing::warn!(%error, "kept answers can't be looked for, queries go on without them for {pause} s");
        *self.paused_until() = Some(Instant::now() + CACHE_PAUSED_FOR);
    }

    fn paused_until(&self) -> MutexGuard<'_, Option<Instant>> {
        let paused_until = &self.paused_until;
        paused_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(request: &CallRequest, status: CacheStatus) {
    let labels = [
        ("service", request.service()),
        ("method", request.method()),
        ("status", status.as_str()),
    ];
    metrics::counter!("replybus_cache_lookups_total", &labels).increment(1);
}

/// Counts an answer that was to be kept: it was, or is not true any more.
fn count_kept(request: &CallRequest, valid: bool) {
    let labels = [("service", request.service()), ("method", request.method())];
    if valid {
        metrics::counter!("replybus_cache_kept_total", &labels).increment(1);
    } else {
        metrics::counter!("replybus_cache_outdated_total", &labels).increment(1);
    }
}
