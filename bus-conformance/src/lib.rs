//! What every transport and every reply store of [replybus] promises, as tests.
//!
//! The suite knows no broker and no store: a *fixture* opens the one that is tested, and each *case*
//! checks one promise on it, in queues or a namespace of its own. [`transport_suite!`] and
//! [`store_suite!`] make a `#[test]` of each case, whose name is the promise:
//!
//! ```
//! use replybus::{reply::memory::MemoryReplies, transport::memory::MemoryBroker};
//! use replybus_conformance::{StoreCase, TransportCase, store_suite, transport_suite};
//!
//! transport_suite!(broker, claims: [limits, events, removal, turns]);
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn broker(case: TransportCase) {
//!     case.check(MemoryBroker::new()).await;
//! }
//!
//! store_suite!(replies, claims: all);
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn replies(case: StoreCase) {
//!     case.check(MemoryReplies::new()).await;
//! }
//! ```
//!
//! The function that a suite names runs one case, on whatever runtime it likes; without the server
//! that it takes it returns, and says why. What it hands to [`TransportCase::check`] is a
//! [`TransportFixture`]: a backend that [`Bus::connect`](replybus::Bus::connect) takes is one, if its
//! clones open the same broker, and another is a type with one method.
//!
//! # What is claimed
//!
//! Cases are in groups. Most groups are of what every transport or store must do. The others are of
//! what only some can do, and are run if they are claimed. Those that are not are still there, as
//! tests that are ignored: `my_broker::delays::a_delayed_message_needs_its_queue_now ... ignored, not
//! claimed`. `cargo test -- --ignored` shows what there is left to do. With `claims: all` a group that
//! a later version of the suite adds is run as well.
//!
//! | claims of a transport | what it can do |
//! |---|---|
//! | `limits` | [refuse](replybus::transport::Verdict::Refused) what a queue can't hold, and a queue that exists with other arguments |
//! | `turns` | hand messages to consumers in turn, if several have room |
//! | `events` | route by topic exchanges and [bindings](replybus::transport::Binding) |
//! | `removal` | [remove](replybus::transport::Transport::remove) queues; it takes `events` |
//! | `delays` | [keep messages](replybus::transport::Transport::publish_at) until they are due |
//! | `delayed_events` | the same of events; it takes `delays` and `events` |
//! | `single_active` | queues with a [single active consumer](replybus::transport::QueueSpec::single_active) |
//! | `browsing` | [look into queues](replybus::transport::Transport::browse) |
//! | `direct` | [write past all that waits](replybus::transport::Transport::direct) |
//!
//! | claims of a store | what it can do |
//! |---|---|
//! | `streams` | carry [frames of streams](replybus::reply::ReplyStore::append) |
//! | `instances` | keep [records of serving instances](replybus::reply::ReplyStore::announce) |
//! | `given_up` | remember [calls that were given up](replybus::reply::ReplyStore::give_up) |
//! | `delayed_notes` | keep [notes of what is delayed](replybus::reply::ReplyStore::note_delayed) |
//! | `flight` | keep the [flight record](replybus::reply::ReplyStore::record_flight) |
//! | `cache` | keep [answers for others](replybus::reply::ReplyStore::look_up) |
//!
//! # What no case shows
//!
//! What becomes of messages and replies when connections are lost and servers restart: a suite that
//! knows no server can't take one away. Of a transport for production that is the greater part, and
//! takes tests of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a promise that is not kept is a test that panics"
)]

mod store;
mod suite;
mod transport;
mod wait;

pub use store::{StoreCase, StoreFixture};
pub use transport::{Declared, TransportCase, TransportFixture};

use replybus::CallId;

/// A name that no other case, and no other run of this one, uses.
fn unique(name: &str) -> String {
    format!("test.{name}.{}", CallId::new())
}
