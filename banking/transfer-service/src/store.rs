//! The records of transfers, as they are written.
//!
//! Each function is safe to repeat and repeats itself when the database was in the way, as long as
//! somebody waits for it. What is asked at the same time is written together (`group`).

use crate::{
    group::{self, Completion, Groups},
    record::{Rejection, State, Transfer, columns},
};
use chassis::{
    Database,
    database::{Joined, Lane, Transaction, after, now, patiently, readable},
    outbox::Outbox,
};
use contracts::{IdempotencyKey, Reference, UserId};
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// The time that a transfer that is being driven is left alone by recovery. Longer than the account
/// service is given to answer; nothing breaks if it is driven twice.
const LEASE: Duration = Duration::from_secs(6);

/// Transfers taken up at once.
pub(crate) const DUE_MAX: usize = 16;

/// The records of transfers in the database.
#[derive(Debug, Clone)]
pub(crate) struct TransferStore {
    database: Database,
    outbox: Outbox,
    /// What waits to be recorded is recorded together, and so is what waits to be completed.
    recording: Lane<Transfer, bool>,
    completing: Lane<Completion, bool>,
}

impl TransferStore {
    pub(crate) fn new(database: Database, outbox: Outbox) -> Self {
        let groups = Arc::new(Groups::new(database.clone(), outbox.clone(), LEASE));
        let completing = Arc::clone(&groups);
        Self {
            database,
            outbox,
            recording: Lane::new("transfers", group::TOGETHER, move |transfers| {
                Arc::clone(&groups).record(transfers)
            }),
            completing: Lane::new("completions", group::TOGETHER, move |completions| {
                Arc::clone(&completing).complete(completions)
            }),
        }
    }

