//! A service's own database: a schema of PostgreSQL or a file of SQLite, with one set of queries.
//!
//! The queries use what both understand: `$1` parameters, `BIGINT` and `TEXT`, `ON CONFLICT`,
//! `RETURNING`. What differs is asked of [`Database`]: how a transaction that writes begins, and
//! how rows and names are locked. Moments are `BIGINT` microseconds since 1970 in UTC, ids are
//! `TEXT`, and there are no booleans, for SQLite has none. A sum is cast: `CAST(SUM(x) AS BIGINT)`.
//!
//! Every wait for the database has an end: [`Connections`] lends a connection for one statement or
//! one transaction, and closes one that falls silent. [`patiently`] repeats what failed in passing.

mod address;
mod connections;
mod lane;
mod migration;
mod rest;
mod retry;
mod rows;
mod spans;
mod stored;

pub use connections::{Connections, Transaction};
pub use lane::{Joined, Lane};
pub use migration::{migrator, version_of};
pub use retry::{is_transient, is_unacceptable, patiently};
pub use rows::{Column, rows};
pub use stored::{after, count, like_containing, moment, now, parsed, readable, summed};

use crate::settings::{HAS_TLS, PlatformSettings, gives_up_encryption};
use anyhow::Context as _;
use replybus_sql::Dialect;
use sqlx::{AnyConnection, Connection, Executor, any::AnyPoolOptions, migrate::Migrator};
use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A connection is waited for so long.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was not used for so long is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// It answers within this, or another one is made while there is time.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// PostgreSQL ends a statement after so long. One of a migration is not ended: an index on a large
/// table takes what it takes.
const STATEMENT_TIMEOUT: &str = "5s";
const MIGRATION_STATEMENT_TIMEOUT: &str = "0";
/// The end of the address of a database in memory.
const IN_MEMORY: &str = "?mode=memory";

