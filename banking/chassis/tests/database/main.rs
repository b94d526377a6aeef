//! Databases of both kinds, and what becomes of their connections.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod dialect;
#[cfg(feature = "tls")]
mod encrypted;
mod migrations;
mod private;
mod silence;

/// A table of notes.
fn migrations() -> sqlx::migrate::Migrator {
    let notes = include_str!("../migrations/0001_notes.sql");
    chassis::database::migrator(&[(1, "0001_notes", notes)])
}
