//! The shop from outside: its HTTP faces, on the embedded default and on real servers, and what is
//! true of it when something fails.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod client;
mod stage;

mod articles;
mod cache;
mod face;
mod mail;
mod preferences;
mod readme;
mod saga;
