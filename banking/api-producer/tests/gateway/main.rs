//! The gateway in front of services that say what the tests tell them to.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod services;
mod started;

mod admin;
mod attacks;
mod connections;
mod correlation;
mod dashboard;
mod described;
mod export;
mod failures;
mod input;
mod metadata;
mod monitoring;
mod operating;
mod own;
mod program;
mod rates;
mod table;
