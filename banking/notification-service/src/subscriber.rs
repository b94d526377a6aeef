//! Takes completed transactions: stores what those are told whom they concern, then shows it to who
//! is connected.

use crate::{message::notifications_of, store::Store};
use backon::{BackoffBuilder, ExponentialBuilder};
use chassis::{
    Identity,
    database::{is_transient, is_unacceptable},
    identity::Unproved,
};
use contracts::TransactionCompleted;
use live_feed::{Feed, NewNotification};
use replybus::Context;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// First and longest pause before what failed is tried again.
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(5);
/// The time that an event waits for a database that is away before it is kept as a dead letter.
const AWAY_MAX: Duration = Duration::from_secs(15 * 60);
/// The time that an event is tried for which the database answers, and not with what it is asked:
/// perhaps it is being repaired. Other events wait for the place.
const FAILING_MAX: Duration = Duration::from_secs(20);

/// Handles events. Clones share what they stand on.
#[derive(Debug, Clone)]
pub(crate) struct Subscriber {
    pub(crate) identity: Identity,
    pub(crate) store: Store,
    pub(crate) feed: Feed,
}

/// An event of which nobody was told. It is kept as a dead letter, unless the service stops.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotTold {
    /// It is not to be believed.
    #[error("{0}")]
    Unproved(#[source] Unproved),
    /// The database does not take it.
    #[error("the database failed: {0}")]
    Database(#[source] sqlx::Error),
}

impl NotTold {
    fn reason(&self) -> &'static str {
        match self {
            Self::Unproved(_) => "unproved",
            Self::Database(error) if is_unacceptable(error) => "unacceptable",
            Self::Database(_) => "database",
        }
    }
}

impl Subscriber {
    /// Stores what users are told, once however often the event comes, and then shows it. A process
    /// that ends in between shows nothing: who was connected to it fetches the list anew, others
    /// see it with their next. While the database is away it is tried again; an event that can
    /// never be stored holds its place no longer than it takes to find out.
    pub(crate) async fn notify(self, event: TransactionCompleted) -> Result<(), NotTold> {
        let told = self.tell(&event).await;
        if let Err(not_told) = &told {
            let reason = not_told.reason();
            metrics::counter!("bank_events_not_told_total", "reason" => reason).increment(1);
        }
        told
    }

    async fn tell(&self, event: &TransactionCompleted) -> Result<(), NotTold> {
        let event = self.identity.proved(event).map_err(NotTold::Unproved)?;
        let notifications = notifications_of(&event).map_err(NotTold::Database)?;
        let stored = self.stored(event.id, &notifications).await?;
        let count = u64::try_from(stored.len()).unwrap_or(u64::MAX);
        metrics::counter!("bank_notifications_stored_total").increment(count);
        self.feed.publish(&stored).await;
        Ok(())
    }

    async fn stored(
        &self,
        event: Uuid,
        notifications: &[NewNotification],
    ) -> Result<Vec<NewNotification>, NotTold> {
        let context = Context::current();
        let began = Instant::now();
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(AGAIN_MIN)
            .with_max_delay(AGAIN_MAX)
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            let error = match self.store.add(event, notifications).await {
                Ok(stored) => return Ok(stored),
                Err(error) => error,
            };
            let patience = patience(&error);
            let pause = pauses.next().unwrap_or(AGAIN_MAX);
            // Once it is cancelled, the event is somebody else's to handle.
            let again = began.elapsed() + pause <= patience
                && tokio::select! {
                    biased;
                    () = context.cancelled() => false,
                    () = sleep(pause) => true,
                };
            if !again {
                return Err(NotTold::Database(error));
            }
            tracing::warn!(%event, error = &error as &dyn std::error::Error, "an event waits for the database");
        }
    }
}

/// How long what failed so is tried again.
fn patience(error: &sqlx::Error) -> Duration {
    if is_unacceptable(error) {
        Duration::ZERO
    } else if is_transient(error) {
        AWAY_MAX
    } else {
        FAILING_MAX
    }
}
