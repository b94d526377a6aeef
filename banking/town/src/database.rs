//! Databases of a test's own: gone when it has ended, whatever came of it.

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use replybus_testkit::live;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::panic::{AssertUnwindSafe, resume_unwind};
use url::Url;
use uuid::Uuid;

/// Runs a test on a directory of SQLite files, given by its address.
///
/// # Panics
/// As the test does, or the directory can't be made.
///
/// # Cancel safety
/// Safe; dropped, the directory is gone.
pub async fn on_sqlite<T>(test: impl AsyncFnOnce(&str) -> T) -> T {
    let directory = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    test(&format!("sqlite:{}", directory.path().display())).await
}

/// Runs a test on a database of PostgreSQL, given by its address; `None` if there is no server and
/// it may be missing.
///
/// # Panics
/// As the test does, or the database can't be made or dropped, or there is no server and
/// `BUS_REQUIRE_LIVE=1` is set.
///
/// # Cancel safety
/// Dropped before it is ready, the database is left.
pub async fn on_postgres<T>(test: impl AsyncFnOnce(&str) -> T) -> Option<T> {
    let database = PostgresDatabase::create(live::postgres().await?).await;
    let database = database.unwrap_or_else(|error| panic!("{error:#}"));
    let tested = AssertUnwindSafe(test(database.url())).catch_unwind().await;
    let dropped = database.drop().await;
    let outcome = tested.unwrap_or_else(|panic| resume_unwind(panic));
    dropped.unwrap_or_else(|error| panic!("{error:#}"));
    Some(outcome)
}

/// A database on a server that others use, too. To be [dropped](Self::drop).
pub(crate) struct PostgresDatabase {
    server: String,
    name: String,
    url: String,
}

impl PostgresDatabase {
    /// Makes a database under a name that is no other's.
    pub(crate) async fn create(server: String) -> Result<Self> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut url = Url::parse(&server).context("the address of PostgreSQL can't be read")?;
        url.set_path(&name);
        execute(&server, format!("CREATE DATABASE {name}")).await?;
        Ok(Self {
            server,
            name,
            url: url.into(),
        })
    }

    /// Its address. It may hold a password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Drops it, whoever is connected.
    pub(crate) async fn drop(&self) -> Result<()> {
        execute(
            &self.server,
            format!("DROP DATABASE {} WITH (FORCE)", self.name),
        )
        .await
    }
}

async fn execute(server: &str, statement: String) -> Result<()> {
    let mut connection = PgConnection::connect(server)
        .await
        .context("can't reach PostgreSQL")?;
    // It is made of constants and a UUID.
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .context("PostgreSQL refused to make or drop a database")?;
    connection.close().await.context("can't leave PostgreSQL")
}
