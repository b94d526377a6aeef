//! The way of messages into a queue and out of it: the seam between calls and a broker.
//!
//! [`TransportBackend`] is what [`Bus::connect`](crate::Bus::connect) takes, and what it opens is a
//! [`Transport`]. Two implementations, [`memory`] and (feature `amqp`) [`amqp`], obey one contract,
//! and one suite holds them to it, the crate `replybus-conformance`, which has a test for each promise
//! and is for others as well. A third needs nothing that these have not: a bus user meets none of
//! these traits, they are for transports.

#[cfg(feature = "amqp")]
pub mod amqp;
mod delay;
mod departure;
pub mod memory;
mod outgoing;
mod queue;
mod settler;

pub use delay::Delay;
pub use departure::{Departure, DirectPublish};
pub use outgoing::{Outgoing, Receipt, Slip, Verdict, Withdrawn};
pub use queue::{Binding, InspectError, QueueSpec, QueueState, Removal, Source};
pub use settler::{Acknowledger, Settled, Settler};

pub(crate) use departure::Departed;
pub(crate) use outgoing::SharedVerdict;
pub(crate) use settler::{SettleOrder, settle_orders};

use crate::{error::SetupError, message::Message};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// Opens a transport; what [`Bus::connect`](crate::Bus::connect) takes beside a
/// [`ReplyBackend`](crate::reply::ReplyBackend). Implemented for what says where a broker is, and
/// for a transport that is open already and shared as an [`Arc`].
#[async_trait]
pub trait TransportBackend: Send + 'static {
    /// Connects to the broker.
    ///
    /// # Errors
    /// The settings make no sense, the broker refuses, or it can't be reached within the bound.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it leaves no connection behind.
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError>;
}

#[async_trait]
impl TransportBackend for Arc<dyn Transport> {
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError> {
        Ok(*self)
    }
}

#[async_trait]
impl<T: Transport> TransportBackend for Arc<T> {
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError> {
        Ok(*self)
    }
}

/// Carries requests and events.
///
/// A transport of your own implements it, with the crate `async-trait`, and is handed to
/// [`Bus::connect`](crate::Bus::connect) in an [`Arc`]. What it must do, method by method, is in
/// `docs/transports.md`, and the crate `replybus-conformance` tests it. One that counts what passes it:
///
/// ```
/// use async_trait::async_trait;
/// use replybus::{Bus, SetupError, reply::memory::MemoryReplies, transport::{*, memory::*}};
/// use std::{sync::{Arc, atomic::{AtomicU32, Ordering}}, time::Duration};
///
/// #[derive(Debug)]
/// struct Counted {
///     inner: MemoryTransport,
///     published: AtomicU32,
/// }
///
/// #[async_trait]
/// impl Transport for Counted {
///     fn publish(&self, outgoing: Outgoing) -> Receipt {
///         self.published.fetch_add(1, Ordering::Relaxed);
///         self.inner.publish(outgoing)
///     }
/// #   async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
/// #       self.inner.consume(source).await
/// #   }
/// #   async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
/// #       self.inner.declare(queue).await
/// #   }
/// #   async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
/// #       self.inner.inspect(queue).await
/// #   }
/// #   fn health(&self) -> TransportHealth { self.inner.health() }
/// #   async fn close(&self, within: Duration) { self.inner.close(within).await }
///     // The others likewise.
/// }
///
/// # #[derive(replybus::Event, serde::Serialize, serde::Deserialize)]
/// # #[event("till.opened")]
/// # struct TillOpened {}
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let inner = MemoryBroker::new().connect();
/// let counted = Arc::new(Counted { inner, published: AtomicU32::new(0) });
/// let bus = Bus::connect(Arc::clone(&counted), MemoryReplies::new()).await?;
/// bus.emit(&TillOpened {}).await?;
/// assert_eq!(counted.published.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Hands a message to the publisher and returns at once; the receipt tells what became of it.
    /// An exchange it names is a durable topic exchange, and declared before its first message.
    ///
    /// While there is no connection the message waits, until its deadline. Only a bounded number
    /// wait or are unconfirmed: beyond [`crate::limits::UNCONFIRMED_MAX`], and while the broker
    /// blocks publishers, the verdict is [`Verdict::Busy`] at once.
    fn publish(&self, outgoing: Outgoing) -> Receipt;

    /// Hands over a message that is to reach its queue or exchange when it is due, as
    /// [`publish`](Self::publish) does with one that is due at once. The broker keeps it until
    /// then, through restarts of its own and of this process; it arrives not a moment sooner, and a
    /// second later at most while there is nothing wrong. No message waits for another.
    ///
    /// The deadline is that of handing it over. It has no time to live: whatever time it has after
    /// it is due must be in its headers. A queue that does not exist is [`Verdict::Unroutable`];
    /// one that is removed afterwards, or full, gets the message when it is there, or has room,
    /// again. A message to an exchange goes to whatever is bound to it when it is due.
    ///
    /// A transport that does not say how refuses it as [`Verdict::Unacceptable`].
    fn publish_at(&self, outgoing: Outgoing, delay: Delay) -> Receipt {
        let _ = (outgoing, delay);
        Receipt::told(Verdict::Unacceptable(
            "this transport can't delay messages".into(),
        ))
    }

    /// The way past all that waits, for calls that may leave together; `None`, which is all that a
    /// transport says if it does not say more, if there is no such.
    fn direct(&self) -> Option<&dyn DirectPublish> {
        None
    }

    /// Declares a queue (and binds it), then consumes it until the stream is stopped.
    ///
    /// Lost connections are the transport's business: it re-attaches, and declares again. Not so if
    /// the queue has a [single active consumer](QueueSpec::single_active): then the deliveries end.
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

    /// The messages and consumers of a queue; `None` if there is no such queue.
    ///
    /// # Errors
    /// The broker refuses, there is no connection to ask on, or the queue does not answer.
    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError>;

    /// Begins to look through the messages that wait in a queue, without consuming it.
    ///
    /// # Errors
    /// There is no connection, or the transport can't look into queues, which is all that it says
    /// if it does not say how.
    async fn browse(&self, queue: &str) -> Result<Box<dyn Browser>, InspectError> {
        let reason = "this transport can't look into queues";
        Err(InspectError::refused(queue, reason))
    }

    /// Removes a queue that nobody consumes, with what is bound to it, unless it holds messages
    /// that are not to be discarded. `bindings` are those by which further messages may come
    /// meanwhile.
    ///
    /// # Errors
    /// As [`consume`](Self::consume); or the transport can't remove queues, which is all that it
    /// does if it does not say how.
    async fn remove(
        &self,
        queue: &str,
        bindings: &[Binding],
        discard_messages: bool,
    ) -> Result<Removal, SetupError> {
        let _ = (bindings, discard_messages);
        Err(SetupError::Topology {
            what: format!("queue \"{queue}\""),
            reason: "this transport can't remove queues".to_owned(),
        })
    }

    /// The ability to publish and to consume right now.
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

