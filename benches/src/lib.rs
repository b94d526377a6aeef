//! The harness that measures whole calls through real servers, and the paths it compares.
//!
//! A [`path::Path`] is one way for a call to travel: the framework's, or a hand-written reference.
//! [`rounds`] gives each its turn, round by round, and [`report`] says what came of it. [`bank`] is
//! another harness: a whole application, under the same [`load`]. `streams` is a third, for what comes
//! item by item, [`partitions`] a fourth, for calls in the order of their keys, and [`callers`] a
//! fifth, for many that are connected.

pub mod arguments;
#[cfg(feature = "bank")]
pub mod bank;
pub mod callers;
pub mod cpu;
pub mod echo;
pub mod entry;
pub mod handler;
pub mod load;
pub mod observed;
pub mod page;
pub mod partitions;
pub mod path;
pub mod paths;
pub mod plan;
pub mod report;
pub mod rounds;
pub mod servers;
pub mod service;
pub mod stats;
#[cfg(feature = "peers")]
pub mod streams;
pub mod waiting;
pub mod worker;
