//! Storing a reply, or what a command came to.

use super::Pauses;
use crate::reply::{Reply, ReplyStore, Stored};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// First and longest pause before a reply is stored again.
const STORE_AGAIN_MIN: Duration = Duration::from_millis(50);
const STORE_AGAIN_MAX: Duration = Duration::from_secs(1);

/// Stores a reply, however long it takes the store to come back: the handler has run, and running
/// it again is worse than being late. `None` if it did not come back in time.
pub(crate) async fn store_until(
    store: &dyn ReplyStore,
    reply: Reply,
    until: Instant,
) -> Option<Stored> {
    let mut pauses = Pauses::new(STORE_AGAIN_MIN, STORE_AGAIN_MAX);
    loop {
        match store.store(reply.clone()).await {
            Ok(stored) => return Some(stored),
            Err(error) => {
                tracing::warn!(id = %reply.id, %error, "a reply was not stored");
                metrics::counter!("replybus_store_failures_total").increment(1);
            }
        }
        let pause = pauses.next();
        if Instant::now() + pause > until {
            return None;
        }
        sleep(pause).await;
    }
}
