//! Takes completed transfers: stores what both sides are told, then shows it to those who are
//! connected.

use crate::{feed::Feed, store::Store, told::Told};
use backon::{ExponentialBuilder, Retryable};
use chassis::database::is_transient;
use contracts::TransactionCompleted;
use std::{future::Future, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long one run goes on trying while the database is away. The bus runs a handler that failed
/// 5 times before it gives the event up, so an event waits for 15 minutes: less than the 20 that a
/// delivery may stay unsettled.
const TRY_FOR: Duration = Duration::from_secs(3 * 60);
/// First and longest pause between two tries, before jitter.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Handles events. Clones share what they stand on.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    pub(crate) store: Store,
    pub(crate) feed: Feed,
    /// Fired when events that are not handled yet have gone back to the queue.
    pub(crate) ended: CancellationToken,
}

impl Subscriber {
    /// Stores what both sides are told, once however often the event comes, and then shows it. A
    /// process that ends in between shows nothing: who was connected to it fetches the list anew,
    /// others see it with their next.
    pub(crate) async fn tell(self, event: TransactionCompleted) -> sqlx::Result<()> {
        let told = Told::of(&event)?;
        let add = || self.store.add(event.transfer, &told);
        let stored = match patiently(add, &self.ended).await {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(
                    transfer = %event.transfer,
                    error = &error as &dyn std::error::Error,
                    "notifications were not stored"
                );
                return Err(error);
            }
        };
        let count = u64::try_from(stored.len()).unwrap_or(u64::MAX);
        metrics::counter!("bank_notifications_stored_total").increment(count);
        self.feed.publish(&stored).await;
        Ok(())
    }
}

/// Tries until it works, fails for good, or [`TRY_FOR`] is up. Once `ended` has fired it does not
/// end with an error: that would be recorded as the outcome of an event that is back in the queue.
/// Its claim lapses with this process, and whoever has taken the event then runs it.
async fn patiently<T, F>(once: impl FnMut() -> F, ended: &CancellationToken) -> sqlx::Result<T>
where
    F: Future<Output = sqlx::Result<T>>,
{
    let until = Instant::now() + TRY_FOR;
    let pauses = ExponentialBuilder::default()
        .with_min_delay(PAUSE_MIN)
        .with_max_delay(PAUSE_MAX)
        .with_jitter()
        .without_max_times();
    let mut once = once;
    let tried = (|| once())
        .retry(pauses)
        .when(|error| is_transient(error) && Instant::now() < until && !ended.is_cancelled())
        .notify(|error, pause| {
            tracing::warn!(%error, "notifications can't be stored, again in {pause:?}");
        })
        .await;
    if tried.is_err() && ended.is_cancelled() {
        return std::future::pending().await;
    }
    tried
}

#[cfg(test)]
mod tests;
