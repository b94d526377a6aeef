//! Contracts with partitions: calls of one key are run one after the other, in the order in which
//! the broker has them, and calls of different keys at the same time.
//!
//! `#[queue_handler("account.requests", partitions = 16)]` divides the calls of a contract among
//! sixteen queues by their [keys](PartitionKey), the arguments marked `#[key]`. Of the processes that
//! serve it one at a time has a queue, and gives each key's calls to its handlers one after the
//! other: the next is begun when the one before is answered, recorded and acknowledged. So it is also
//! how a service outgrows one queue.
//!
//! ```
//! use replybus::{Bus, Never, queue_handler};
//! # use std::{collections::HashMap, sync::Mutex};
//!
//! #[queue_handler("account.requests", partitions = 16)]
//! pub trait Accounts {
//!     async fn deposit(&self, #[key] account: String, amount: u64) -> Result<u64, Never>;
//! }
//!
//! struct Ledger(Mutex<HashMap<String, u64>>);
//!
//! impl Accounts for Ledger {
//!     async fn deposit(&self, account: String, amount: u64) -> Result<u64, Never> {
//!         // Nobody else is at this account now, in whatever process.
//! #       let mut balances = self.0.lock().unwrap();
//! #       let balance = balances.entry(account).or_default();
//! #       *balance += amount;
//! #       Ok(*balance)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let bus = Bus::in_memory();
//! let serving = bus.serve(AccountsServer::new(Ledger(Mutex::default()))).await?;
//! let accounts = AccountsClient::new(&bus);
//! accounts.deposit("ada".into(), 70).send().await?; // the broker has it, and then ..
//! assert_eq!(accounts.deposit("ada".into(), 30).await?, 100); // .. this one
//! # serving.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! Of two calls of one key, the second of which was made after the first was answered, or the broker
//! had it, the second is begun when the first has come to its end, whatever that is: a value, an
//! error, a panic, a dead letter, its deadline. Calls made at the same time have an order as well,
//! the one in which they came to the broker. A call that is lost with its connection is sent again
//! unless a later one of its key was made here; then it fails as
//! [`Disconnected`](crate::FailureKind::Disconnected). Delayed calls take their place when they are
//! due, letters that are put back when they are.
//!
//! A command whose worker is out of touch with the broker, and lives, holds up what comes after it by
//! its claim, wherever that is delivered. What has no claim does not: a query or a command with a
//! record of its own that is running when its worker loses its connection is run again elsewhere, and
//! the next may begin while the first run still goes on. So may it while a worker goes on that stood
//! still for longer than its [lease](crate::limits::CLAIM_LEASE). Where that matters the database has
//! to tell, as ever: [`Context::attempt`](crate::Context::attempt).

mod deliveries;
mod key;
mod line;
mod member;
mod members;
mod open;
mod place;
mod predecessor;
mod turns;
mod ways;

pub use key::PartitionKey;

pub(crate) use key::hash;
pub(crate) use open::{Plan, open};
pub(crate) use place::{Place, partition_queue, refusal};
pub(crate) use predecessor::ended_elsewhere;
pub(crate) use turns::Turns;
pub(crate) use ways::Ways;
