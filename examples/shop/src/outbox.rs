//! Events that are written in the transaction of what they tell of, and brought to the broker from
//! there: each at least once, under an id of its own.

use chassis::{
    Database,
    database::{after, now},
};
use futures_util::future::join_all;
use replybus::{Bus, CallId, Event};
use sqlx::{AnyConnection, AssertSqlSafe};
use std::{error::Error, marker::PhantomData, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between looks for what nobody told of, and while the broker takes nothing.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The broker confirms within this, or is asked again.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);
/// The time that events are left alone by other relays: longer than the broker is given.
const LEASE: Duration = Duration::from_secs(10);
/// Events taken out at once.
const BATCH: usize = 64;

/// The table `outbox` of a service.
pub(crate) struct Outbox<E> {
    pub(crate) database: Database,
    pub(crate) bus: Bus,
    /// Told when there may be something in it.
    pub(crate) filled: Arc<Notify>,
    pub(crate) of: PhantomData<fn() -> E>,
}

/// Puts an event in, within the transaction that does what it tells of.
pub(crate) async fn put<E: Event>(
    writing: &mut AnyConnection,
    id: Uuid,
    event: &E,
) -> sqlx::Result<()> {
    const PUT: &str = "INSERT INTO outbox (id, event, leased_until) VALUES ($1, $2, 0)";
    let text = serde_json::to_string(event);
    let text = text.map_err(|error| sqlx::Error::Encode(error.into()))?;
    let put = sqlx::query(PUT).bind(id.to_string()).bind(text);
    put.execute(writing).await.map(drop)
}

impl<E: Event> Outbox<E> {
    /// Goes on until it is told to stop, and then brings away what is left, unless the broker takes
    /// nothing.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            // Asked first: what was there when it was told to stop is part of the round.
            let is_last = stop.is_cancelled();
            let brought = self.round().await;
            if let Err(error) = &brought {
                tracing::warn!(error = error as &dyn Error, "the outbox can't be read");
            }
            let has_more = brought.is_ok_and(|brought| brought == BATCH);
            if is_last && !has_more {
                return;
            }
            if !has_more {
                tokio::select! {
                    () = self.filled.notified() => {}
                    () = sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
    }

    /// Returns how many events the broker took.
    async fn round(&self) -> sqlx::Result<usize> {
        let leased = self.lease().await?;
        let emitted = join_all(leased.iter().map(|(id, event)| self.emit(id, event))).await;
        let mut brought = 0;
        for ((id, _), emitted) in leased.iter().zip(emitted) {
            let settle = match &emitted {
                Ok(()) => "DELETE FROM outbox WHERE id = $1",
                Err(error) => {
                    tracing::warn!(event = id, %error, "an event stays in the outbox");
                    "UPDATE outbox SET leased_until = 0 WHERE id = $1"
                }
            };
            // One that is not settled is emitted again, under the same id, when its lease ends.
            let settle = sqlx::query(settle).bind(id);
            settle.execute(self.database.pool()).await?;
            brought += usize::from(emitted.is_ok());
        }
        Ok(brought)
    }

    async fn emit(&self, id: &str, event: &str) -> anyhow::Result<()> {
        let (id, event): (CallId, E) = (id.parse()?, serde_json::from_str(event)?);
        // Before a group first subscribed nobody would get it: it is kept till then.
        let emit = self.bus.emit(&event).id(id).mandatory();
        emit.timeout(CONFIRM_WITHIN).await?;
        Ok(())
    }

    /// Takes the oldest events that no relay is at work on.
    async fn lease(&self) -> sqlx::Result<Vec<(String, String)>> {
        let lease = format!(
            "WITH next AS (SELECT id FROM outbox WHERE leased_until < $1
                ORDER BY id LIMIT {BATCH}{})
            UPDATE outbox SET leased_until = $2
            WHERE id IN (SELECT id FROM next) AND leased_until < $1 RETURNING id, event",
            self.database.for_update()
        );
        let lease = sqlx::query_as(AssertSqlSafe(lease))
            .bind(now())
            .bind(after(LEASE));
        let mut leased: Vec<(String, String)> = lease.fetch_all(self.database.pool()).await?;
        leased.sort_unstable();
        Ok(leased)
    }
}
