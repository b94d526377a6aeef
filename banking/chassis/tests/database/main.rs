//! Databases of both kinds, and what becomes of their connections.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod place;

mod dialect;
mod migrations;
mod silence;
