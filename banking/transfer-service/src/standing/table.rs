//! The table of standing orders. Each function is safe to repeat, and repeats itself while the
//! database fails in passing.

use super::record::{Standing, columns, word};
use crate::record::as_asked;
use chassis::{
    Database,
    database::{Transaction, count, now, patiently, readable},
    outbox::{Outbox, entry},
};
use contracts::{
    IdempotencyKey, Page, PageRequest, Party, Reference, TransactionCompleted, UserId,
    standing_order::{NewStandingOrder, StandingOrder, StandingOutcome, StandingState},
};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use uuid::Uuid;

/// Orders of one user that go on at the same time. A household has ten or so.
pub(super) const ACTIVE_MAX: u32 = 100;
/// Orders of one user in all: those that are over stay to be looked at, until there are so many.
const KEPT_MAX: i64 = 500;
/// Orders that are overdue, taken up at once.
const OVERDUE_MAX: usize = 32;

/// Behind which order the next ones begin: when it is due, and its id.
pub(super) type Place = (i64, String);

/// The orders in the database.
#[derive(Debug, Clone)]
pub(crate) struct StandingTable {
    database: Database,
    outbox: Outbox,
}

/// What came of recording an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    /// It is there now.
    New,
    /// It was there before, under its key.
    There,
    /// Its user has as many as allowed.
    TooMany,
}

impl StandingTable {
    pub(crate) fn new(database: Database, outbox: Outbox) -> Self {
        Self { database, outbox }
    }

