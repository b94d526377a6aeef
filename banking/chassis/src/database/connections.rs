//! Connections, lent for one statement or one transaction at a time, and never for long.
//!
//! sqlx waits for an answer for as long as TCP does, which is a quarter of an hour, and asks a
//! connection once more before it gives it back, a round trip after every statement. So a server
//! that falls silent, rather than going away, would take every place. Here each wait has an end,
//! a connection that was in the middle of something is closed, and all others [rest](Rest) where
//! sqlx does not ask them.

use super::{
    Kind,
    rest::{AtRest, Place, Rest},
    spans,
};
use futures_util::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sqlx::{
    Any, AnyConnection, AnyPool, Either, Execute, Executor, SqlStr,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
};
use std::{
    future::Future,
    io,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// A statement or a transaction on PostgreSQL ends within this. The server ends a statement after
/// 5 s by itself: where there is no answer by then, there is no server. A transaction that takes
/// longer has nobody who waits for it.
const WORK_WITHIN: Duration = Duration::from_secs(6);
/// An executor of statements that stand alone: each gets a connection for its time.
#[derive(Debug, Clone)]
pub struct Connections {
    pool: AnyPool,
    kind: Kind,
    /// Those of PostgreSQL that nobody uses.
    rest: Arc<Rest>,
}

impl Connections {
    pub(super) fn new(pool: AnyPool, kind: Kind) -> Self {
        let places = pool.options().get_max_connections();
        Self {
            rest: Arc::new(Rest::new(pool.clone(), places)),
            pool,
            kind,
        }
    }

    /// Waits for what is done with a connection, and not for ever. One that falls silent is hardly
    /// the only one: those at rest go with it.
    pub(super) async fn bounded<T, E: From<sqlx::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        // A file does not fall silent.
        if self.kind == Kind::Sqlite {
            return work.await;
        }
        timeout(WORK_WITHIN, work).await.unwrap_or_else(|_| {
            tracing::warn!("the database fell silent, its connections are closed");
            self.rest.close_all();
            let silent = format!("no answer within {WORK_WITHIN:?}");
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, silent)).into())
        })
    }

    pub(super) async fn begin(&self) -> sqlx::Result<Transaction> {
        let began = match self.kind {
            Kind::Postgres => {
                let mut lent = self.lend().await?;
                let began = self.bounded(lent.execute("BEGIN")).await;
                lent.close_if_lost(&began);
                began?;
                Began::Postgres(lent)
            }
            // One that reads first and then writes would fail when it writes.
            Kind::Sqlite => Began::Sqlite(self.pool.begin_with("BEGIN IMMEDIATE").await?),
        };
        Ok(Transaction(began))
    }

    pub(super) async fn close(&self) {
        match self.kind {
            Kind::Sqlite => self.pool.close().await,
            Kind::Postgres => {
                let closing = self.pool.close();
                self.rest.close_all();
                // What does not end in time ends with the process.
                let _ = timeout(WORK_WITHIN, closing).await;
            }
        }
    }

    async fn lend(&self) -> sqlx::Result<Lent> {
        let lent = match self.kind {
            Kind::Sqlite => Held::Sqlite(self.pool.acquire().await?),
            Kind::Postgres => {
                let (at_rest, place) = self.rest.lend().await?;
                Held::Postgres(Some((at_rest, place)))
            }
        };
        Ok(Lent {
            held: lent,
            is_at_rest: false,
        })
    }
}

impl<'c> Executor<'c> for &Connections {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, sqlx::Result<Either<AnyQueryResult, AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let connections = self.clone();
        // Read to the end first: who is slow with the rows keeps no connection.
        let fetched = async move {
            let mut span = spans::statement(connections.kind);
            let fetched = async {
                let mut lent = connections.lend().await?;
                let fetching = async {
                    let fetched = lent.fetch_many(query).try_collect::<Vec<_>>().await;
                    lent.rest_after(&fetched);
                    fetched
                };
                connections.bounded(fetching).await
            };
            let fetched = fetched.await;
            spans::ended(&mut span, &fetched);
            fetched
        };
        let rows = fetched.map_ok(|rows| stream::iter(rows.into_iter().map(Ok)));
        rows.try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<AnyRow>>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let mut rows = self.fetch(query);
        async move { rows.try_next().await }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, sqlx::Result<AnyStatement>>
    where
        'c: 'e,
    {
        let connections = self.clone();
        let prepared = async move {
            let mut lent = connections.lend().await?;
            let preparing = async {
                let prepared = lent.prepare_with(sql, parameters).await;
                lent.rest_after(&prepared);
                prepared
            };
            connections.bounded(preparing).await
        };
        prepared.boxed()
    }
}

