//! The service on both databases, over a bus.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod answers;
mod away;
mod events;
mod identity;
mod program;
mod stage;
mod trust;
