//! Bringing a schema up to date, when the service starts.
//!
//! While a release rolls out, or is rolled back, a schema can be newer than the program: what it
//! has beyond that is left alone. A migration whose name ends with `_postgres` or `_sqlite` is for
//! that kind of database alone.
//!
//! sqlx's own `migrate!` needs its macros, which compile the drivers of all databases once more.

use super::{ACQUIRE_TIMEOUT, Kind, retry};
use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable};
use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, Connection, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use std::{error::Error, future::Future, io, time::Duration};
use tokio::time::timeout;

/// A database that is not there yet, or on which another replica is at work, is waited for so long.
const START_WITHIN: Duration = Duration::from_secs(60);

/// The migrations of the package that writes this, by the names of their files in its directory
/// `migrations`: `chassis::migrations!["0001_accounts", "0002_limits"]`. Once one has run anywhere,
/// its file stays as it is.
#[macro_export]
macro_rules! migrations {
    ($($name:literal),+ $(,)?) => {
        $crate::database::migrator(&[$((
            const { $crate::database::version_of($name) },
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $name, ".sql")),
        )),+])
    };
}

/// The version of the migration in the file `NAME.sql`.
///
/// # Panics
/// The name is not a positive number, `_` and words.
#[must_use]
pub const fn version_of(name: &str) -> i64 {
    let (mut version, mut rest) = (0, name.as_bytes());
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        version = version * 10 + (*digit - b'0') as i64;
        rest = after;
    }
    assert!(version > 0 && matches!(rest, [b'_', _, ..]));
    version
}

/// Migrations, each of a version, the name of its file and what is in it. As sqlx's `migrate!`
/// would make them, so that it takes for the same what it finds in a database.
#[must_use]
pub fn migrator(migrations: &[(i64, &'static str, &'static str)]) -> Migrator {
    let migrations = migrations.iter().map(|(version, name, sql)| {
        let description = name.split_once('_').map_or(*name, |(_, words)| words);
        Migration::new(
            *version,
            description.replace('_', " ").into(),
            MigrationType::Simple,
            (*sql).into_sql_str(),
            sql.starts_with("-- no-transaction"),
        )
    });
    Migrator::with_migrations(migrations.collect())
}

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

/// `true` if what a start failed with passes by itself: the database is not there yet, or another
/// replica is migrating, or has just made the schema.
fn passes(error: &anyhow::Error) -> bool {
    let made_meanwhile = |error: &sqlx::Error| {
        let code = error.as_database_error().and_then(|error| error.code());
        matches!(code.as_deref(), Some("23505" | "42P06" | "42P07"))
    };
    let error: &(dyn Error + 'static) = error.as_ref();
    retry::of_database(error).is_some_and(|error| {
        !retry::is_of_certificate(error) && (retry::is_transient(error) || made_meanwhile(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Digest as _;
    use std::{fs, path::Path};

    #[test]
    fn a_migration_is_what_sqlx_makes_of_its_file() {
        let made = migrator(&[(2, "0002_two_words", "SELECT 1")]);
        let made = made.iter().next().unwrap();
        assert_eq!((made.version, made.no_tx), (2, false));
        assert_eq!(made.description, "two words");
        // SHA-384: what is in the tables of those that ran it.
        let checksum = sha2::Sha384::digest("SELECT 1");
        assert_eq!(*made.checksum, *checksum);
        assert_eq!(version_of("0012_name"), 12);
    }

    #[test]
    fn every_file_of_every_service_is_named_by_it() {
        let banking = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut seen = 0;
        for package in fs::read_dir(banking).unwrap() {
            let package = package.unwrap().path();
            let Ok(files) = fs::read_dir(package.join("migrations")) else {
                continue;
            };
            let source = fs::read_to_string(package.join("src/lib.rs")).unwrap();
            for file in files {
                let path = file.unwrap().path();
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert!(
                    source.contains(&format!("\"{name}\"")),
                    "{}",
                    path.display()
                );
                seen += 1;
            }
        }
        assert!(seen > 0);
    }
}