    /// The transfer that this user asked for under this key.
    pub(crate) async fn find(
        &self,
        user: UserId,
        key: &IdempotencyKey,
    ) -> sqlx::Result<Option<Transfer>> {
        const FIND: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM transfers WHERE from_user = $1 AND idempotency_key = $2"
        );
        let row = patiently(|| {
            sqlx::query(FIND)
                .bind(user.to_string())
                .bind(key.as_str())
                .fetch_optional(self.database.pool())
        });
        row.await?.as_ref().map(Transfer::read).transpose()
    }

    /// The state of a recorded transfer.
    pub(crate) async fn state(&self, id: Uuid) -> sqlx::Result<State> {
        const STATE: &str = "SELECT state, rejection FROM transfers WHERE id = $1";
        let row = patiently(|| {
            sqlx::query(STATE)
                .bind(id.to_string())
                .fetch_one(self.database.pool())
        });
        State::read(&row.await?)
    }

    /// Records a transfer, leased to whoever does so. `false` if its key has one already: which
    /// may be this very one, when nobody heard that it was recorded.
    pub(crate) async fn record(&self, transfer: &Transfer) -> sqlx::Result<bool> {
        match self.recording.join(transfer.clone()).await {
            Joined::Done(is_new) => Ok(is_new),
            Joined::NotReached => Err(sqlx::Error::PoolTimedOut),
            Joined::Alone => self.record_alone(transfer).await,
        }
    }

    async fn record_alone(&self, transfer: &Transfer) -> sqlx::Result<bool> {
        const RECORD: &str = "INSERT INTO transfers (id, from_user, from_username, from_account,
                to_user, to_username, to_account, recipient, amount, idempotency_key, created_at,
                leased_until, reference, state, attempts)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'pending', 0)
            ON CONFLICT (from_user, idempotency_key) DO NOTHING";
        let recorded = patiently(|| {
            let (from, to) = (&transfer.from, &transfer.to);
            sqlx::query(RECORD)
                .bind(transfer.id.to_string())
                .bind(from.user_id.to_string())
                .bind(from.username.as_str())
                .bind(from.account_number.as_str())
                .bind(to.user_id.to_string())
                .bind(to.username.as_str())
                .bind(to.account_number.as_str())
                .bind(transfer.recipient.as_str())
                .bind(transfer.amount.minor_units())
                .bind(transfer.key.as_str())
                .bind(transfer.created_at.as_microsecond())
                .bind(after(LEASE))
                .bind(transfer.reference.as_ref().map(Reference::as_str))
                .execute(self.database.pool())
        });
        Ok(recorded.await?.rows_affected() == 1)
    }

    /// Records that the money was moved, and with it the event that tells so. `false` if the
    /// verdict was known already.
    pub(crate) async fn complete(
        &self,
        transfer: &Transfer,
        posted_at: Timestamp,
    ) -> sqlx::Result<bool> {
        let completion = Completion::of(&transfer.completed(posted_at))?;
        match self.completing.join(completion.clone()).await {
            Joined::Done(is_first) => Ok(is_first),
            Joined::NotReached => Err(sqlx::Error::PoolTimedOut),
            Joined::Alone => {
                patiently(|| {
                    let complete = |writing| complete(writing, &self.outbox, &completion);
                    self.database.transaction(complete)
                })
                .await
            }
        }
    }

    /// Records that the money will never be moved. `false` if the verdict was known already.
    pub(crate) async fn reject(&self, id: Uuid, rejection: Rejection) -> sqlx::Result<bool> {
        const REJECT: &str = "UPDATE transfers
            SET state = 'rejected', rejection = $2, settled_at = $3
            WHERE id = $1 AND state = 'pending'";
        let rejected = patiently(|| {
            sqlx::query(REJECT)
                .bind(id.to_string())
                .bind(rejection.as_str())
                .bind(now())
                .execute(self.database.pool())
        });
        Ok(rejected.await?.rows_affected() == 1)
    }

    /// Takes up transfers that nobody is at work on, those left alone longest first.
    pub(crate) async fn lease_due(&self) -> sqlx::Result<Vec<Transfer>> {
        // Rows are locked in one order, so that replicas never wait for each other in a circle,
        // and looked at again under the lock.
        let lease = format!(
            "WITH due AS (SELECT id FROM transfers WHERE state = 'pending' AND leased_until < $1
                ORDER BY leased_until, id LIMIT {DUE_MAX}{})
            UPDATE transfers SET leased_until = $2, attempts = attempts + 1
            WHERE id IN (SELECT id FROM due) AND state = 'pending' AND leased_until < $1
            RETURNING {}",
            self.database.for_update(),
            columns!(),
        );
        let rows = sqlx::query(AssertSqlSafe(lease))
            .bind(now())
            .bind(after(LEASE))
            .fetch_all(self.database.pool())
            .await?;
        Ok(readable("pending transfers", &rows, Transfer::read))
    }

    /// Gives a transfer that is still pending to whoever takes up the next, unless somebody has it
    /// by now.
    pub(crate) async fn release(&self, transfer: &Transfer) -> sqlx::Result<()> {
        const RELEASE: &str = "UPDATE transfers SET leased_until = $3
            WHERE id = $1 AND attempts = $2 AND state = 'pending'";
        sqlx::query(RELEASE)
            .bind(transfer.id.to_string())
            .bind(transfer.attempts)
            .bind(now())
            .execute(self.database.pool())
            .await
            .map(drop)
    }
}

async fn complete(
    mut writing: Transaction,
    outbox: &Outbox,
    completion: &Completion,
) -> sqlx::Result<bool> {
    const COMPLETE: &str = "UPDATE transfers SET state = 'completed', settled_at = $2
        WHERE id = $1 AND state = 'pending'";
    let completed = sqlx::query(COMPLETE)
        .bind(completion.entry.id().to_string())
        .bind(completion.settled_at)
        .execute(&mut *writing)
        .await?;
    if completed.rows_affected() == 0 {
        writing.rollback().await?;
        return Ok(false);
    }
    outbox.put_entry(&mut *writing, &completion.entry).await?;
    writing.commit().await?;
    Ok(true)
}
