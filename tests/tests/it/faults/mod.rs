//! What a whole bus promises when servers, connections and workers fail: every caller is told
//! within its deadline, nothing acknowledged is lost, no command is run twice, and calls flow again
//! without anybody restarting anything.
//!
//! All of it on private servers. Without them the tests are skipped, unless `BUS_REQUIRE_LIVE=1`.

mod load;
mod refusals;
mod rig;

mod alarm;
mod broker;
mod bundles;
mod cache;
mod cancel;
mod channels;
mod clocks;
mod cluster;
mod delays;
mod disk;
mod feeds;
mod flapping;
mod jobs;
mod links;
mod nemesis;
mod overload;
mod partitions;
mod presence;
mod queues;
mod retries;
mod schedules;
mod shutdown;
mod slots;
mod slow;
mod start;
mod store;
mod streams;
mod stuck;
mod workers;
