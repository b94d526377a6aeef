//! The events that the broker has not confirmed. Each service has a table `outbox` of its own, with
//! `id` (text, the key), `event` (text) and `leased_until`.

use crate::{
    Database,
    database::{Column, after, now, parsed, readable, rows},
};
use contracts::TransactionCompleted;
use replybus::{Context, context::TraceContext};
use serde::{Deserialize, Serialize};
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

/// An event, and the trace of what it tells of: it is emitted in that, by whoever brings it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The event.
    pub event: TransactionCompleted,
    /// The trace, if it is known.
    trace: Option<TraceContext>,
}

impl Told {
    /// An event that tells of the call that is being served.
    #[must_use]
    pub fn now(event: TransactionCompleted) -> Self {
        Self::of(event, Context::current().trace().cloned())
    }

    /// An event that tells of what is done in this trace.
    #[must_use]
    pub fn of(event: TransactionCompleted, trace: Option<TraceContext>) -> Self {
        Self { event, trace }
    }

    /// The text that is stored: what reads the event passes over the rest.
    fn text(&self) -> sqlx::Result<String> {
        let (event, trace) = (&self.event, self.trace.as_ref());
        let stored = StoredTold {
            event,
            traced: Traced {
                traceparent: trace.map(ToString::to_string),
                tracestate: trace.and_then(|trace| Some(trace.state()?.to_owned())),
            },
        };
        serde_json::to_string(&stored).map_err(|error| sqlx::Error::Encode(error.into()))
    }
}

#[derive(Serialize)]
struct StoredTold<'a> {
    #[serde(flatten)]
    event: &'a TransactionCompleted,
    #[serde(flatten)]
    traced: Traced,
}

#[derive(Default, Serialize, Deserialize)]
struct Traced {
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
}

impl Stored {
    /// The trace that it was stored with.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        let traced: Traced = serde_json::from_str(&self.event).ok()?;
        TraceContext::parse(&traced.traceparent?, traced.tracestate.as_deref())
    }
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
    pub fn of(told: &Told) -> sqlx::Result<Self> {
        Ok(Self {
            id: told.event.id.to_string(),
            event: told.text()?,
        })
    }
}

impl Outbox {
    /// That of the service whose database this is.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Puts an event in, within the transaction that does what it tells of, which is that of the call
    /// that is being served.
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
        let text = Told::now(event.clone()).text()?;
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
        events: impl IntoIterator<Item = &Told>,
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
