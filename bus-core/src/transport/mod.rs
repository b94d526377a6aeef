//! How messages reach a queue and leave it: the seam between calls and a broker.
//!
//! Two implementations, [`memory`] and (feature `amqp`) [`amqp`], obey one contract, and one
//! conformance suite holds them to it. A bus user meets neither: these traits are for transports.

#[cfg(feature = "amqp")]
pub mod amqp;
pub mod memory;
mod outgoing;
mod settler;

pub use outgoing::{Outgoing, Receipt, Slip, Verdict, Withdrawn};
pub use settler::{Acknowledger, Settled, Settler};

pub(crate) use settler::{SettleOrder, settle_orders};

use crate::{contract::QueueType, error::SetupError, message::Message};
use async_trait::async_trait;
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio::time::Instant;

/// Carries requests and events.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Hands a message to the publisher and returns at once; the receipt tells what became of it.
    /// An exchange it names is a durable topic exchange, and declared before its first message.
    ///
    /// While there is no connection the message waits, until its deadline. Only a bounded number
    /// wait or are unconfirmed: beyond [`crate::limits::UNCONFIRMED_MAX`], and while the broker
    /// blocks publishers, the verdict is [`Verdict::Busy`] at once.
    fn publish(&self, outgoing: Outgoing) -> Receipt;

    /// Declares a queue (and binds it), then consumes it until the stream is stopped.
    ///
    /// Lost connections are the transport's business: it re-attaches, and declares again.
    ///
    /// # Errors
    /// The queue exists with other arguments, the broker refuses, it can't be reached, or the queue
    /// does not answer.
    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError>;

    /// Declares a queue that nobody here consumes, such as one for dead letters.
    ///
    /// # Errors
    /// As [`consume`](Self::consume).
    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError>;

    /// What a queue holds, and how many consume it; `None` if there is no such queue.
    ///
    /// # Errors
    /// The broker refuses, there is no connection to ask on, or the queue does not answer.
    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, SetupError>;

    /// Whether messages can be published and consumed right now.
    fn health(&self) -> TransportHealth;

    /// The queues that are to be consumed and are not right now, each with the reason: lost with a
    /// connection, deleted and declared with other arguments, no longer permitted, stuck. Trying
    /// goes on.
    fn not_consumed(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Lets what was published be confirmed, within the bound, and ends the connections.
    async fn close(&self, within: Duration);
}

/// A queue to consume, how many deliveries to hold, and what to bind it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The queue.
    pub queue: QueueSpec,
    /// Deliveries handed over before the first is settled; at least 1.
    pub prefetch: u16,
    /// Topic exchange and routing keys the queue is bound to; empty for a queue of requests.
    pub bindings: Vec<Binding>,
}

/// A binding of a queue to a durable topic exchange, which is declared along with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The exchange.
    pub exchange: String,
    /// The routing key, or a topic pattern with `*` and `#`.
    pub routing_key: String,
}

/// A durable queue as it is to be declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name on the broker.
    pub name: String,
    /// Its kind.
    pub queue_type: QueueType,
    /// Messages it holds before further ones are refused (`x-max-length` with
    /// `x-overflow: reject-publish`). `None` means without limit.
    pub length_max: Option<u32>,
}

/// A queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Messages that wait for a consumer with room. Those that were delivered and are not settled
    /// yet do not count.
    pub waiting: u64,
    /// Consumers, of all programs.
    pub consumers: u64,
}

/// Deliveries of one queue.
#[async_trait]
pub trait Deliveries: fmt::Debug + Send {
    /// The next delivery; waits through lost connections. `None` once stopped or closed.
    ///
    /// # Cancel safety
    /// A delivery is never lost: dropping this future before it is ready takes nothing.
    async fn next(&mut self) -> Option<Delivery>;

    /// Ends intake: prefetched deliveries that were not handed out go back to the queue, those
    /// that were can still be settled. After it [`next`](Self::next) returns `None`.
    async fn stop(&mut self);
}

/// A message out of a queue, and the handle that settles it.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The broker may have delivered it before.
    pub redelivered: bool,
    /// When it reached this process. Its time to live is counted from here on: it may wait for
    /// room before it is handed out.
    pub received: Instant,
    /// Settles it exactly once; dropped unsettled, it gives the message back to the queue.
    pub settler: Settler,
}

/// Whether a transport can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportHealth {
    /// Publishing and consuming both work.
    Up,
    /// The broker refuses publishes for now (memory or disk alarm); the text is its reason.
    Blocked(String),
    /// There is no connection; the text says why.
    Down(String),
}
