//! What PostgreSQL does alone with the statements of transfers, a transfer at a time: what a bank
//! that posts one transfer in a transaction could reach, if all around the database were free.
//!
//! Three transactions, as the bank has them, each of one statement in one round trip: the transfer
//! is recorded, posted, and completed with its event in the outbox. The tables are those that the
//! bank began with, constraints, indexes and triggers included.

use super::report::Row;
use crate::load::{Load, closed_loop};
use anyhow::{Context as _, Result, ensure};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::time::Duration;
use uuid::Uuid;

/// Connections that are tried, to find the best number.
pub const CLIENTS: [u32; 6] = [1, 4, 8, 10, 16, 64];
/// Accounts that money is moved between.
const ACCOUNTS: i64 = 100;
/// What each has at first.
const BALANCE: i64 = 1_000_000_000;

/// First steps of the bank's tables, which never change.
const TABLES: [&str; 5] = [
    include_str!("../../../banking/account-service/migrations/0001_ledger.sql"),
    include_str!("../../../banking/transfer-service/migrations/0001_transfers.sql"),
    include_str!("../../../banking/transfer-service/migrations/0002_counts.sql"),
    include_str!("../../../banking/transfer-service/migrations/0003_counting_postgres.sql"),
    include_str!("../../../banking/transfer-service/migrations/0005_reference.sql"),
];

const OPEN: &str = "INSERT INTO accounts
    (account_number, user_id, username, username_key, balance, entries, opened_at)
    SELECT 'account-' || n, 'user-' || n, 'User ' || n, 'user ' || n, $2, 0, 0
    FROM generate_series(0, $1 - 1) AS n";

const RECORD: &str = "INSERT INTO transfers (id, from_user, from_username, from_account, to_user,
        to_username, to_account, recipient, amount, idempotency_key, created_at, leased_until,
        state, attempts)
    VALUES ($1, 'user-' || $2, 'User ' || $2, 'account-' || $2, 'user-' || $3, 'User ' || $3,
        'account-' || $3, 'User ' || $3, $4, $1, 0, 0, 'pending', 0)
    ON CONFLICT (from_user, idempotency_key) DO NOTHING";

const POST: &str = "WITH locked AS MATERIALIZED (
        SELECT account_number FROM accounts WHERE account_number IN ($2, $3)
        ORDER BY account_number FOR UPDATE
    ), posting AS (
        INSERT INTO postings (id, owner, idempotency_key, kind, from_account, to_account, amount,
            verdict, posted_at)
        VALUES ($1, 'transfer', $1, 'transfer', $2, $3, $4, 'posted', 0)
    ), moved AS (
        UPDATE accounts SET entries = entries + 1,
            balance = balance + CASE accounts.account_number WHEN $3 THEN $4 ELSE -$4 END
        FROM locked WHERE accounts.account_number = locked.account_number
        RETURNING accounts.account_number, balance, entries
    )
    INSERT INTO entries (posting, side, amount, account_number, number, balance)
    SELECT $1, CASE account_number WHEN $3 THEN 1 ELSE -1 END, $4, account_number, entries, balance
    FROM moved";

const COMPLETE: &str = "WITH completed AS (
        UPDATE transfers SET state = 'completed', settled_at = 1
        WHERE id = $1 AND state = 'pending' RETURNING id
    )
    INSERT INTO outbox (id, event, leased_until) SELECT id, $2, 0 FROM completed";

/// Tables of this run's own, in a schema of the database that the address names.
struct Tables {
    url: String,
    schema: String,
}

/// Measures each number of clients, and removes the tables, also when that fails. `progress` is told
/// of each.
///
/// # Errors
/// PostgreSQL can't be reached or refuses, or money was made or lost.
pub async fn run(url: &str, length: Duration, progress: impl Fn(&Row)) -> Result<Vec<Row>> {
    let tables = Tables {
        url: url.to_owned(),
        schema: format!("bench_{}", Uuid::new_v4().simple()),
    };
    let rows = tables.measure(length, progress).await;
    let dropped = tables.drop().await;
    if rows.is_ok() {
        dropped.context("could not clean up")?;
    }
    rows
}

