//! Calls that travel over a RabbitMQ queue and are answered via Redis.
//!
//! One annotated trait is the contract between two programs. It gives the one a consumer loop and
//! the other a typed client:
//!
//! ```
//! use replybus::{Bus, Never, queue_handler};
//!
//! #[queue_handler("greeter.requests")]
//! pub trait Greeter {
//!     /// A greeting for `name`.
//!     #[query]
//!     async fn greet(&self, name: String) -> Result<String, Never>;
//! }
//!
//! struct English;
//!
//! impl Greeter for English {
//!     async fn greet(&self, name: String) -> Result<String, Never> {
//!         Ok(format!("Hello, {name}!"))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let bus = Bus::in_memory(); // or Bus::connect(Amqp::new(..), RedisReplies::new(..)).await?
//! let serving = bus.serve(GreeterServer::new(English)).await?;
//!
//! let greeter = GreeterClient::new(&bus); // in another program, with Bus::connect
//! assert_eq!(greeter.greet("Ada".to_owned()).await?, "Hello, Ada!");
//! # serving.shutdown().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # The way of one call
//!
//! A generated client encodes the arguments ([`codec`]) and builds a [`Call`]; awaited, it passes
//! the client's layers, takes a slot among those who wait, and is handed to the publisher
//! ([`client`], [`transport`]). On the other side a delivery is taken when there is a permit, its
//! envelope read without trust, its handler run inside the server's layers ([`server`]); the reply
//! is stored where the caller looks for it ([`reply`]), and only then the delivery is acknowledged.
//!
//! The context of a call is ambient: a handler finds it by [`Context::current`]. Calls it makes
//! inherit deadline, metadata and trace.
//!
//! # Commands and queries
//!
//! A method marked `#[query]` only reads: its message is transient, it is sent again when a broker
//! goes down, and it is dropped at its deadline. Any other method is a command: its message is
//! persistent, it is claimed under its idempotency key (or its call id) before it runs, a
//! repetition is given the first one's reply, and it is never dropped half-way.
//!
//! # Errors
//!
//! [`CallError`] keeps the handler's own error apart from everything else that can happen to a
//! call, and every failure says whether the work can have been done:
//! [`CallFailure::may_have_executed`].
//!
//! # Features
//!
//! - `amqp` (default): requests and events over RabbitMQ. Without it a bus lives in one process.
//! - `schedules`: work that is due again and again, by cron's patterns.
//! - `schema`: contracts as data, with the JSON Schema of all that travels.
//! - `sealed`: values that one program alone can read, see `sealed`.
//! - `signed`: requests and replies that say by a key who made them, see `signature`.
//! - `simulation`: the wall clock and chance from outside, for tests by `replybus-sim`.
//! - `tls`: `amqps://`, with rustls and the platform's certificates, or an authority of one's own.
//!
//! Replies through Redis are in the crate `replybus-redis`.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod client;
pub mod codec;
pub mod context;
pub mod contract;
pub mod control;
pub mod dead_letters;
pub mod delayed;
pub mod event;
pub mod flight;
pub mod layer;
pub mod message;
pub mod partition;
pub mod presence;
pub mod reply;
#[cfg(feature = "schedules")]
pub mod schedule;
#[cfg(not(feature = "schedules"))]
mod schedule;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(feature = "sealed")]
pub mod sealed;
pub mod server;
#[cfg(feature = "signed")]
pub mod signature;
#[cfg(not(feature = "signed"))]
#[path = "signature/off.rs"]
mod signature;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod stream;
pub mod trace;
pub mod transport;
pub mod wire;

pub mod error;
pub mod limits;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod bus;
mod cache;
mod call_id;
mod job;
#[cfg(any(feature = "sealed", feature = "signed"))]
mod key_name;
mod metric;
mod retry;
mod work;

pub use bus::{Bus, BusBuilder, Health};
pub use call_id::{CallId, InvalidCallId};
pub use client::{Call, CancelHandle, CancelOutcome, ProgressCall, Ticket, join};
pub use codec::ContentType;
pub use context::{Context, Metadata};
pub use contract::Never;
pub use error::{CallError, CallFailure, FailureKind, SetupError};
pub use event::Event;
pub use job::{Progress, ProgressUpdates, TicketStatus};
pub use partition::PartitionKey;
pub use retry::RetryLater;
#[cfg(feature = "amqp")]
pub use transport::amqp::Amqp;