    /// The one that this user ordered under this key.
    pub(super) async fn find(
        &self,
        user: UserId,
        key: &IdempotencyKey,
    ) -> sqlx::Result<Option<Standing>> {
        const FIND: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM standing_orders WHERE user_id = $1 AND idempotency_key = $2"
        );
        let row = patiently(|| {
            sqlx::query(FIND)
                .bind(user.to_string())
                .bind(key.as_str())
                .fetch_optional(self.database.pool())
        });
        row.await?.as_ref().map(Standing::read).transpose()
    }

    /// One, whoever's it is.
    pub(super) async fn one(&self, id: Uuid) -> sqlx::Result<Option<Standing>> {
        const ONE: &str = concat!("SELECT ", columns!(), " FROM standing_orders WHERE id = $1");
        let row = patiently(|| {
            sqlx::query(ONE)
                .bind(id.to_string())
                .fetch_optional(self.database.pool())
        });
        row.await?.as_ref().map(Standing::read).transpose()
    }

    /// Those of a user, newest first, but first those that go on: however many are over, they are on
    /// the first pages.
    pub(super) async fn of_user(
        &self,
        user: UserId,
        page: PageRequest,
    ) -> sqlx::Result<Page<StandingOrder>> {
        const COUNT: &str = "SELECT COUNT(*) FROM standing_orders WHERE user_id = $1";
        const PAGE: &str = concat!(
            "SELECT ",
            columns!(),
            " FROM standing_orders WHERE user_id = $1
            ORDER BY CASE state WHEN 'active' THEN 0 ELSE 1 END, id DESC LIMIT $2 OFFSET $3"
        );
        let (total,): (i64,) = sqlx::query_as(COUNT)
            .bind(user.to_string())
            .fetch_one(self.database.pool())
            .await?;
        let rows = sqlx::query(PAGE)
            .bind(user.to_string())
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(self.database.pool())
            .await?;
        let read = |row| Standing::read(row).map(Standing::shown);
        Ok(page.of(count(total)?, readable("standing orders", &rows, read)))
    }

    /// Records one, unless its key has one.
    pub(super) async fn record(
        &self,
        user: UserId,
        order: &NewStandingOrder,
        to: &Party,
    ) -> sqlx::Result<Recorded> {
        let id = Uuid::now_v7();
        patiently(|| {
            let record = |writing| self.insert(writing, id, user, order, to);
            self.database.transaction::<_, sqlx::Error, _>(record)
        })
        .await
    }

    async fn insert(
        &self,
        mut writing: Transaction,
        id: Uuid,
        user: UserId,
        order: &NewStandingOrder,
        to: &Party,
    ) -> sqlx::Result<Recorded> {
        const INSERT: &str = "INSERT INTO standing_orders (id, user_id, idempotency_key, recipient,
                to_username, to_account, amount, reference, first_at, unit, unit_count, time_zone,
                until_at, times, state, next_at, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 'active', $9, $15)
            ON CONFLICT (user_id, idempotency_key) DO NOTHING";
        const ACTIVE: &str = "SELECT COUNT(*) FROM standing_orders
            WHERE user_id = $1 AND state = 'active'";
        const KEEP: &str = "DELETE FROM standing_orders
            WHERE user_id = $1 AND state <> 'active' AND id NOT IN (
                SELECT id FROM standing_orders WHERE user_id = $1 ORDER BY id DESC LIMIT $2)";
        // One after the other for each user, so that nobody has one more than allowed.
        let name = format!("standing orders of {user}");
        self.database.hold(&mut writing, &name).await?;
        let inserted = sqlx::query(INSERT)
            .bind(id.to_string())
            .bind(user.to_string())
            .bind(order.key.as_str())
            .bind(as_asked(&order.to))
            .bind(to.username.as_str())
            .bind(to.account_number.as_str())
            .bind(order.amount.minor_units())
            .bind(order.reference.as_ref().map(Reference::as_str))
            .bind(order.first_at.as_microsecond())
            .bind(order.every.unit().word())
            .bind(i64::from(order.every.count()))
            .bind(order.time_zone.as_str())
            .bind(order.until.map(Timestamp::as_microsecond))
            .bind(order.times.map(i64::from))
            .bind(now())
            .execute(&mut *writing)
            .await?;
        if inserted.rows_affected() == 0 {
            writing.rollback().await?;
            return Ok(Recorded::There);
        }
        // With the new one.
        let (active,): (i64,) = sqlx::query_as(ACTIVE)
            .bind(user.to_string())
            .fetch_one(&mut *writing)
            .await?;
        if active > i64::from(ACTIVE_MAX) {
            writing.rollback().await?;
            return Ok(Recorded::TooMany);
        }
        sqlx::query(KEEP)
            .bind(user.to_string())
            .bind(KEPT_MAX)
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        Ok(Recorded::New)
    }

    /// Ends one of a user that goes on.
    pub(super) async fn cancel(&self, user: UserId, id: Uuid) -> sqlx::Result<()> {
        const CANCEL: &str = "UPDATE standing_orders SET state = 'cancelled', next_at = NULL
            WHERE id = $1 AND user_id = $2 AND state = 'active'";
        let cancelled = patiently(|| {
            sqlx::query(CANCEL)
                .bind(id.to_string())
                .bind(user.to_string())
                .execute(self.database.pool())
        });
        cancelled.await.map(drop)
    }

    /// Writes down what came of the time that `order` was read at, and when the next one is; nothing
    /// if somebody did before. One that was cancelled meanwhile stays so. The event that tells of it
    /// is written with it, so that nobody is told twice.
    pub(super) async fn advance(
        &self,
        order: &Standing,
        outcome: &StandingOutcome,
        next_at: Option<Timestamp>,
        tells: Option<&TransactionCompleted>,
    ) -> sqlx::Result<bool> {
        patiently(|| {
            let outbox = &self.outbox;
            let advance = |writing| advance_in(writing, outbox, order, outcome, next_at, tells);
            self.database.transaction::<_, sqlx::Error, _>(advance)
        })
        .await
    }

    /// Some of the orders whose time has come before this moment, those that wait longest first, and
    /// where the next ones begin, if there may be more. So those that can't be made, or read, keep no
    /// others back.
    pub(super) async fn overdue(
        &self,
        before: i64,
        (next_at, id): &Place,
    ) -> sqlx::Result<(Vec<Standing>, Option<Place>)> {
        let overdue = format!(
            "SELECT {} FROM standing_orders WHERE state = 'active' AND next_at < $1
            AND next_at >= $2 AND (next_at > $2 OR id > $3)
            ORDER BY next_at, id LIMIT {OVERDUE_MAX}",
            columns!()
        );
        let rows = sqlx::query(AssertSqlSafe(overdue))
            .bind(before)
            .bind(*next_at)
            .bind(id)
            .fetch_all(self.database.pool())
            .await?;
        let last = rows.last().filter(|_| rows.len() == OVERDUE_MAX);
        let place =
            |row: &AnyRow| Ok::<_, sqlx::Error>((row.try_get("next_at")?, row.try_get("id")?));
        let next = last.map(place).transpose()?;
        let read = readable("overdue standing orders", &rows, Standing::read);
        Ok((read, next))
    }
}

async fn advance_in(
    mut writing: Transaction,
    outbox: &Outbox,
    order: &Standing,
    outcome: &StandingOutcome,
    next_at: Option<Timestamp>,
    tells: Option<&TransactionCompleted>,
) -> sqlx::Result<bool> {
    const ADVANCE: &str = "UPDATE standing_orders SET occurrence = occurrence + 1,
            state = CASE WHEN state = 'active' THEN $3 ELSE state END,
            next_at = CASE WHEN state = 'active' THEN CAST($4 AS BIGINT) ELSE NULL END,
            last_due_at = $5, last_made = $6, last_reason = $7
        WHERE id = $1 AND occurrence = $2";
    let state = match next_at {
        Some(_) => StandingState::Active,
        None => StandingState::Ended,
    };
    let advanced = sqlx::query(ADVANCE)
        .bind(order.id.to_string())
        .bind(i64::from(order.occurrence))
        .bind(word(state))
        .bind(next_at.map(Timestamp::as_microsecond))
        .bind(outcome.due_at.as_microsecond())
        .bind(i64::from(outcome.made))
        .bind(outcome.reason.as_deref())
        .execute(&mut *writing)
        .await?;
    if advanced.rows_affected() == 0 {
        writing.rollback().await?;
        return Ok(false);
    }
    if let Some(event) = tells {
        outbox.put_entry(&mut *writing, &entry(event)?).await?;
    }
    writing.commit().await?;
    Ok(true)
}
