//! What a schema goes through while releases come and go.

use crate::migrations;
use chassis::{Database, settings::PlatformSettings};
use sqlx::{
    AssertSqlSafe, SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};
use town::database::{on_postgres, on_sqlite};

/// The migrations of this version, and one that comes with the next.
fn and(name: &'static str, sql: &str) -> Migrator {
    let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let later = Migration::new(1_000, name.into(), MigrationType::Simple, sql, false);
    let migrations = migrations();
    let known = migrations.iter().cloned();
    Migrator::with_migrations(known.chain([later]).collect())
}

async fn migrated(url: &str, migrations: &Migrator) -> Database {
    let opened = Database::open(&PlatformSettings::with_database(url), "notes", migrations).await;
    opened.unwrap()
}

async fn an_older_version_starts_on_what_a_newer_one_left(url: &str) {
    let later = and("later", "CREATE TABLE later (id BIGINT NOT NULL)");
    let newer = migrated(url, &later).await;
    let older = migrated(url, &migrations()).await;
    for database in [&newer, &older] {
        let written = sqlx::query("INSERT INTO later (id) VALUES (1)").execute(database.pool());
        written.await.unwrap();
    }
    newer.close().await;
    older.close().await;
}

#[tokio::test]
async fn an_older_version_starts_on_what_a_newer_one_left_in_sqlite() {
    on_sqlite(an_older_version_starts_on_what_a_newer_one_left).await;
}

#[tokio::test]
async fn an_older_version_starts_on_what_a_newer_one_left_in_postgres() {
    on_postgres(an_older_version_starts_on_what_a_newer_one_left).await;
}

/// Keeps the bounds that hold while it runs. There are none in SQLite, nor such a function.
const KEEP_BOUNDS: &str = "CREATE TABLE bounds AS SELECT
    current_setting('statement_timeout') AS statement, current_setting('lock_timeout') AS lock";

#[tokio::test]
async fn a_migration_takes_the_time_that_it_takes_and_no_lock_for_long() {
    on_postgres(async |url| {
        let migrations = and("bounds postgres", KEEP_BOUNDS);
        let database = migrated(url, &migrations).await;
        let bounds =
            sqlx::query_as("SELECT statement, lock FROM bounds").fetch_one(database.pool());
        let bounds: (String, String) = bounds.await.unwrap();
        assert_eq!(bounds, ("0".to_owned(), "3s".to_owned()));
        let later = sqlx::query_as("SELECT current_setting('statement_timeout')");
        let later: (String,) = later.fetch_one(database.pool()).await.unwrap();
        assert_eq!(later.0, "5s");
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_migration_for_one_kind_of_database_is_not_made_in_the_other() {
    migrated("sqlite::memory:", &and("bounds postgres", KEEP_BOUNDS)).await;
    on_postgres(async |url| {
        let migrations = and("nothing sqlite", "PRAGMA user_version = 1");
        migrated(url, &migrations).await.close().await;
    })
    .await;
}
