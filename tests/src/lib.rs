//! What the integration tests share: the servers they talk to, private servers they may break, and
//! a proxy that breaks connections.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "only tests link this crate: they report on stderr and fail by panicking"
)]

pub mod live;
pub mod proxy;
pub mod servers;
