//! Databases of a test's own.

use chassis::{database::migrator, settings::PlatformSettings};
use clap::Parser;
use futures_util::FutureExt as _;
use sqlx::{AssertSqlSafe, Connection, PgConnection, migrate::Migrator};
use std::panic::AssertUnwindSafe;
use url::Url;
use uuid::Uuid;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    platform: PlatformSettings,
}

pub(crate) fn settings(url: &str) -> PlatformSettings {
    Program::parse_from(["test", "--database-url", url]).platform
}

/// A table of notes.
pub(crate) fn migrations() -> Migrator {
    let notes = include_str!("../migrations/0001_notes.sql");
    migrator(&[(1, "0001_notes", notes)])
}

/// Runs a test on a database of PostgreSQL, if it is there.
pub(crate) async fn on_postgres(test: impl AsyncFn(&str)) {
    let Some(server) = replybus_tests::live::postgres().await else {
        return;
    };
    let name = format!("test_{}", Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&server).await.unwrap();
    let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut admin).await.unwrap();
    let mut url = Url::parse(&server).unwrap();
    url.set_path(&name);
    let outcome = AssertUnwindSafe(test(url.as_str())).catch_unwind().await;
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    sqlx::query(drop).execute(&mut admin).await.unwrap();
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
