//! A bank in processes of its own, its customers, and what they do to it: for tests and benchmarks.
//!
//! In reading order: a [`Program`] serves, alone or on a [`site`] of its own on shared servers; a
//! [`Bank`] is the processes that it is started as; a [`Visitor`] asks the bank over HTTP; a
//! [`Customer`] is a visitor with an account. [`trade`] is what many customers do at once,
//! [`audit`] what must be true of the bank afterwards, [`nemesis`] who kills it meanwhile, and
//! [`outage`] the servers that fail under it.

pub mod audit;
pub mod nemesis;
pub mod outage;
pub mod site;
pub mod trade;

mod bank;
mod customer;
mod visitor;

pub use bank::{ADMIN_SECRET, Bank, Program, Service};
pub use customer::Customer;
pub use visitor::{Answer, Ask, Visitor};
