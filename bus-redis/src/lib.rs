//! Replies of [`replybus`] through Redis 6.2 or later.
//!
//! ```no_run
//! use replybus::{Amqp, Bus};
//! use replybus_redis::RedisReplies;
//!
//! # async fn connect() -> Result<(), replybus::SetupError> {
//! let bus = Bus::connect(
//!     Amqp::new("amqp://user:password@rabbit:5672/%2f"),
//!     RedisReplies::new("redis://redis:6379/0"),
//! )
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it stores, and for how long
//!
//! | key | type | lives |
//! |---|---|---|
//! | `replybus:{namespace.}inbox:{<uuid>}` | stream, one per process | as long as its owner, and 20 min |
//! | `{namespace.}response:<call id>` | string, a reply | [`REPLY_TTL`](replybus::limits::REPLY_TTL) |
//! | `replybus:{namespace.}claim:<key>` | a command's claim: hash while it runs, string with its outcome when it is done | its retention |
//! | `replybus:{namespace.}instances:..` | sorted sets and a hash, who serves which queue | 6 s after the last word |
//! | `replybus:{namespace.}given-up:..` | sorted set, calls that nobody is to start | their time |
//! | `replybus:{namespace.}delayed:..` | sorted set and hash, what waits for a queue | until it is due |
//! | `replybus:{namespace.}cache:..` | hashes and strings, answers kept for others | the time in their contract |
//! | `replybus:{namespace.}flight` | stream, the [flight record](replybus::flight), if a program writes one | [`FLIGHT_TTL`](replybus::limits::FLIGHT_TTL) after its last event |
//!
//! `replybus:` is the [prefix](RedisReplies::key_prefix), `{namespace.}` the bus's namespace and a
//! dot, or nothing. The braces around the uuid are part of the key. Reply keys have no prefix, so
//! that a caller in any language finds its reply by the call id alone.
//!
//! A reply goes into the inbox its caller named (`XADD NOMKSTREAM`, fields `id` and `frame`), with
//! others in one entry (field `group`) if they are ready at the same time and the caller reads such.
//! If the inbox is gone, or the caller has none, it goes under the call's own key (`SET NX`). The
//! owner of an inbox trims what it has read, so that Redis holds little more than what is under way.
//!
//! All of it but what is kept for others must survive until it is read: run Redis with
//! `maxmemory-policy noeviction`. How large the cache may grow follows from its contracts: an answer is
//! up to 256 KiB, and goes when its time is over.
//!
//! # Features
//!
//! None is on by default. A URL that needs one which is off is refused, and the error names it.
//!
//! - `tls`: `rediss://`, with rustls and the platform's certificates, or an authority of one's own.
//! - `cluster`: `redis+cluster://`, Redis Cluster.
//! - `sentinel`: `redis+sentinel://`, Redis behind Sentinel.
//!
//! # The rights it needs
//!
//! A user of its own suffices, with no more than this (a test holds us to it). All of it is tried
//! when the store opens: what lacks is refused at once, with the rule that gives it.
//!
//! ```text
//! ACL SETUSER bus on >password ~replybus:* ~response:* +@connection +multi +exec +evalsha
//!   +script|load +time +xadd +xread +xtrim +xinfo|stream +pexpire +set +get +mget +del +hmget
//!   +hset
//! ```
//!
//! Answers that are kept take `+hget` as well. The records of serving instances and the list of their
//! queues, the calls that are given up because there is none, and the notes of what is delayed, take
//! `+hget +zadd +zrem +zcard +zrangebyscore +zremrangebyscore +hdel +hstrlen +pttl`. Neither is tried:
//! without it a service says once that others do not see it, and serves, nothing is listed, and queries
//! are answered anew.
//!
//! Nor is `+xrange`, which who reads the flight record needs; to write it takes what is above.
//!
//! With a namespace the reply keys are `~namespace.response:*`. Programs that are to be kept apart get
//! less, by the queues that they serve and call: [`RedisReplies::rights`] and `replybus rights` spell it.
//!
//! # Why nobody waits on the pool
//!
//! A blocking read holds up every other command of its connection, and a waiter per connection
//! bounds the calls that can wait by the connections there are. So one connection per process
//! reads the inbox and wakes the waiters; the pool's connections only write, shared by all.
//!
//! # What happens when Redis fails
//!
//! The listener takes a new connection and reads on from the last entry it saw, for ever. If the
//! inbox is gone it makes it again and looks for replies under the keys of the calls that wait. A
//! peer that stays silent is given up after the response timeout, and all writes are repeated
//! until three of those have passed. No wait ends because of Redis; its deadline ends it.
//!
//! In a cluster the outcome of a command and its reply are written one after the other, in that
//! order, because their keys live on different servers.

// Read them in the order a reply travels: `config` opens (with `url`, `connection`, `trial`),
// `store` takes a reply (with `commands`, `claims`, `replies` and what waits in `lanes`), `writer` carries it to
// the caller's `inbox` (with others as a `group`), where `listener` hears it.
mod cache;
#[cfg(feature = "tls")]
mod certificates;
mod claims;
mod commands;
mod config;
mod connection;
mod delayed;
mod error;
mod flight;
mod group;
mod health;
mod inbox;
mod keys;
mod lanes;
mod listener;
mod portion;
mod presences;
mod replies;
mod rights;
mod store;
mod trial;
mod url;
mod writer;

pub use config::RedisReplies;
pub use rights::RedisRights;
