//! What tests across crates share: services that write down what they did, and the programs that
//! run them.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "only tests link this crate: they report on stderr and fail by panicking"
)]

pub mod ledger;
pub mod sequence;
pub mod worker;
