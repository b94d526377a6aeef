//! What surrounds the bank in tests and benchmarks: databases of a test's own, a bank in processes
//! of its own, its customers, and what they do to it.
//!
//! For one service: [`database`]s, an account that has a long [`history`], and what its program says
//! of its settings ([`command`]). For a
//! whole bank, in reading order: a [`Program`] serves, alone or on a [`site`] of its own on shared
//! servers; a [`Bank`] is the processes that it is started as; a [`Client`] asks it over HTTP, and
//! a [`customer`] is a client with an account. [`trade`] is what many customers do at once,
//! [`audit`] what must be true of the bank afterwards, [`nemesis`] who kills it meanwhile, and
//! [`outage`] the servers that fail under it. For all of them: what must happen is [waited
//! for](wait), and not for ever.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "only tests link this crate: they report on stderr and fail by panicking"
)]

pub mod audit;
pub mod command;
pub mod database;
pub mod history;
pub mod nemesis;
pub mod outage;
pub mod site;
pub mod trade;
pub mod wait;

mod bank;
mod processes;
mod service;

pub use bank::{ADMIN_SECRET, Bank};
pub use bank_client::{Answer, Client, Customer, Request};
pub use processes::Program;
pub use service::Service;

use anyhow::Result;
use uuid::Uuid;

/// The password of every [`customer`].
pub const PASSWORD: &str = "correct horse battery";

/// Registers a customer under a name that begins so and is new.
///
/// # Errors
/// As [`Customer::register`].
///
/// # Cancel safety
/// As [`Customer::register`].
pub async fn customer(client: &Client, name: &str) -> Result<Customer> {
    let unique = Uuid::new_v4().simple().to_string();
    let username = format!("{name}-{}", unique.get(..12).unwrap_or_default());
    Customer::register(client, username, PASSWORD).await
}
