//! Tests across crates: what every transport and every store promises, events between programs, the
//! private servers, servers that speak TLS, settings that do not fit each other, and a whole bus whose servers, connections and workers fail.
//!
//! One program: what mostly waits, waits beside the rest.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects, in its functions too"
)]

mod blocking;
mod conformance;
mod dead_letters;
mod encrypted;
mod events;
mod faults;
mod flights;
mod flood;
mod joined;
mod malformed;
mod private_servers;
mod rabbitmq_4;
mod runtimes;
mod signed;
mod signed_jobs;
mod two_databases;