// Types of others that our signatures name on purpose.
#[doc(no_inline)]
pub use bytes::Bytes;
#[doc(no_inline)]
pub use futures_util::Stream;
#[doc(no_inline)]
pub use tokio::time::Instant;

/// Makes a trait the contract of a service.
///
/// The trait's methods are `async`, take `&self` and owned arguments, and return a `Result` of two
/// types that travel (serde's `Serialize` and `Deserialize`); for a method that can't fail the
/// error is [`Never`]. For a trait `Accounts` it adds:
///
/// - `AccountsServer`, which serves an implementation of the trait, or an `Arc` of one:
///   [`Bus::serve`];
/// - `AccountsClient`, with a method for each of the trait's that makes a [`Call`], or a
///   [`StreamCall`](stream::StreamCall).
///
/// Both have the contract as a constant, `AccountsClient::CONTRACT`: the name of the queue, for
/// [`Bus::inspect`], the methods and their defaults. See
/// [`ServiceContract`](contract::ServiceContract).
///
/// The queue's name comes first, then options. `timeout` and `partitions` are the contract's alone;
/// `concurrency`, `prefetch`, `queue_type`, `queue_length_max` and `bundles` can be overridden when
/// [serving](server::Serve):
///
/// | option | meaning | default |
/// |---|---|---|
/// | `concurrency = 32` | handlers that run at once in one process | [`limits::CONCURRENCY`] |
/// | `prefetch = 64` | deliveries one process holds | [`limits::PREFETCH`] |
/// | `timeout = "2s"` | time given to a call that names none | [`limits::CALL_TIMEOUT`] |
/// | `queue_type = "quorum"` | `classic` or `quorum` | `classic` |
/// | `queue_length_max = 10000` | messages the queue holds before calls are refused | none |
/// | `partitions = 16` | queues that calls are divided among by their [keys](partition), each call by the argument that is marked `#[key]` | none: one queue, and no order |
/// | `bundles = false` | whether calls that wait at once may leave as one message, which one process gets | `true` |
/// | `crate = ::path` | where replybus is, if not at `::replybus` | |
///
/// A method is a command unless it is marked `#[query]`, or `#[stream]`, which is a query whose answer
/// is a [stream of items](stream); each mark takes a timeout of its own. An argument that is marked
/// `#[stream]` is a stream which the caller sends, by a [`FeedCall`](stream::FeedCall). A command whose handler writes its key and its outcome in the transaction of its effect is marked
/// `#[command(own_record)]`, and saves the claim:
/// [`MethodContract::own_record`](contract::MethodContract::own_record) says what it must do. One
/// that takes minutes or hours is a job, `#[command(job = "4h")]`:
/// [`MethodContract::job`](contract::MethodContract::job). One that is marked
/// `#[command(retry(max = 5, base = "200ms", max_delay = "1m", jitter))]`, or `#[command(retry)]` for
/// these pauses without jitter, is run again when its handler says that its error will pass:
/// [`RetryLater`], [`RetryPolicy`](contract::RetryPolicy). The answers of a query that is marked
/// `#[query(cache = "300s", tags("product:{id}"), vary("tenant"))]` are kept for all who ask the same,
/// until a command that is marked `#[invalidates("product:{id}")]` makes them untrue:
/// [`CachePolicy`](contract::CachePolicy).
/// Arguments travel by name, so that an `Option` can be added on either side first. What is said of
/// a method by `#[doc]`, `#[deprecated]` and the levels of lints holds for the client's method as
/// well, also in a `#[cfg_attr(..)]`.
///
/// ```
/// use replybus::queue_handler;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize)]
/// pub struct Overdrawn { missing: u64 }
///
/// #[queue_handler("account.requests", concurrency = 16, timeout = "2s")]
/// pub trait Accounts {
///     /// The balance in minor units.
///     #[query(timeout = "500ms")]
///     async fn balance(&self, account: String) -> Result<u64, Overdrawn>;
///
///     /// Takes `amount` minor units out, once per idempotency key.
///     async fn withdraw(&self, account: String, amount: u64, note: Option<String>)
///         -> Result<u64, Overdrawn>;
/// }
///
/// assert_eq!(AccountsClient::CONTRACT.queue, "account.requests");
/// ```
pub use replybus_macros::queue_handler;

/// Makes a type an [`Event`](trait@Event), under a routing key and, if
/// `exchange = ".."` is given, in a topic exchange other than `replybus.events`.
///
/// ```
/// use replybus::Event;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event("transfer.completed", exchange = "bank.events")]
/// struct TransferCompleted { amount: u64 }
/// ```
pub use replybus_macros::Event;
