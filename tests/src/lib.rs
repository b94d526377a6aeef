//! What the integration tests share: the servers they talk to, private servers they may break, a
//! proxy that breaks connections, and a service that writes down what it did.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "only tests link this crate: they report on stderr and fail by panicking"
)]

pub mod ledger;
pub mod live;
pub mod proxy;
pub mod servers;
