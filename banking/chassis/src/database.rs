//! A service's own database: a schema of PostgreSQL or a file of SQLite, with one set of queries.
//!
//! The queries use what both understand: `$1` parameters, `BIGINT` and `TEXT`, `ON CONFLICT`,
//! `RETURNING`. Two things differ and are asked of [`Database`]: how a transaction that writes
//! begins, and how rows are locked. Moments are `BIGINT` microseconds since 1970 in UTC, ids are
//! `TEXT`, and there are no booleans, for SQLite has none. A sum is cast: `CAST(SUM(x) AS BIGINT)`.
//!
//! A transaction must run in a task that is not aborted: dropped while `BEGIN` is under way, sqlx
//! 0.9 can give the open transaction back to the pool, and what others then write in it is lost.
//! The handler of a command is such a task; anything else spawns one.

use crate::settings::PlatformSettings;
use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable};
use jiff::Timestamp;
use sqlx::{
    Any, AnyPool, AssertSqlSafe, Connection, Executor, Transaction, any::AnyPoolOptions,
    migrate::Migrator,
};
use std::{fmt, path::PathBuf, time::Duration};
use url::Url;

/// A connection is waited for so long.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that was not used for so long is asked whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// A database that is not there yet is waited for so long at start.
const START_WITHIN: Duration = Duration::from_secs(60);
/// PostgreSQL ends a statement, a wait for a lock, and an idle transaction after so long.
const STATEMENT_TIMEOUT: &str = "5s";
const LOCK_TIMEOUT: &str = "3s";
const IDLE_IN_TRANSACTION_TIMEOUT: &str = "10s";

/// An open database. Clones share its connections.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    kind: Kind,
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
    /// It can't be reached or made, or holds what a newer version of the service left.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, a migration is rolled back.
    pub async fn open(
        settings: &PlatformSettings,
        schema: &'static str,
        migrations: &Migrator,
    ) -> anyhow::Result<Self> {
        sqlx::any::install_default_drivers();
        let url = settings.database_url.reveal();
        let kind = if url.starts_with("sqlite:") {
            Kind::Sqlite
        } else {
            Kind::Postgres
        };
        let (url, connections) = match kind {
            Kind::Sqlite => (sqlite_url(url, schema)?, 1),
            Kind::Postgres => (postgres_url(url, schema)?, settings.database_connections),
        };
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A connection in steady use shows by its statements whether it is still there, and
            // asking before each use would cost a round trip. One that has been idle is asked, or a
            // restarted database would be met with dead connections only.
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    if used.idle_for > ASK_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if kind == Kind::Sqlite {
                        // One writes while others read, and what is committed is on disk.
                        connection.execute("PRAGMA journal_mode = WAL").await?;
                        connection.execute("PRAGMA synchronous = FULL").await?;
                        connection.execute("PRAGMA busy_timeout = 5000").await?;
                    }
                    Ok(())
                })
            });
        // A database in memory lives as long as its one connection.
        let pool = match kind {
            Kind::Sqlite => pool
                .min_connections(1)
                .idle_timeout(None)
                .max_lifetime(None),
            Kind::Postgres => pool,
        };
        let pool = pool
            .connect_lazy(&url)
            .context("the address of the database can't be read")?;
        let database = Self { pool, kind };
        let patient = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(2))
            .with_total_delay(Some(START_WITHIN))
            .without_max_times();
        (|| database.migrate(schema, migrations))
            .retry(patient)
            .when(passes)
            .notify(|error, pause| {
                tracing::warn!(
                    schema,
                    "the database is not ready, again in {pause:?}: {error:#}"
                );
            })
            .await
            .with_context(|| format!("the database of {schema} can't be used"))?;
        Ok(database)
    }

    async fn migrate(&self, schema: &str, migrations: &Migrator) -> anyhow::Result<()> {
        if self.kind == Kind::Postgres {
            // The names of schemas are constants of ours.
            let create = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
            sqlx::query(create)
                .execute(&self.pool)
                .await
                .context("can't make the schema")?;
        }
        migrations.run(&self.pool).await.context("can't migrate")
    }

    /// The connections, for statements that stand alone.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a transaction that writes.
    ///
    /// # Errors
    /// The database can't be reached, or is too busy.
    ///
    /// # Cancel safety
    /// Not safe: must not be dropped before it is ready. See the module.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Any>> {
        match self.kind {
            Kind::Postgres => self.pool.begin().await,
            // A transaction that reads first and then writes would fail when it writes.
            Kind::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await,
        }
    }

    /// What ends a `SELECT` whose rows nobody else may change until this transaction ends. With
    /// `ORDER BY` on a column that never changes, rows are locked in that order.
    #[must_use]
    pub fn for_update(&self) -> &'static str {
        match self.kind {
            Kind::Postgres => " FOR UPDATE",
            // Only one transaction writes at a time.
            Kind::Sqlite => "",
        }
    }

    /// Whether the database answers.
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn is_up(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// Closes the connections, when those in use are given back.
    ///
    /// # Cancel safety
    /// Safe; no new connections are given out from the first poll.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Whether what a start failed with passes by itself: the database is not there yet, or another
/// replica has just made the schema.
fn passes(error: &anyhow::Error) -> bool {
    let made_meanwhile = |error: &sqlx::Error| {
        let code = error.as_database_error().and_then(|error| error.code());
        matches!(code.as_deref(), Some("23505" | "42P06" | "42P07"))
    };
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<sqlx::Error>())
        .any(|error| is_transient(error) || made_meanwhile(error))
}

