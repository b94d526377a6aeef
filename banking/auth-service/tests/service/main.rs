//! The auth service as its callers see it: over a bus, on both kinds of databases, beside an
//! account service that does as it is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod accounts;
mod away;
mod change;
mod login;
mod logout;
mod registration;
mod replicas;
mod sealed;
mod secrecy;
mod start;
mod world;
