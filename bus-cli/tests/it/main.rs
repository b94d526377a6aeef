//! The program as its user runs it, on real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects, in its functions too"
)]

mod calls;
mod clients;
mod contracts;
mod control;
#[cfg(feature = "tls")]
mod encrypted;
mod events;
mod explain;
mod init;
mod jobs;
mod letters;
mod looks;
mod program;
mod rights;
mod schedule;
mod services;
mod settings;
mod shop;
mod signed;
mod watch;
