//! The events that the broker has not confirmed, as they are taken out.

use crate::store::after;
use chassis::{
    Database,
    database::{now, parsed},
};
use sqlx::{AssertSqlSafe, Row};
use std::time::Duration;
use uuid::Uuid;

/// Events taken out at once.
pub(crate) const BATCH: usize = 64;

/// The time that a batch is left alone by other relays: longer than the broker is given to confirm
/// it.
const LEASE: Duration = Duration::from_secs(10);

/// Takes events out. They are put in by [`crate::store`].
#[derive(Debug, Clone)]
pub(crate) struct Outbox {
    database: Database,
}

/// Events that are this relay's for a while, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Stored>,
    /// Until when, which also tells whether it still is.
    leased_until: i64,
}

/// An event as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: Uuid,
    pub(crate) event: String,
}

impl Outbox {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Takes the oldest events that no relay is at work on.
    pub(crate) async fn lease(&self) -> sqlx::Result<Batch> {
        // As transfers that are due are leased: locked in one order, and looked at again.
        let lease = format!(
            "WITH next AS (SELECT id FROM outbox WHERE leased_until < $1
                ORDER BY id LIMIT {BATCH}{})
            UPDATE outbox SET leased_until = $2
            WHERE id IN (SELECT id FROM next) AND leased_until < $1
            RETURNING id, event",
            self.database.for_update(),
        );
        let leased_until = after(LEASE);
        let rows = sqlx::query(AssertSqlSafe(lease))
            .bind(now())
            .bind(leased_until)
            .fetch_all(self.database.pool())
            .await?;
        let events = rows.iter().map(|row| {
            Ok(Stored {
                id: parsed(row.try_get("id")?)?,
                event: row.try_get("event")?,
            })
        });
        let mut events = events.collect::<sqlx::Result<Vec<_>>>()?;
        events.sort_unstable_by_key(|stored| stored.id);
        Ok(Batch {
            events,
            leased_until,
        })
    }

    /// Forgets events that the broker has.
    pub(crate) async fn forget(&self, ids: &[Uuid]) -> sqlx::Result<()> {
        let forget = format!("DELETE FROM outbox WHERE id IN ({})", parameters(1, ids));
        let mut forget = sqlx::query(AssertSqlSafe(forget));
        for id in ids {
            forget = forget.bind(id.to_string());
        }
        forget.execute(self.database.pool()).await.map(drop)
    }

    /// Gives events of a batch back for a time after that pause, unless another relay has them by
    /// now.
    pub(crate) async fn put_off(
        &self,
        batch: &Batch,
        ids: &[Uuid],
        pause: Duration,
    ) -> sqlx::Result<()> {
        let put_off = format!(
            "UPDATE outbox SET leased_until = $2 WHERE leased_until = $1 AND id IN ({})",
            parameters(3, ids)
        );
        let mut put_off = sqlx::query(AssertSqlSafe(put_off))
            .bind(batch.leased_until)
            .bind(after(pause));
        for id in ids {
            put_off = put_off.bind(id.to_string());
        }
        put_off.execute(self.database.pool()).await.map(drop)
    }
}

/// `$first, ..`, one for each id.
fn parameters(first: usize, ids: &[Uuid]) -> String {
    let numbers = (first..).take(ids.len());
    let parameters: Vec<_> = numbers.map(|number| format!("${number}")).collect();
    parameters.join(", ")
}
