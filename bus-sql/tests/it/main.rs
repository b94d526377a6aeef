//! Inbox and outbox on each database, by each driver; with a bus in memory, and once on real servers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is test code, also what stands outside of a test function"
)]

#[macro_use]
mod stage;

mod crashes;
mod disk;
mod inbox;
mod installing;
mod live;
mod order;
mod outbox;
mod relays;
