//! The events that the broker has not confirmed. Each service has a table `outbox` of its own, with
//! `id` (text, the key), `event` (text) and `leased_until`.

use crate::{
    Database,
    database::{Column, after, now, parsed, readable, rows},
};
use contracts::TransactionCompleted;
use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe, Row};
use std::time::Duration;
use uuid::Uuid;

/// Events taken out at once.
pub(super) const BATCH: usize = 64;

/// The time that a batch is left alone by other relays: longer than the broker is given to confirm
/// it.
const LEASE: Duration = Duration::from_secs(10);

/// The events of one service that the broker has not confirmed.
#[derive(Debug, Clone)]
pub struct Outbox {
    database: Database,
}

/// Events that are this relay's for a while, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) events: Vec<Stored>,
    /// Until when, which also tells whether it still is.
    leased_until: i64,
}

/// An event as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: Uuid,
    pub(super) event: String,
}

/// An event as a row of those that a statement is given: `id` and `event`, of text.
#[derive(Debug, Serialize)]
pub struct Given {
    id: String,
    event: String,
}

impl Given {
    /// The row of an event.
    ///
    /// # Errors
    /// It can't be written as JSON.
    pub fn of(event: &TransactionCompleted) -> sqlx::Result<Self> {
        Ok(Self {
            id: event.id.to_string(),
            event: serde_json::to_string(event)
                .map_err(|error| sqlx::Error::Encode(error.into()))?,
        })
    }
}

impl Outbox {
    /// That of the service whose database this is.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Puts an event in, within the transaction that does what it tells of.
    ///
    /// # Errors
    /// Those of the database; there is an event of this id.
    ///
    /// # Cancel safety
    /// That of the transaction.
    pub async fn put(
        writing: &mut AnyConnection,
        event: &TransactionCompleted,
    ) -> sqlx::Result<()> {
        const PUT: &str = "INSERT INTO outbox (id, event, leased_until) VALUES ($1, $2, 0)";
        let text =
            serde_json::to_string(event).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query(PUT)
            .bind(event.id.to_string())
            .bind(text)
            .execute(writing)
            .await
            .map(drop)
    }

    /// Puts events in, within the transaction that does what they tell of.
    ///
    /// # Errors
    /// Those of the database; there is an event of one of these ids.
    ///
    /// # Cancel safety
    /// That of the transaction.
    pub async fn put_all(
        database: &Database,
        writing: &mut AnyConnection,
        events: impl IntoIterator<Item = &TransactionCompleted>,
    ) -> sqlx::Result<()> {
        let given: sqlx::Result<Vec<_>> = events.into_iter().map(Given::of).collect();
        let given = given?;
        if given.is_empty() {
            return Ok(());
        }
        let put = format!(
            "INSERT INTO outbox (id, event, leased_until) SELECT id, event, 0 FROM {}",
            database.given(1, "given", &[Column::Text("id"), Column::Text("event")])
        );
        sqlx::query(AssertSqlSafe(put))
            .bind(rows(&given)?)
            .execute(writing)
            .await
            .map(drop)
    }

    /// Takes the oldest events that no relay is at work on.
    pub(super) async fn lease(&self) -> sqlx::Result<Batch> {
        // Rows are locked in one order, so that replicas never wait for each other in a circle,
        // and looked at again under the lock.
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
        let mut events = readable("outbox", &rows, |row| {
            Ok(Stored {
                id: parsed(row.try_get("id")?)?,
                event: row.try_get("event")?,
            })
        });
        events.sort_unstable_by_key(|stored| stored.id);
        Ok(Batch {
            events,
            leased_until,
        })
    }

    /// Forgets events that the broker has.
    pub(super) async fn forget(&self, ids: &[Uuid]) -> sqlx::Result<()> {
        let forget = format!("DELETE FROM outbox WHERE id IN ({})", parameters(1, ids));
        let mut forget = sqlx::query(AssertSqlSafe(forget));
        for id in ids {
            forget = forget.bind(id.to_string());
        }
        forget.execute(self.database.pool()).await.map(drop)
    }

    /// Gives events of a batch back for a time after that pause, unless another relay has them by
    /// now.
    pub(super) async fn put_off(
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
