//! What waits at the same time to be written about transfers is written together, all or nothing.
//! What fails so is written alone (`store`), where it can fail for itself.

use crate::record::Transfer;
use chassis::{
    Database,
    database::{Column, Transaction, after, rows},
    outbox::{Given, Outbox, Told},
};
use contracts::Reference;
use serde::Serialize;
use sqlx::AssertSqlSafe;
use std::{collections::HashSet, sync::Arc, time::Duration};

/// Transfers that are written together: as many as share a commit well, and so few that who waits
/// for it does not wait for long.
pub(crate) const TOGETHER: usize = 64;

/// Writes groups.
#[derive(Debug)]
pub(crate) struct Groups {
    database: Database,
    /// The time that a recorded transfer is left to whoever recorded it.
    lease: Duration,
    record: Arc<str>,
    complete: Arc<str>,
}

impl Groups {
    pub(crate) fn new(database: Database, lease: Duration) -> Self {
        Self {
            record: record(&database).into(),
            complete: complete(&database).into(),
            database,
            lease,
        }
    }

    /// Records transfers; of each, whether its key was free. Keys are taken in one order, so that
    /// two groups never wait for each other in a circle.
    pub(crate) async fn record(
        self: Arc<Self>,
        transfers: Vec<Transfer>,
    ) -> sqlx::Result<Vec<Option<bool>>> {
        let given: Vec<_> = transfers.iter().map(GivenTransfer::of).collect();
        let recorded: Vec<(String,)> = sqlx::query_as(safe(&self.record))
            .bind(rows(&given)?)
            .bind(after(self.lease))
            .fetch_all(self.database.pool())
            .await?;
        let recorded: HashSet<String> = recorded.into_iter().map(|(id,)| id).collect();
        let is_new = |given: &GivenTransfer<'_>| Some(recorded.contains(&given.id));
        Ok(given.iter().map(is_new).collect())
    }

    /// Completes transfers, and writes the events that tell so; of each, whether it was pending.
    pub(crate) async fn complete(
        self: Arc<Self>,
        events: Vec<Told>,
    ) -> sqlx::Result<Vec<Option<bool>>> {
        let mut seen = HashSet::new();
        let different: Vec<_> = events
            .iter()
            .filter(|told| seen.insert(told.event.id))
            .collect();
        let given = different.iter().map(|told| GivenCompletion::of(told));
        let given = rows(&given.collect::<sqlx::Result<Vec<_>>>()?)?;
        let completed: Vec<(String,)> = if self.database.changes_tables_at_once() {
            let complete = sqlx::query_as(safe(&self.complete)).bind(given);
            complete.fetch_all(self.database.pool()).await?
        } else {
            let complete = |writing| self.complete_in(writing, &given, &different);
            self.database.transaction(complete).await?
        };
        let completed: HashSet<String> = completed.into_iter().map(|(id,)| id).collect();
        // Whoever is there twice is told once.
        let mut told = HashSet::new();
        let is_first = |Told { event, .. }: &Told| {
            let is_first = told.insert(event.id) && completed.contains(&event.id.to_string());
            Some(is_first)
        };
        Ok(events.iter().map(is_first).collect())
    }

    async fn complete_in(
        &self,
        mut writing: Transaction,
        given: &str,
        events: &[&Told],
    ) -> sqlx::Result<Vec<(String,)>> {
        let completed: Vec<(String,)> = sqlx::query_as(safe(&self.complete))
            .bind(given)
            .fetch_all(&mut *writing)
            .await?;
        let is_completed = |told: &&&Told| {
            let id = told.event.id.to_string();
            completed.iter().any(|(completed,)| *completed == id)
        };
        let events = events.iter().filter(is_completed);
        Outbox::put_all(&self.database, &mut writing, events.copied()).await?;
        writing.commit().await?;
        Ok(completed)
    }
}

fn record(database: &Database) -> String {
    use Column::{Integer, Text};
    let given = [
        Text("id"),
        Text("from_user"),
        Text("from_username"),
        Text("from_account"),
        Text("to_user"),
        Text("to_username"),
        Text("to_account"),
        Text("recipient"),
        Integer("amount"),
        Text("idempotency_key"),
        Integer("created_at"),
        Text("reference"),
    ];
    format!(
        "INSERT INTO transfers (id, from_user, from_username, from_account, to_user, to_username,
            to_account, recipient, amount, idempotency_key, created_at, leased_until, reference,
            state, attempts)
        SELECT id, from_user, from_username, from_account, to_user, to_username,
            to_account, recipient, amount, idempotency_key, created_at, $2, reference,
            'pending', 0
        FROM {} WHERE true ORDER BY from_user, idempotency_key
        ON CONFLICT (from_user, idempotency_key) DO NOTHING
        RETURNING id",
        database.given(1, "given", &given)
    )
}

/// Transfers are locked in the order of their ids.
fn complete(database: &Database) -> String {
    use Column::{Integer, Text};
    let given = [Text("id"), Text("event"), Integer("settled_at")];
    let given = database.given(1, "given", &given);
    let complete = "UPDATE transfers SET state = 'completed', settled_at = given.settled_at";
    if !database.changes_tables_at_once() {
        return format!(
            "{complete} FROM {given} WHERE transfers.id = given.id AND state = 'pending'
            RETURNING transfers.id"
        );
    }
    format!(
        "WITH given AS (SELECT * FROM {given}),
        pending AS (SELECT id FROM transfers
            WHERE id IN (SELECT id FROM given) AND state = 'pending' ORDER BY id{}),
        completed AS ({complete} FROM given
            WHERE transfers.id = given.id AND given.id IN (SELECT id FROM pending)
            AND state = 'pending'
            RETURNING transfers.id)
        INSERT INTO outbox (id, event, leased_until)
        SELECT given.id, given.event, 0 FROM given JOIN completed ON completed.id = given.id
        RETURNING id",
        database.for_update()
    )
}

#[derive(Serialize)]
struct GivenTransfer<'a> {
    id: String,
    from_user: String,
    from_username: &'a str,
    from_account: &'a str,
    to_user: String,
    to_username: &'a str,
    to_account: &'a str,
    recipient: &'a str,
    amount: i64,
    idempotency_key: &'a str,
    created_at: i64,
    reference: Option<&'a str>,
}

impl<'a> GivenTransfer<'a> {
    fn of(transfer: &'a Transfer) -> Self {
        let (from, to) = (&transfer.from, &transfer.to);
        Self {
            id: transfer.id.to_string(),
            from_user: from.user_id.to_string(),
            from_username: from.username.as_str(),
            from_account: from.account_number.as_str(),
            to_user: to.user_id.to_string(),
            to_username: to.username.as_str(),
            to_account: to.account_number.as_str(),
            recipient: &transfer.recipient,
            amount: transfer.amount.minor_units(),
            idempotency_key: transfer.key.as_str(),
            created_at: transfer.created_at.as_microsecond(),
            reference: transfer.reference.as_ref().map(Reference::as_str),
        }
    }
}

#[derive(Serialize)]
struct GivenCompletion {
    #[serde(flatten)]
    event: Given,
    settled_at: i64,
}

impl GivenCompletion {
    fn of(told: &Told) -> sqlx::Result<Self> {
        Ok(Self {
            event: Given::of(told)?,
            settled_at: told.event.completed_at.as_microsecond(),
        })
    }
}

/// They are made of constants.
fn safe(statement: &Arc<str>) -> AssertSqlSafe<Arc<str>> {
    AssertSqlSafe(Arc::clone(statement))
}
