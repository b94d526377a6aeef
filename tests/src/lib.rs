//! What tests across crates share: a service that writes down what it did.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "only tests link this crate: they report on stderr and fail by panicking"
)]

pub mod ledger;
