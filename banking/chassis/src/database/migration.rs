//! Bringing a schema up to date, when the service starts.
//!
//! While a release rolls out, or is rolled back, a schema can be newer than the program: what it
//! has beyond that is left alone. A migration whose name ends with `_postgres` or `_sqlite` is for
//! that kind of database alone.

use super::{ACQUIRE_TIMEOUT, Kind, retry};
use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, migrate::Migrator};
use std::{error::Error, future::Future, io, time::Duration};
use tokio::time::timeout;

/// A database that is not there yet, or on which another replica is at work, is waited for so long.
const START_WITHIN: Duration = Duration::from_secs(60);

/// Migrates through connections that nothing else uses, each closed at the end, and with it the
/// lock that keeps other replicas waiting.
pub(super) async fn on_connections_of_its_own(
    url: &str,
    schema: &str,
    migrations: &Migrator,
) -> anyhow::Result<()> {
    let migrations = &chosen(migrations, Kind::Postgres);
    until_it_is_there(schema, || async move {
        let connecting = timeout(ACQUIRE_TIMEOUT, AnyConnection::connect(url)).await;
        let mut connection = connecting
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
            .context("can't connect")?;
        // The names of schemas are constants of ours.
        let create = AssertSqlSafe(format!("CREATE SCHEMA IF NOT EXISTS {schema}"));
        sqlx::query(create)
            .execute(&mut connection)
            .await
            .context("can't make the schema")?;
        let migrated = migrations.run_direct(None, &mut connection, false).await;
        migrated.context("can't migrate")?;
        connection.close().await.context("can't close")
    })
    .await
}

/// Migrates through a connection of the pool.
pub(super) async fn on_the_pool(
    pool: &AnyPool,
    schema: &str,
    migrations: &Migrator,
) -> anyhow::Result<()> {
    let migrations = &chosen(migrations, Kind::Sqlite);
    until_it_is_there(schema, || async move {
        migrations.run(pool).await.context("can't migrate")
    })
    .await
}

fn chosen(migrations: &Migrator, kind: Kind) -> Migrator {
    let others = match kind {
        Kind::Postgres => " sqlite",
        Kind::Sqlite => " postgres",
    };
    let chosen = migrations.iter();
    let chosen = chosen.filter(|migration| !migration.description.ends_with(others));
    let mut chosen = Migrator::with_migrations(chosen.cloned().collect());
    chosen.set_ignore_missing(true);
    chosen
}

async fn until_it_is_there<F>(schema: &str, migrate: impl FnMut() -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let patient = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_total_delay(Some(START_WITHIN))
        .without_max_times();
    migrate
        .retry(patient)
        .when(passes)
        .notify(|error, pause| {
            tracing::warn!(
                schema,
                "the database is not ready, again in {pause:?}: {error:#}"
            );
        })
        .await
        .with_context(|| format!("the database of {schema} can't be used"))
}

/// Whether what a start failed with passes by itself: the database is not there yet, or another
/// replica is migrating, or has just made the schema.
fn passes(error: &anyhow::Error) -> bool {
    let made_meanwhile = |error: &sqlx::Error| {
        let code = error.as_database_error().and_then(|error| error.code());
        matches!(code.as_deref(), Some("23505" | "42P06" | "42P07"))
    };
    let error: &(dyn Error + 'static) = error.as_ref();
    retry::of_database(error)
        .is_some_and(|error| retry::is_transient(error) || made_meanwhile(error))
}
