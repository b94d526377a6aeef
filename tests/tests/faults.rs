//! What a whole bus promises when servers, connections and workers fail: every caller is told
//! within its deadline, nothing acknowledged is lost, no command is run twice, and calls flow again
//! without anybody restarting anything.
//!
//! All of it on private servers. Without them the tests are skipped, unless `BUS_REQUIRE_LIVE=1`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it expects, in its functions too"
)]

#[path = "faults/load.rs"]
mod load;
#[path = "faults/rig.rs"]
mod rig;

#[path = "faults/alarm.rs"]
mod alarm;
#[path = "faults/broker.rs"]
mod broker;
#[path = "faults/links.rs"]
mod links;
#[path = "faults/nemesis.rs"]
mod nemesis;
#[path = "faults/queues.rs"]
mod queues;
#[path = "faults/shutdown.rs"]
mod shutdown;
#[path = "faults/start.rs"]
mod start;
#[path = "faults/store.rs"]
mod store;
#[path = "faults/stuck.rs"]
mod stuck;
#[path = "faults/workers.rs"]
mod workers;