/// Deliveries of one queue.
#[async_trait]
pub trait Deliveries: fmt::Debug + Send {
    /// The next delivery, if there is one; else the task is woken when there may be. Waits through
    /// lost connections, unless the queue has a [single active
    /// consumer](QueueSpec::single_active). `None` once stopped or closed.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>>;

    /// Ends intake: prefetched deliveries that were not handed out go back to the queue, those
    /// that were can still be settled, unless the queue has a [single active
    /// consumer](QueueSpec::single_active). After it [`poll_next`](Self::poll_next) returns `None`.
    async fn stop(&mut self);
}

impl dyn Deliveries + '_ {
    /// Waits for the next delivery; `None` once stopped or closed.
    ///
    /// # Cancel safety
    /// A delivery is never lost: dropping this future before it is ready takes nothing.
    #[expect(
        clippy::should_implement_trait,
        reason = "it waits, as the method of this name of every stream does"
    )]
    pub fn next(&mut self) -> impl Future<Output = Option<Delivery>> {
        poll_fn(|cx| self.poll_next(cx))
    }
}

/// A look through the messages of one queue. Each that was seen is held, so that nobody else gets it,
/// until it is acked or the look ends; then those that were not acked are in their places again.
#[async_trait]
pub trait Browser: fmt::Debug + Send {
    /// The oldest message that waits and was not seen yet; `None` if there is none now, or no such
    /// queue. Given back by its settler, or dropped, it is held as before: it does not come again.
    ///
    /// # Errors
    /// The connection is lost, and all that was held is back in the queue; the queue does not
    /// answer; or the broker refuses.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, a message may be held that nobody has seen. It is not lost.
    async fn next(&mut self) -> Result<Option<Delivery>, InspectError>;

    /// Ends the look: when it returns the broker has heard of every ack. Dropped instead, that is
    /// not sure: what was acked may be in the queue still.
    ///
    /// # Errors
    /// The connection was lost: what was acked last may be in the queue still.
    async fn end(self: Box<Self>) -> Result<(), InspectError>;
}

/// A message out of a queue, and the handle that settles it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// The broker may have delivered it before.
    pub redelivered: bool,
    /// When it reached this process. Its time to live is counted from here on: it may wait for
    /// a permit before it is handed out.
    pub received: Instant,
    /// The reason why parts of the message can't be read and are not in it; `None` if it is whole.
    /// It is answered and kept as a dead letter, and no handler sees it.
    pub malformed: Option<String>,
    /// It came in one message with others. A caller that sends such reads replies in groups, too.
    pub bundled: bool,
    /// The partition it came by, if its contract has such.
    pub(crate) partition: Option<u16>,
    /// Settles it exactly once; dropped unsettled, it gives the message back to the queue.
    pub settler: Settler,
}

impl Delivery {
    /// A message that arrived now, for the first time.
    #[must_use]
    pub fn new(message: Message, settler: Settler) -> Self {
        Self {
            message,
            redelivered: false,
            received: Instant::now(),
            malformed: None,
            bundled: false,
            partition: None,
            settler,
        }
    }

    /// Sets whether the broker may have delivered it before.
    #[must_use]
    pub fn redelivered(mut self, redelivered: bool) -> Self {
        self.redelivered = redelivered;
        self
    }

    /// Sets the reason why parts of the message can't be read.
    #[must_use]
    pub fn malformed(mut self, reason: impl Into<String>) -> Self {
        self.malformed = Some(reason.into());
        self
    }

    /// Sets whether it came in one message with others.
    #[must_use]
    pub fn bundled(mut self, bundled: bool) -> Self {
        self.bundled = bundled;
        self
    }

    /// Sets when it reached this process.
    #[must_use]
    pub fn received(mut self, received: Instant) -> Self {
        self.received = received;
        self
    }
}

/// The ability of a transport to do its work.
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
