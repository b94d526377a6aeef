//! The table of statements of months. Each function is safe to repeat, and repeats itself while the
//! database fails in passing.

use super::{
    JobTicket, no_statement,
    record::{Record, State, columns},
    sums::Added,
};
use crate::failure::{Failure, retry};
use chassis::{
    Database,
    database::{Transaction, moment, now},
};
use contracts::{
    IdempotencyKey, Refused, UserId, account::AccountError, month_statement::MonthOrder,
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, any::AnyRow};
use std::time::Duration;
use uuid::Uuid;

/// Statements of one user that are kept: of two years. With one more the oldest goes that is not
/// being made.
const KEPT_MAX: i64 = 24;
/// Statements of one user that are being made at once. A person looks at one or two; each may keep a
/// worker busy for a while.
const OPEN_MAX: u32 = 3;
/// Statements are kept for so long: they can be made again.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Old ones that are thrown away at a time.
const SWEPT_AT_ONCE: u32 = 500;

/// The statements in the database.
#[derive(Debug, Clone)]
pub(crate) struct MonthTable {
    database: Database,
}

impl MonthTable {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// The one that this user asked for under this key.
    pub(super) async fn find(
        &self,
        user: UserId,
        key: &IdempotencyKey,
    ) -> Result<Option<Record>, AccountError> {
        const FIND: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM month_statements WHERE user_id = $1 AND idempotency_key = $2"
        );
        retry(|| async {
            let row = sqlx::query(FIND)
                .bind(user.to_string())
                .bind(key.as_str())
                .fetch_optional(self.database.pool())
                .await?;
            read(row)
        })
        .await
    }

    /// Those of a user, newest first.
    pub(super) async fn all(&self, user: UserId) -> Result<Vec<Record>, AccountError> {
        const ALL: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM month_statements WHERE user_id = $1 ORDER BY id DESC LIMIT 100"
        );
        retry(|| async {
            let rows = sqlx::query(ALL)
                .bind(user.to_string())
                .fetch_all(self.database.pool())
                .await?;
            let all = chassis::database::readable("statements of months", &rows, Record::read);
            Ok(all)
        })
        .await
    }

    /// One, whoever's it is.
    pub(super) async fn one(&self, id: Uuid) -> Result<Option<Record>, AccountError> {
        retry(|| self.one_once(id)).await
    }

    async fn one_once(&self, id: Uuid) -> Result<Option<Record>, Failure> {
        const ONE: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM month_statements WHERE id = $1"
        );
        let row = sqlx::query(ONE)
            .bind(id.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        read(row)
    }

    /// One of this user's: another's is none.
    pub(super) async fn of_user(&self, user: UserId, id: Uuid) -> Result<Record, AccountError> {
        let record = self.one(id).await?;
        record
            .filter(|record| record.user == user)
            .ok_or_else(no_statement)
    }

    /// Records one, of the account as it is now; or finds the one of its key.
    pub(super) async fn begin(
        &self,
        user: UserId,
        order: &MonthOrder,
        bounds: (Timestamp, Timestamp),
    ) -> Result<Record, AccountError> {
        let id = Uuid::now_v7();
        retry(|| async {
            self.database
                .transaction(|writing| self.insert(writing, id, user, order, bounds))
                .await
        })
        .await?;
        let record = self.find(user, &order.key).await?;
        record.ok_or_else(|| Refused::Unavailable.into())
    }

    async fn insert(
        &self,
        mut writing: Transaction,
        id: Uuid,
        user: UserId,
        order: &MonthOrder,
        (begins, ends): (Timestamp, Timestamp),
    ) -> Result<(), Failure> {
        const OPEN: &str = "SELECT COUNT(*) FROM month_statements
            WHERE user_id = $1 AND state = 'open' AND idempotency_key <> $2 AND created_at > $3";
        const INSERT: &str = "INSERT INTO month_statements (id, user_id, idempotency_key, month,
                time_zone, begins_at, ends_at, up_to, state, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9)
            ON CONFLICT (user_id, idempotency_key) DO NOTHING";
        const KEEP: &str = "DELETE FROM month_statements
            WHERE user_id = $1 AND state <> 'open' AND id NOT IN (
                SELECT id FROM month_statements WHERE user_id = $1 ORDER BY id DESC LIMIT $2)";
        // One after the other for each user, so that nobody has one more than allowed.
        let account = format!(
            "SELECT entries FROM accounts WHERE user_id = $1{}",
            self.database.for_update()
        );
        let account: Option<(i64,)> = sqlx::query_as(AssertSqlSafe(account))
            .bind(user.to_string())
            .fetch_optional(&mut *writing)
            .await?;
        let (entries,) = account.ok_or_else(|| AccountError::NotFound("Account".to_owned()))?;
        let (open,): (i64,) = sqlx::query_as(OPEN)
            .bind(user.to_string())
            .bind(order.key.as_str())
            .bind(ago(super::BEGUN_WITHIN * 2))
            .fetch_one(&mut *writing)
            .await?;
        if open >= i64::from(OPEN_MAX) {
            writing.rollback().await?;
            return Err(AccountError::TooManyStatements(OPEN_MAX).into());
        }
        sqlx::query(INSERT)
            .bind(id.to_string())
            .bind(user.to_string())
            .bind(order.key.as_str())
            .bind(order.month.to_string())
            .bind(order.time_zone.as_str())
            .bind(begins.as_microsecond())
            .bind(ends.as_microsecond())
            .bind(entries)
            .bind(now())
            .execute(&mut *writing)
            .await?;
        sqlx::query(KEEP)
            .bind(user.to_string())
            .bind(KEPT_MAX)
            .execute(&mut *writing)
            .await?;
        Ok(writing.commit().await?)
    }

    /// Keeps the ticket of the job of a statement; the first one stays.
    pub(super) async fn keep_ticket(
        &self,
        id: Uuid,
        ticket: &JobTicket,
    ) -> Result<(), AccountError> {
        const KEEP: &str =
            "UPDATE month_statements SET ticket = $2 WHERE id = $1 AND ticket IS NULL";
        let ticket = serde_json::to_string(ticket);
        let ticket = ticket.map_err(|error| super::unavailable(&error))?;
        retry(|| async {
            let keep = sqlx::query(KEEP).bind(id.to_string()).bind(&ticket);
            keep.execute(self.database.pool()).await?;
            Ok(())
        })
        .await
    }

    /// Settles one that is open; `false` if it was not.
    pub(super) async fn settle(&self, id: Uuid, state: State) -> Result<bool, AccountError> {
        const SETTLE: &str =
            "UPDATE month_statements SET state = $2 WHERE id = $1 AND state = 'open'";
        retry(|| async {
            let settled = sqlx::query(SETTLE)
                .bind(id.to_string())
                .bind(state.word())
                .execute(self.database.pool())
                .await?;
            Ok(settled.rows_affected() == 1)
        })
        .await
    }

    /// Writes down how far an open one is, and that it is made if it is; `false` if it is not as far
    /// as `from` any more, or not open.
    pub(super) async fn advance(
        &self,
        record: &Record,
        from: i64,
        state: State,
    ) -> Result<bool, Failure> {
        const ADVANCE: &str =
            "UPDATE month_statements SET state = $3, looked_at = $4, opening = $5,
                paid_in = $6, paid_out = $7, entries = $8, first_number = $9, last_number = $10
            WHERE id = $1 AND state = 'open' AND looked_at = $2";
        let sums = &record.sums;
        let advanced = sqlx::query(ADVANCE)
            .bind(record.id.to_string())
            .bind(from)
            .bind(state.word())
            .bind(sums.looked_at)
            .bind(sums.opening)
            .bind(sums.paid_in)
            .bind(sums.paid_out)
            .bind(sums.entries)
            .bind(sums.first)
            .bind(sums.last)
            .execute(self.database.pool())
            .await?;
        Ok(advanced.rows_affected() == 1)
    }

    /// One as it is now, for whoever makes it.
    pub(super) async fn open(&self, id: Uuid) -> Result<Option<Record>, Failure> {
        let record = self.one_once(id).await?;
        Ok(record.filter(|record| record.state == State::Open))
    }

    /// The entries on the account of a user with numbers above `after`, as many as `span`, in order.
    pub(super) async fn span(
        &self,
        record: &Record,
        after: i64,
        span: i64,
    ) -> Result<Vec<Added>, Failure> {
        const SPAN: &str = "SELECT e.number, e.side * e.amount, p.posted_at
            FROM accounts account
            JOIN entries e ON e.account_number = account.account_number
                AND e.number > $2 AND e.number <= $3
            JOIN postings p ON p.id = e.posting
            WHERE account.user_id = $1 ORDER BY e.number";
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(SPAN)
            .bind(record.user.to_string())
            .bind(after)
            .bind(after.saturating_add(span).min(record.up_to))
            .fetch_all(self.database.pool())
            .await?;
        let entries = rows.into_iter().map(|(number, amount, posted_at)| {
            Ok::<_, sqlx::Error>(Added {
                number,
                amount,
                posted_at: moment(posted_at)?,
            })
        });
        Ok(entries.collect::<Result<_, _>>()?)
    }

    /// Throws some away that are old; `true` if there may be more.
    pub(super) async fn sweep(&self) -> sqlx::Result<bool> {
        let sweep = format!(
            "DELETE FROM month_statements WHERE id IN (
                SELECT id FROM month_statements WHERE created_at < $1 LIMIT {SWEPT_AT_ONCE})"
        );
        let swept = sqlx::query(AssertSqlSafe(sweep))
            .bind(ago(KEPT_FOR))
            .execute(self.database.pool())
            .await?;
        Ok(swept.rows_affected() == u64::from(SWEPT_AT_ONCE))
    }
}

fn read(row: Option<AnyRow>) -> Result<Option<Record>, Failure> {
    Ok(row.as_ref().map(Record::read).transpose()?)
}

/// That long before now, as it is stored.
fn ago(time: Duration) -> i64 {
    now().saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}
