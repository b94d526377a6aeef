//! The drivers of sqlx: a statement with its values goes in, rows of values come out. All else in
//! this crate is the same for each of them.

#![cfg_attr(
    not(any(feature = "any", feature = "postgres", feature = "sqlite")),
    allow(unused, reason = "there is no driver")
)]

use super::Dialect;
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Database, Execute, Row as _};
use std::sync::Arc;

/// A driver of sqlx that the tables of this crate can be reached by: `sqlx::Postgres`,
/// `sqlx::Sqlite`, and `sqlx::Any` over these two; each with the feature of that name.
#[diagnostic::on_unimplemented(
    message = "no inbox and no outbox can be in a database of `{Self}`",
    note = "the features `postgres`, `sqlite` and `any` of `replybus-sql` say which can"
)]
pub trait Backend: Statements {}

impl<D: Statements> Backend for D {}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Bytes,
}

impl Kind {
    /// Its type in PostgreSQL.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Integer => "BIGINT",
            Self::Bytes => "BYTEA",
        }
    }
}

/// A value of a statement or a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(Some(number))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(bytes))
    }
}

/// The values of a row, from the first on.
#[derive(Debug)]
pub struct Cells(std::vec::IntoIter<Value>);

impl Cells {
    /// The next one, a text.
    pub(crate) fn text(&mut self) -> Option<String> {
        match self.0.next()? {
            Value::Text(text) => text,
            Value::Integer(_) | Value::Bytes(_) => None,
        }
    }

    /// The next one, a number.
    pub(crate) fn integer(&mut self) -> Option<i64> {
        match self.0.next()? {
            Value::Integer(number) => number,
            Value::Text(_) | Value::Bytes(_) => None,
        }
    }

    /// The next one, bytes.
    pub(crate) fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.0.next()? {
            Value::Bytes(bytes) => bytes,
            Value::Text(_) | Value::Integer(_) => None,
        }
    }
}

/// A driver, told what to do.
pub trait Statements: Database {
    /// What the database understands that this connection leads to.
    fn dialect(connection: &Self::Connection) -> sqlx::Result<Dialect>;

    fn query(sql: &Arc<str>, values: Vec<Value>) -> impl Execute<'static, Self> + 'static;

    /// Returns how many rows were affected.
    fn execute<'c>(
        connection: &'c mut Self::Connection,
        sql: &Arc<str>,
        values: Vec<Value>,
    ) -> BoxFuture<'c, sqlx::Result<u64>>;

    fn fetch<'c>(
        connection: &'c mut Self::Connection,
        sql: &Arc<str>,
        values: Vec<Value>,
        kinds: &'static [Kind],
    ) -> BoxFuture<'c, sqlx::Result<Vec<Cells>>>;

    fn affected(result: &Self::QueryResult) -> u64;

    fn read(row: &Self::Row, kinds: &[Kind]) -> sqlx::Result<Cells>;
}

macro_rules! statements {
    ($driver:ty, $dialect:expr) => {
        impl Statements for $driver {
            fn dialect(connection: &Self::Connection) -> sqlx::Result<Dialect> {
                $dialect(connection)
            }

            fn query(sql: &Arc<str>, values: Vec<Value>) -> impl Execute<'static, Self> + 'static {
                // All is made of constants, and of names of tables that were looked at.
                let mut query = sqlx::query::<Self>(AssertSqlSafe(Arc::clone(sql)));
                for value in values {
                    query = match value {
                        Value::Text(text) => query.bind(text),
                        Value::Integer(number) => query.bind(number),
                        Value::Bytes(bytes) => query.bind(bytes),
                    };
                }
                query
            }

            fn execute<'c>(
                connection: &'c mut Self::Connection,
                sql: &Arc<str>,
                values: Vec<Value>,
            ) -> BoxFuture<'c, sqlx::Result<u64>> {
                use sqlx::Executor as _;
                let query = Self::query(sql, values);
                Box::pin(async move { Ok(connection.execute(query).await?.rows_affected()) })
            }

            fn fetch<'c>(
                connection: &'c mut Self::Connection,
                sql: &Arc<str>,
                values: Vec<Value>,
                kinds: &'static [Kind],
            ) -> BoxFuture<'c, sqlx::Result<Vec<Cells>>> {
                use sqlx::Executor as _;
                let query = Self::query(sql, values);
                Box::pin(async move {
                    let rows = connection.fetch_all(query).await?;
                    rows.iter().map(|row| Self::read(row, kinds)).collect()
                })
            }

            fn affected(result: &Self::QueryResult) -> u64 {
                result.rows_affected()
            }

            fn read(row: &Self::Row, kinds: &[Kind]) -> sqlx::Result<Cells> {
                let values = kinds.iter().enumerate().map(|(place, kind)| {
                    Ok(match kind {
                        Kind::Text => Value::Text(row.try_get(place)?),
                        Kind::Integer => Value::Integer(row.try_get(place)?),
                        Kind::Bytes => Value::Bytes(row.try_get(place)?),
                    })
                });
                let values: sqlx::Result<Vec<_>> = values.collect();
                Ok(Cells(values?.into_iter()))
            }
        }
    };
}

#[cfg(feature = "postgres")]
statements!(sqlx::Postgres, |_: &sqlx::PgConnection| Ok(
    Dialect::Postgres
));
#[cfg(feature = "sqlite")]
statements!(sqlx::Sqlite, |_: &sqlx::SqliteConnection| Ok(
    Dialect::Sqlite
));
#[cfg(feature = "any")]
statements!(sqlx::Any, |connection: &sqlx::AnyConnection| {
    match connection.backend_name() {
        "PostgreSQL" => Ok(Dialect::Postgres),
        "SQLite" => Ok(Dialect::Sqlite),
        other => Err(sqlx::Error::Configuration(
            format!("the database is {other}: PostgreSQL and SQLite are known").into(),
        )),
    }
});
