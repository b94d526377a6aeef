//! The table of orders.

use super::order::{Order, Reason, Status, Step};
use crate::{http::Page, numbers};
use chassis::{
    Database,
    database::{after, moment, now, parsed},
};
use replybus::CallId;
use replybus_sql::{Entry, Outbox};
use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};
use std::time::Duration;

/// The time for which an order is left to whoever is at work on it: longer than all its calls take.
const LEASE: Duration = Duration::from_secs(20);
/// The time after which recovery tries an order again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Orders taken up at once.
const DUE_MAX: usize = 32;
const COLUMNS: &str = "id, order_key, user_id, username, product_id, product_name, quantity, \
                       unit_price, total_price, status, reason, step, created_at";

/// The table.
#[derive(Clone)]
pub(super) struct OrderTable {
    database: Database,
    outbox: Outbox,
}

impl OrderTable {
    pub(super) fn new(database: Database, outbox: Outbox) -> Self {
        Self { database, outbox }
    }

    pub(super) async fn next_id(&self) -> sqlx::Result<i64> {
        numbers::next(&self.database, "orders").await
    }

    /// Adds an order, which is left to whoever adds it; `false` if the user has one of this request.
    pub(super) async fn insert(&self, order: &Order, request: Option<&str>) -> sqlx::Result<bool> {
        const INSERT: &str = "INSERT INTO orders
            (id, order_key, user_id, username, request_key, product_id, product_name, quantity,
             unit_price, total_price, status, step, leased_until, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            ON CONFLICT (user_id, request_key) DO NOTHING";
        let inserted = sqlx::query(INSERT)
            .bind(order.id)
            .bind(order.key.to_string())
            .bind(order.user_id)
            .bind(&order.username)
            .bind(request)
            .bind(order.product_id)
            .bind(&order.product_name)
            .bind(order.quantity)
            .bind(order.unit_price)
            .bind(order.total_price)
            .bind(order.status.as_str())
            .bind(order.step.as_str())
            .bind(after(LEASE))
            .bind(order.created_at.as_microsecond())
            .execute(self.database.pool())
            .await?;
        Ok(inserted.rows_affected() == 1)
    }

    pub(super) async fn by_request(&self, user: i64, key: &str) -> sqlx::Result<Option<Order>> {
        let find = format!("SELECT {COLUMNS} FROM orders WHERE user_id = $1 AND request_key = $2");
        let find = sqlx::query(AssertSqlSafe(find)).bind(user).bind(key);
        let found = find.fetch_optional(self.database.pool()).await?;
        found.as_ref().map(read).transpose()
    }

    pub(super) async fn find(&self, id: i64) -> sqlx::Result<Option<Order>> {
        let find = format!("SELECT {COLUMNS} FROM orders WHERE id = $1");
        let find = sqlx::query(AssertSqlSafe(find)).bind(id);
        let found = find.fetch_optional(self.database.pool()).await?;
        found.as_ref().map(read).transpose()
    }

    /// Those of a user, the newest first. What was refused is kept for its request, and is none.
    pub(super) async fn list(&self, user: i64, page: Page) -> sqlx::Result<Vec<Order>> {
        let list = format!(
            "SELECT {COLUMNS} FROM orders WHERE user_id = $1 AND status <> 'rejected'
            ORDER BY id DESC LIMIT $2 OFFSET $3"
        );
        let list = sqlx::query(AssertSqlSafe(list)).bind(user);
        let list = list.bind(page.limit).bind(page.skip);
        let rows = list.fetch_all(self.database.pool()).await?;
        rows.iter().map(read).collect()
    }

    /// How many orders a user has that were paid, and what they cost.
    pub(super) async fn totals(&self, user: i64) -> sqlx::Result<(i64, i64)> {
        const SUM: &str = "SELECT COUNT(*), CAST(COALESCE(SUM(total_price), 0) AS BIGINT)
            FROM orders WHERE user_id = $1 AND status IN ('confirmed', 'shipped', 'delivered')";
        let sum = sqlx::query_as(SUM).bind(user);
        sum.fetch_one(self.database.pool()).await
    }

    /// Records what a step came to, and with it the event of an order that is confirmed; `false` if
    /// somebody else did the step.
    pub(super) async fn record(&self, order: &Order, from: Step) -> sqlx::Result<bool> {
        const RECORD: &str = "UPDATE orders SET product_name = $3, unit_price = $4,
            total_price = $5, status = $6, reason = $7, step = $8
            WHERE order_key = $1 AND step = $2";
        let recording = self.database.transaction(async |mut writing| {
            let record = sqlx::query(RECORD)
                .bind(order.key.to_string())
                .bind(from.as_str())
                .bind(&order.product_name)
                .bind(order.unit_price)
                .bind(order.total_price)
                .bind(order.status.as_str())
                .bind(order.reason.map(Reason::as_str))
                .bind(order.step.as_str());
            let is_first = record.execute(&mut *writing).await?.rows_affected() == 1;
            if is_first && from == Step::Confirm {
                let id = CallId::from_bytes(order.key.into_bytes());
                let created = Entry::of(&order.created())?.with_id(id);
                self.outbox.put_entry(&mut *writing, &created).await?;
            }
            writing.commit().await?;
            Ok(is_first)
        });
        recording.await
    }

    /// Gives an order up that is not paid yet, and with it the key of its request; one that is paid
    /// stays as it is. What is left to do is left to recovery.
    pub(super) async fn abandon(&self, id: i64) -> sqlx::Result<()> {
        const ABANDON: &str = "UPDATE orders SET status = $2, reason = $3, step = 'undo',
            request_key = NULL WHERE id = $1 AND step IN ('reserve', 'charge')";
        const GIVE_BACK: &str = "UPDATE orders SET leased_until = 0 WHERE id = $1";
        let abandon = sqlx::query(ABANDON)
            .bind(id)
            .bind(Status::Rejected.as_str())
            .bind(Reason::ServiceAway.as_str());
        abandon.execute(self.database.pool()).await?;
        let give_back = sqlx::query(GIVE_BACK).bind(id);
        give_back.execute(self.database.pool()).await.map(drop)
    }

    /// Turns the status of an order that nobody is at work on, and leaves what is next to whoever
    /// turns it; `false` if it has another one by now.
    pub(super) async fn turn(&self, order: &Order, from: Status) -> sqlx::Result<bool> {
        const TURN: &str = "UPDATE orders SET status = $3, reason = $4, step = $5,
            leased_until = $6 WHERE id = $1 AND status = $2 AND step = 'done'";
        let turned = sqlx::query(TURN)
            .bind(order.id)
            .bind(from.as_str())
            .bind(order.status.as_str())
            .bind(order.reason.map(Reason::as_str))
            .bind(order.step.as_str())
            .bind(after(LEASE))
            .execute(self.database.pool())
            .await?;
        Ok(turned.rows_affected() == 1)
    }

    /// Gives an order back that does not get on, for a while.
    pub(super) async fn put_off(&self, id: i64) -> sqlx::Result<()> {
        const PUT_OFF: &str = "UPDATE orders SET leased_until = $2 WHERE id = $1";
        let put_off = sqlx::query(PUT_OFF).bind(id).bind(after(AGAIN_AFTER));
        put_off.execute(self.database.pool()).await.map(drop)
    }

    /// Takes orders that are begun and that nobody is at work on, those left alone longest first: one
    /// that does not get on is behind all others when it was put off.
    pub(super) async fn lease_due(&self) -> sqlx::Result<Vec<Order>> {
        let lease = format!(
            "WITH due AS (SELECT id FROM orders WHERE step <> 'done' AND leased_until < $1
                ORDER BY leased_until, id LIMIT {DUE_MAX}{})
            UPDATE orders SET leased_until = $2
            WHERE id IN (SELECT id FROM due) AND leased_until < $1 RETURNING {COLUMNS}",
            self.database.for_update()
        );
        let lease = sqlx::query(AssertSqlSafe(lease))
            .bind(now())
            .bind(after(LEASE));
        let rows = lease.fetch_all(self.database.pool()).await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> sqlx::Result<Order> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let reason: Option<String> = row.try_get("reason")?;
    Ok(Order {
        id: row.try_get("id")?,
        key: parsed(&text("order_key")?)?,
        user_id: row.try_get("user_id")?,
        username: text("username")?,
        product_id: row.try_get("product_id")?,
        product_name: text("product_name")?,
        quantity: row.try_get("quantity")?,
        unit_price: row.try_get("unit_price")?,
        total_price: row.try_get("total_price")?,
        status: text("status")?.parse().map_err(decode)?,
        reason: reason
            .map(|reason| reason.parse().map_err(decode))
            .transpose()?,
        step: text("step")?.parse().map_err(decode)?,
        created_at: moment(row.try_get("created_at")?)?,
    })
}

fn decode(error: String) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}
