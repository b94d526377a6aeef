//! A client of the bank's HTTP gateway, for the demo, tests and benchmarks.
//!
//! In reading order: a [`Client`] makes a [`Request`], which is sent for an [`Answer`], or again
//! and again [until that is final](until_final); a [`Customer`] is a client with an account and a
//! session.

mod client;
mod customer;
mod patience;

pub use client::{Answer, Client, Request};
pub use customer::Customer;
pub use patience::{until_final, until_verdict};
