//! What tests that talk to servers share. It uses nothing of replybus, so that every package may
//! test with it.
//!
//! - [`servers`]: how RabbitMQ, Redis and PostgreSQL are found and started, and private ones that a
//!   test may stop, freeze, fill or kill;
//! - [`live`]: the servers that all tests share, and what to do without them;
//! - [`leftovers`] (feature `leftovers`): what a test leaves on a RabbitMQ that others use;
//! - [`proxy`]: a proxy that breaks connections the way networks do;
//! - [`publisher`]: a publisher whose messages are any bytes;
//! - [`certificates`] (feature `certificates`): an authority, and what it vouches for;
//! - [`collector`] (feature `collector`): takes traces and keeps them to be looked at;
//! - [`redis`] (feature `redis`): connections for what a test does to Redis by itself;
//! - [`wait`]: waiting for a state, with a bound.

#[cfg(feature = "live")]
mod bound;
#[cfg(feature = "certificates")]
pub mod certificates;
#[cfg(feature = "collector")]
pub mod collector;
#[cfg(feature = "leftovers")]
pub mod leftovers;
#[cfg(feature = "live")]
pub mod live;
#[cfg(feature = "live")]
pub mod proxy;
#[cfg(feature = "live")]
pub mod publisher;
#[cfg(feature = "redis")]
pub mod redis;
pub mod servers;
#[cfg(feature = "live")]
pub mod wait;
