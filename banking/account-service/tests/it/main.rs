//! The account service over a bus, on each kind of database.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test"
)]

#[macro_use]
mod branch;
mod audit;

mod accounts;
mod admin;
mod entries;
mod faults;
mod identity;
mod keys;
mod killed;
mod money;
mod months;
mod program;
mod standby;
mod told;
