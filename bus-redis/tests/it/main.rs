//! What the store promises, on real servers: the shared one for what disturbs nobody, private ones
//! for what stops, cuts, wipes or fills a server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is test code, also what stands outside of a test function"
)]

mod batches;
mod cache;
mod claims;
mod clock;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(feature = "cluster")]
mod cluster_calls;
mod faults;
mod flight;
mod groups;
mod opened;
mod promises;
#[cfg(feature = "sentinel")]
mod sentinel;
mod setup;
#[cfg(feature = "tls")]
mod tls;
mod waiters;
