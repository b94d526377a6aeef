//! Takes completed transfers: stores what both sides are told, then shows it to those who are
//! connected.

use crate::{message::notifications_of, store::Store};
use contracts::TransactionCompleted;
use live_feed::Feed;

/// Handles events. Clones share what they stand on.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    pub(crate) store: Store,
    pub(crate) feed: Feed,
}

impl Subscriber {
    /// Stores what both sides are told, once however often the event comes, and then shows it. A
    /// process that ends in between shows nothing: who was connected to it fetches the list anew,
    /// others see it with their next. While the database is away this fails, and the bus tries it
    /// again.
    pub(crate) async fn notify(self, event: TransactionCompleted) -> sqlx::Result<()> {
        let notifications = notifications_of(&event)?;
        let stored = self.store.add(event.transfer, &notifications).await?;
        let count = u64::try_from(stored.len()).unwrap_or(u64::MAX);
        metrics::counter!("bank_notifications_stored_total").increment(count);
        self.feed.publish(&stored).await;
        Ok(())
    }
}