impl Tables {
    async fn measure(&self, length: Duration, progress: impl Fn(&Row)) -> Result<Vec<Row>> {
        self.make().await.context("could not make tables")?;
        let mut rows: Vec<Row> = Vec::new();
        for clients in CLIENTS {
            let load = Load {
                callers: clients,
                ramp: super::RAMP,
                length,
            };
            let pool = self.pool(clients).await?;
            let transfers = pool.clone();
            let slice = closed_loop(load, move |_| transfer(transfers.clone())).await?;
            pool.close().await;
            let row = Row::new("postgres", clients, slice, 0, rows.first());
            progress(&row);
            rows.push(row);
        }
        self.audit().await?;
        Ok(rows)
    }

    async fn make(&self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let schema = &self.schema;
        // It is made of constants and a UUID.
        let make = format!("CREATE SCHEMA {schema}; SET search_path = {schema}");
        connection.execute(AssertSqlSafe(make)).await?;
        for tables in TABLES {
            connection.execute(tables).await?;
        }
        let open = sqlx::query(OPEN).bind(ACCOUNTS).bind(BALANCE);
        open.execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    async fn pool(&self, connections: u32) -> Result<PgPool> {
        let options: PgConnectOptions = self.url.parse()?;
        let options = options.options([("search_path", self.schema.as_str())]);
        let pool = PgPoolOptions::new()
            .min_connections(connections)
            .max_connections(connections)
            .test_before_acquire(false);
        Ok(pool.connect_with(options).await?)
    }

    /// Money is where it was put, and no transfer was left half done.
    async fn audit(&self) -> Result<()> {
        const AUDIT: &str = "SELECT (SELECT SUM(balance)::BIGINT FROM accounts),
            (SELECT SUM(side * amount)::BIGINT FROM entries),
            (SELECT COUNT(*) FROM transfers) - (SELECT COUNT(*) FROM outbox),
            (SELECT 2 * COUNT(*) FROM postings) - (SELECT COUNT(*) FROM entries)";
        let pool = self.pool(1).await?;
        let audit: (i64, i64, i64, i64) = sqlx::query_as(AUDIT).fetch_one(&pool).await?;
        pool.close().await;
        ensure!(
            audit == (ACCOUNTS * BALANCE, 0, 0, 0),
            "the books of PostgreSQL alone are wrong: {audit:?}"
        );
        Ok(())
    }

    async fn drop(&self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema);
        connection.execute(AssertSqlSafe(drop)).await?;
        Ok(connection.close().await?)
    }
}

/// Moves one unit between two accounts that are drawn anew.
async fn transfer(pool: PgPool) -> Result<()> {
    let from = rand::random_range(0..ACCOUNTS);
    let to = (from + rand::random_range(1..ACCOUNTS)) % ACCOUNTS;
    let id = Uuid::new_v4().to_string();
    let mut connection = pool.acquire().await?;
    let record = sqlx::query(RECORD)
        .bind(&id)
        .bind(from.to_string())
        .bind(to.to_string())
        .bind(1_i64);
    record.execute(&mut *connection).await?;
    let post = sqlx::query(POST)
        .bind(&id)
        .bind(format!("account-{from}"))
        .bind(format!("account-{to}"))
        .bind(1_i64);
    let entered = post.execute(&mut *connection).await?;
    ensure!(entered.rows_affected() == 2, "a posting has not two sides");
    // About as long as the bank's event.
    let event =
        format!(r#"{{"id":"{id}","amount":1,"from":"account-{from}","to":"account-{to}"}}"#);
    let complete = sqlx::query(COMPLETE).bind(&id).bind(event);
    complete.execute(&mut *connection).await?;
    Ok(())
}