/// An open database. Clones share its connections.
#[derive(Clone)]
pub struct Database {
    connections: Connections,
    kind: Kind,
    /// A database in memory lives as long as a connection to it, and sqlx closes one that was
    /// dropped in the middle of something. This one is never used.
    _keeps: Option<Arc<Mutex<AnyConnection>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Sqlite,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the database of the service `schema` and brings it up to date. One that is not there
    /// yet is waited for, for a minute.
    ///
    /// # Errors
    /// It can't be reached or made, or a migration fails or is not what it was when it was made.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, a migration is made or not, as a whole.
    pub async fn open(
        settings: &PlatformSettings,
        schema: &'static str,
        migrations: &Migrator,
    ) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        #[cfg(feature = "tls")]
        provide_cryptography();
        let url = settings.database_url.reveal();
        let kind = if url.starts_with("sqlite:") {
            Kind::Sqlite
        } else {
            Kind::Postgres
        };
        let (url, connections) = match kind {
            Kind::Sqlite => {
                let tls = &settings.database_tls;
                tls.check("PostgreSQL", Some(&settings.database_url), "postgres")?;
                (address::sqlite(url, schema)?, 1)
            }
            Kind::Postgres => {
                let tls = &settings.database_tls;
                if gives_up_encryption(url, HAS_TLS) {
                    tracing::warn!(
                        "the connections to PostgreSQL are not encrypted: this program was built \
                         without the feature `tls`"
                    );
                }
                let own = address::postgres(url, tls, schema, MIGRATION_STATEMENT_TIMEOUT)?;
                migration::on_connections_of_its_own(&own, schema, migrations).await?;
                let url = address::postgres(url, tls, schema, STATEMENT_TIMEOUT)?;
                (url, settings.database_connections)
            }
        };
        let keeps = if kind == Kind::Sqlite && url.ends_with(IN_MEMORY) {
            Some(Arc::new(Mutex::new(AnyConnection::connect(&url).await?)))
        } else {
            None
        };
        let pool = pool_options(kind, connections)
            .connect_lazy(&url)
            .context("the address of the database can't be read")?;
        if kind == Kind::Sqlite {
            // Only one writes at a time, and it is this pool's.
            migration::on_the_pool(&pool, schema, migrations).await?;
        }
        Ok(Self {
            connections: Connections::new(pool, kind),
            kind,
            _keeps: keeps,
        })
    }

    /// The executor of statements that stand alone.
    #[must_use]
    pub fn pool(&self) -> &Connections {
        &self.connections
    }

    /// Runs a transaction that writes, and whose end is up to `work`.
    ///
    /// # Errors
    /// Those of `work`, or of the database: it can't be reached, is too busy, or fell silent. Of
    /// one that was lost while it committed it is not known whether it did.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the transaction did nothing, unless it was being committed.
    pub async fn transaction<T, E, F>(&self, work: impl FnOnce(Transaction) -> F) -> Result<T, E>
    where
        E: From<sqlx::Error>,
        F: Future<Output = Result<T, E>>,
    {
        let mut span = spans::transaction(self.kind);
        let begun = self.connections.begin().await;
        spans::ended(&mut span, &begun);
        self.connections.bounded(work(begun?)).await
    }

    /// The end of a `SELECT` whose rows nobody else may change until this transaction ends. With
    /// `ORDER BY` on a column that never changes, rows are locked in that order.
    #[must_use]
    pub fn for_update(&self) -> &'static str {
        match self.kind {
            Kind::Postgres => " FOR UPDATE",
            // Only one transaction writes at a time.
            Kind::Sqlite => "",
        }
    }

    /// Waits until no other transaction holds this name, and holds it until this one ends: for what
    /// has no row that could be locked.
    ///
    /// # Errors
    /// Those of the database; another one may have held the name for too long.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the name may be held until the transaction ends.
    pub async fn hold(&self, writing: &mut Transaction, name: &str) -> sqlx::Result<()> {
        const HOLD: &str = "SELECT 1 FROM pg_advisory_xact_lock(hashtextextended($1, 0))";
        match self.kind {
            Kind::Postgres => {
                let hold = sqlx::query(HOLD).bind(name);
                hold.execute(&mut **writing).await.map(drop)
            }
            // Only one transaction writes at a time.
            Kind::Sqlite => Ok(()),
        }
    }

    /// What it understands, for what `replybus-sql` does with it.
    pub(crate) fn dialect(&self) -> Dialect {
        match self.kind {
            Kind::Postgres => Dialect::Postgres,
            Kind::Sqlite => Dialect::Sqlite,
        }
    }

    /// `true` if one statement may change several tables (`WITH changed AS (UPDATE ..) INSERT ..`).
    #[must_use]
    pub fn changes_tables_at_once(&self) -> bool {
        self.kind == Kind::Postgres
    }

    /// `true` if the database answers.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn is_up(&self) -> bool {
        sqlx::query("SELECT 1").execute(self.pool()).await.is_ok()
    }

    /// Closes the connections, when those in use are given back. Those of PostgreSQL that are not
    /// within 6 s are left to the end of the process.
    ///
    /// # Cancel safety
    /// Safe; no new connections are given out from the first poll.
    pub async fn close(&self) {
        self.connections.close().await;
    }
}

/// sqlx takes the provider of the process where it verifies a chain, and panics if there is none.
/// All of this program use the same one.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    // The error says that it was installed before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn pool_options(kind: Kind, connections: u32) -> AnyPoolOptions {
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT);
    match kind {
        // It has none of them at rest, and asks nothing.
        Kind::Postgres => pool.test_before_acquire(false),
        Kind::Sqlite => pool
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // One writes while others read, and what is committed is on disk.
                    connection.execute("PRAGMA journal_mode = WAL").await?;
                    connection.execute("PRAGMA synchronous = FULL").await?;
                    connection.execute("PRAGMA busy_timeout = 5000").await?;
                    Ok(())
                })
            }),
    }
}
