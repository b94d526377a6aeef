//! What waits at the same time to be written about transfers is written together, all or nothing.
//! What fails so is written alone (`store`), where it can fail for itself.

use crate::record::Transfer;
use chassis::{
    Database,
    database::{Column, Transaction, after, rows},
    outbox::{self, Entry, Outbox},
};
use contracts::{Reference, TransactionCompleted};
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
    outbox: Outbox,
    /// The time that a recorded transfer is left to whoever recorded it.
    lease: Duration,
    record: Arc<str>,
    complete: Arc<str>,
}

impl Groups {
    pub(crate) fn new(database: Database, outbox: Outbox, lease: Duration) -> Self {
        Self {
            record: record(&database).into(),
            complete: complete(&database, &outbox).into(),
            database,
            outbox,
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
        completions: Vec<Completion>,
    ) -> sqlx::Result<Vec<Option<bool>>> {
        let mut seen = HashSet::new();
        let different: Vec<_> = completions
            .iter()
            .filter(|completion| seen.insert(completion.entry.id()))
            .collect();
        let given = rows(&different)?;
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
        let is_first = |Completion { entry, .. }: &Completion| {
            let id = entry.id();
            Some(told.insert(id) && completed.contains(&id.to_string()))
        };
        Ok(completions.iter().map(is_first).collect())
    }

    async fn complete_in(
        &self,
        mut writing: Transaction,
        given: &str,
        completions: &[&Completion],
    ) -> sqlx::Result<Vec<(String,)>> {
        let completed: Vec<(String,)> = sqlx::query_as(safe(&self.complete))
            .bind(given)
            .fetch_all(&mut *writing)
            .await?;
        let is_completed = |entry: &&Entry| {
            let id = entry.id().to_string();
            completed.iter().any(|(completed,)| *completed == id)
        };
        let entries = completions.iter().map(|completion| &completion.entry);
        let entries = entries.filter(is_completed);
        self.outbox.put_all(&mut *writing, entries).await?;
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
fn complete(database: &Database, outbox: &Outbox) -> String {
    let given: Vec<_> = outbox::columns()
        .chain([Column::Integer("settled_at")])
        .collect();
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
        {} JOIN completed ON completed.id = given.id ORDER BY given.id
        RETURNING id",
        database.for_update(),
        outbox.put_from("given")
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

/// A transfer that is completed, with the event that tells of it: as a row that a statement is given.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Completion {
    #[serde(flatten)]
    pub(crate) entry: Entry,
    pub(crate) settled_at: i64,
}

impl Completion {
    /// One of the call that is being served.
    pub(crate) fn of(event: &TransactionCompleted) -> sqlx::Result<Self> {
        Ok(Self {
            entry: outbox::entry(event)?,
            settled_at: event.completed_at.as_microsecond(),
        })
    }
}

/// They are made of constants.
fn safe(statement: &Arc<str>) -> AssertSqlSafe<Arc<str>> {
    AssertSqlSafe(Arc::clone(statement))
}