/// Whether a statement or transaction that failed so may succeed when it is repeated whole: the
/// connection was lost, nobody could be reached, or others were in the way. Whether it was carried
/// out is then unknown, so only what is safe to repeat may be repeated.
#[must_use]
pub fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => match error.code().as_deref() {
            // PostgreSQL: connection exceptions (08), insufficient resources (53), operator
            // intervention such as a shutdown (57P), serialization failure, deadlock, lock and
            // statement timeout, and a transaction that was ended because it was idle.
            Some(code) if code.starts_with("08") || code.starts_with("53") => true,
            Some("25P03" | "40001" | "40P01" | "55P03" | "57014" | "57P01" | "57P02" | "57P03") => {
                true
            }
            // SQLite: busy and locked, extended codes included.
            Some("5" | "6" | "261" | "262" | "517" | "773") => true,
            _ => false,
        },
        _ => false,
    }
}

/// Pauses between repetitions of what failed with a [transient](is_transient) error: 5 in about a
/// second.
#[must_use]
pub fn patience() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_millis(500))
        .with_jitter()
        .with_max_times(5)
}

/// Now, as it is stored.
#[must_use]
pub fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// A stored moment.
///
/// # Errors
/// It is out of the range that can be shown.
pub fn moment(stored: i64) -> sqlx::Result<Timestamp> {
    Timestamp::from_microsecond(stored).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Reads a stored text, such as an id.
///
/// # Errors
/// It can't be read.
pub fn parsed<T: std::str::FromStr<Err: Into<sqlx::error::BoxDynError>>>(
    stored: &str,
) -> sqlx::Result<T> {
    stored
        .parse()
        .map_err(|error: T::Err| sqlx::Error::Decode(error.into()))
}

fn sqlite_url(url: &str, schema: &str) -> anyhow::Result<String> {
    let place = url.strip_prefix("sqlite:").unwrap_or(url);
    let place = place.strip_prefix("//").unwrap_or(place);
    if place == ":memory:" {
        return Ok("sqlite::memory:".to_owned());
    }
    let directory = PathBuf::from(place);
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("can't make {}", directory.display()))?;
    let file = directory.join(format!("{schema}.db"));
    // sqlx reads the path as a part of an address.
    let file = file.display().to_string();
    let file = file
        .replace('%', "%25")
        .replace('?', "%3F")
        .replace('#', "%23");
    Ok(format!("sqlite://{file}?mode=rwc"))
}

fn postgres_url(url: &str, schema: &str) -> anyhow::Result<String> {
    // The reason names no part of the address: it may hold a password.
    let mut url = Url::parse(url).context("the address of the database can't be read")?;
    let options = [
        ("search_path", schema),
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
        (
            "idle_in_transaction_session_timeout",
            IDLE_IN_TRANSACTION_TIMEOUT,
        ),
    ];
    for (option, value) in options {
        url.query_pairs_mut()
            .append_pair(&format!("options[{option}]"), value);
    }
    Ok(url.into())
}