/// A connection in use, at rest when nothing of it is under way. On PostgreSQL one that is not is
/// closed when it is dropped: given back, it would take what is under way along, such as a
/// transaction that the server has begun and sqlx has not heard of.
#[derive(Debug)]
struct Lent {
    held: Held,
    is_at_rest: bool,
}

#[derive(Debug)]
enum Held {
    /// sqlx gives it back, when its thread is done with what is under way.
    Sqlite(PoolConnection<Any>),
    /// There until it is dropped.
    Postgres(Option<(AtRest, Place)>),
}

impl Lent {
    /// Lets it rest after a statement, unless that showed that the connection is lost.
    fn rest_after<T>(&mut self, done: &sqlx::Result<T>) {
        self.is_at_rest = !self.close_if_lost(done);
    }

    /// Closes those at rest if a statement showed that this connection is lost, and says so. It is
    /// the server that went, or the way to it, and one that rested for a moment is lent unasked.
    fn close_if_lost<T>(&self, done: &sqlx::Result<T>) -> bool {
        let is_lost = done.as_ref().is_err_and(is_lost);
        if is_lost && let Held::Postgres(Some((_, place))) = &self.held {
            place.close_others();
        }
        is_lost
    }
}

/// `true` if a statement that failed so says that there is no connection any more.
fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed => true,
        // PostgreSQL: connection exceptions, and its own end; and one that is only read is a standby,
        // or became one: the address may lead to the server that is written to by now.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("57P") || code == "25006"
        }),
        _ => false,
    }
}

impl Deref for Lent {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match &self.held {
            Held::Sqlite(connection) => connection,
            Held::Postgres(Some((at_rest, _))) => at_rest,
            Held::Postgres(None) => unreachable!("it is given back when it is dropped"),
        }
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match &mut self.held {
            Held::Sqlite(connection) => connection,
            Held::Postgres(Some((at_rest, _))) => at_rest,
            Held::Postgres(None) => unreachable!("it is given back when it is dropped"),
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Held::Postgres(held) = &mut self.held
            && let Some((connection, place)) = held.take()
        {
            if self.is_at_rest {
                place.give_back(connection);
            } else {
                connection.close();
            }
        }
    }
}

/// A transaction, in which statements are executed (`&mut *transaction`). Dropped before it is
/// committed, it did nothing; while it is being committed, that is not known.
#[derive(Debug)]
pub struct Transaction(Began);

#[derive(Debug)]
enum Began {
    Postgres(Lent),
    Sqlite(sqlx::Transaction<'static, Any>),
}

impl Transaction {
    /// Makes it last.
    ///
    /// # Errors
    /// The database refuses, or was lost: then whether it lasts is not known.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, whether it lasts is not known.
    pub async fn commit(self) -> sqlx::Result<()> {
        match self.0 {
            Began::Postgres(lent) => end(lent, "COMMIT").await,
            Began::Sqlite(transaction) => transaction.commit().await,
        }
    }

    /// Undoes it, and keeps its connection, unlike one that is dropped.
    ///
    /// # Errors
    /// The database was lost; it did nothing then, too.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn rollback(self) -> sqlx::Result<()> {
        match self.0 {
            Began::Postgres(lent) => end(lent, "ROLLBACK").await,
            Began::Sqlite(transaction) => transaction.rollback().await,
        }
    }
}

async fn end(mut lent: Lent, statement: &'static str) -> sqlx::Result<()> {
    let ended = lent.execute(statement).await;
    lent.close_if_lost(&ended);
    ended?;
    lent.is_at_rest = true;
    Ok(())
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        match &self.0 {
            Began::Postgres(lent) => lent,
            Began::Sqlite(transaction) => transaction,
        }
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        match &mut self.0 {
            Began::Postgres(lent) => lent,
            Began::Sqlite(transaction) => transaction,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Database;
    use crate::settings::PlatformSettings;
    use sqlx::migrate::Migrator;

    #[tokio::test]
    async fn what_is_in_memory_outlives_a_connection() {
        let settings = PlatformSettings::default();
        let open = async || {
            let opened = Database::open(&settings, "memory", &Migrator::DEFAULT);
            opened.await.unwrap()
        };
        let database = open().await;
        let create = sqlx::query("CREATE TABLE kept (n BIGINT)");
        create.execute(database.pool()).await.unwrap();
        let lent = database.connections.pool.acquire().await.unwrap();
        lent.close().await.unwrap();
        let insert = "INSERT INTO kept VALUES (1)";
        sqlx::query(insert).execute(database.pool()).await.unwrap();
        // It is nobody else's.
        let other = open().await;
        assert!(sqlx::query(insert).execute(other.pool()).await.is_err());
    }
}
