//! The recipes of docs/cookbook.md: one file for each, with a test that runs it.

mod breaker;
mod cancel;
#[cfg(feature = "schedules")]
mod cron;
mod dead_letters;
mod events_to_groups;
mod in_order;
mod inbox;
mod json;
mod kept_answers;
mod keys;
mod later;
mod layers;
mod many_at_once;
mod metered;
mod one_way;
mod outbox;
mod poison;
mod progress;
mod rate_limit;
mod retries_by_callers;
mod retries_by_handlers;
mod rights;
mod sealed;
mod several_buses;
mod several_services;
mod shutdown;
mod simulation;
mod sizes;
mod stock;
mod streamed_answers;
mod streamed_arguments;
mod tickets;
mod timeouts;
#[cfg(feature = "tls")]
mod tls;
mod traced;
mod two_versions;
mod unit_tests;
mod who_asks;

use replybus::CallId;
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};
use std::{fs, path::Path};

/// A database of a test's own, which is removed by whoever removes the target folder.
async fn database(name: &str) -> Result<SqlitePool, Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cookbook");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{name}-{}.db", CallId::new()));
    let options = SqliteConnectOptions::new().filename(file);
    Ok(SqlitePool::connect_with(options.create_if_missing(true)).await?)
}
