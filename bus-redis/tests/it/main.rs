//! What the store promises, on real servers: the shared one for what disturbs nobody, private ones
//! for what stops, cuts, wipes or fills a server.

mod claims;
#[cfg(feature = "cluster")]
mod cluster;
mod faults;
mod live;
mod promises;
mod proxy;
#[cfg(feature = "sentinel")]
mod sentinel;
mod server;
mod setup;
#[cfg(feature = "tls")]
mod tls;
mod waiters;
