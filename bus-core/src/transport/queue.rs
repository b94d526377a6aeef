//! The queues of a broker as they are declared, consumed and looked at.

use crate::{contract::QueueType, error::BoxError};
use std::time::Duration;

/// A durable queue as it is to be declared.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSpec {
    /// Its name on the broker.
    pub name: String,
    /// Its kind.
    pub queue_type: QueueType,
    /// Messages it holds before further ones are refused (`x-max-length` with
    /// `x-overflow: reject-publish`). `None` means without limit.
    pub length_max: Option<u32>,
    /// Bytes of bodies it holds before further messages are refused (`x-max-length-bytes`). `None`
    /// means without limit.
    pub bytes_max: Option<u64>,
    /// The time after which it is gone if nobody consumes it (`x-expires`). `None` means that it
    /// stays.
    pub expires: Option<Duration>,
    /// Times that a message may be given back before the broker drops it, if it counts them
    /// (`x-delivery-limit` of a quorum queue). `None` leaves it to the broker.
    pub returns_max: Option<u32>,
    /// A queue of that name which has other arguments is used as it is, and not refused.
    pub or_existing: bool,
    /// One consumer at a time is sent its messages, the one that has consumed it for longest; when
    /// that ends the next one is (`x-single-active-consumer`). [`Source`] says what that means for
    /// deliveries.
    pub single_active: bool,
}

impl QueueSpec {
    /// A classic queue without a limit.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queue_type: QueueType::Classic,
            length_max: None,
            bytes_max: None,
            expires: None,
            returns_max: None,
            or_existing: false,
            single_active: false,
        }
    }

    /// Sets the kind of queue.
    #[must_use]
    pub fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// Sets the messages it holds before further ones are refused.
    #[must_use]
    pub fn length_max(mut self, messages: u32) -> Self {
        self.length_max = Some(messages);
        self
    }

    /// Sets the bytes of bodies it holds before further messages are refused.
    #[must_use]
    pub fn bytes_max(mut self, bytes: u64) -> Self {
        self.bytes_max = Some(bytes);
        self
    }

    /// Sets the time after which it is gone if nobody consumes it.
    #[must_use]
    pub fn expires(mut self, unused_for: Duration) -> Self {
        self.expires = Some(unused_for);
        self
    }

    /// Sets the times that a message may be given back before a quorum queue drops it.
    #[must_use]
    pub fn returns_max(mut self, times: u32) -> Self {
        self.returns_max = Some(times);
        self
    }

    /// Has its messages sent to one consumer at a time.
    #[must_use]
    pub fn single_active(mut self) -> Self {
        self.single_active = true;
        self
    }

    /// Takes a queue of that name as it is, if there is one with other arguments.
    #[must_use]
    pub fn or_existing(mut self) -> Self {
        self.or_existing = true;
        self
    }
}

/// A queue to consume, how many deliveries to hold, and the bindings of the queue.
///
/// The deliveries of a queue with a [single active consumer](QueueSpec::single_active) come in its
/// order, and the next consumer is sent a message only after all before it are settled, or are back
/// in their places. So they end as a whole: [stopped](super::Deliveries::stop) or dropped, they give
/// back also what was handed out and is not settled; and when their connection or channel is lost
/// there is no more to come of them. To go on is to consume again, behind all others who do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// The queue.
    pub queue: QueueSpec,
    /// Deliveries handed over before the first is settled; at least 1.
    pub prefetch: u16,
    /// Topic exchange and routing keys the queue is bound to; empty for a queue of requests.
    pub bindings: Vec<Binding>,
}

impl Source {
    /// A queue to consume, not bound to any exchange.
    #[must_use]
    pub fn new(queue: QueueSpec, prefetch: u16) -> Self {
        Self {
            queue,
            prefetch,
            bindings: Vec::new(),
        }
    }

    /// Binds the queue to a topic exchange, besides what it is bound to.
    #[must_use]
    pub fn bind(mut self, binding: Binding) -> Self {
        self.bindings.push(binding);
        self
    }
}

/// A binding of a queue to a durable topic exchange, which is declared along with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Binding {
    /// The exchange.
    pub exchange: String,
    /// The routing key, or a topic pattern with `*` and `#`.
    pub routing_key: String,
}

impl Binding {
    /// A binding to `exchange`, by a routing key or pattern.
    #[must_use]
    pub fn new(exchange: impl Into<String>, routing_key: impl Into<String>) -> Self {
        Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
        }
    }
}

/// A queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueState {
    /// Messages that wait for a consumer with a free slot. Those that were delivered and are not
    /// settled yet do not count.
    pub waiting: u64,
    /// Consumers, of all programs.
    pub consumers: u64,
}

impl QueueState {
    /// A queue with that many waiting messages and consumers.
    #[must_use]
    pub const fn new(waiting: u64, consumers: u64) -> Self {
        Self { waiting, consumers }
    }
}

/// The outcome of [`Transport::remove`](super::Transport::remove).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// It is gone, with its bindings and what it held.
    Removed,
    /// There was no such queue.
    Missing,
    /// It is still there: it is consumed, or holds messages.
    Kept(QueueState),
}

impl Removal {
    /// `true` if a queue in this state may be removed.
    pub(crate) fn is_allowed(state: QueueState, discard_messages: bool) -> bool {
        state.consumers == 0 && (discard_messages || state.waiting == 0)
    }
}

/// The state of a queue could not be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// There is no connection to ask on.
    #[error("{server} can't be reached at {address}")]
    #[non_exhaustive]
    Unreachable {
        /// "RabbitMQ", or another broker's name.
        server: &'static str,
        /// Host and port, without credentials.
        address: String,
        /// The last failure.
        #[source]
        source: BoxError,
    },
    /// The queue gave no answer in time, though the broker did: a quorum queue without a majority
    /// of its nodes, or one that is stuck.
    #[error("queue {queue:?} gives no answer, though its broker does")]
    #[non_exhaustive]
    NoAnswer {
        /// Its name on the broker.
        queue: String,
    },
    /// The broker refuses to tell.
    #[error("queue {queue:?} can't be inspected: {reason}")]
    #[non_exhaustive]
    Refused {
        /// Its name on the broker.
        queue: String,
        /// The broker's own words, and how to put it right.
        reason: String,
    },
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}

impl InspectError {
    /// A broker that there is no connection to, with the last failure.
    pub fn unreachable(
        server: &'static str,
        address: impl Into<String>,
        source: impl Into<BoxError>,
    ) -> Self {
        Self::Unreachable {
            server,
            address: address.into(),
            source: source.into(),
        }
    }

    /// A queue that gave no answer in time, though its broker did.
    pub fn no_answer(queue: impl Into<String>) -> Self {
        Self::NoAnswer {
            queue: queue.into(),
        }
    }

    /// A queue that the broker tells nothing of, with its own words.
    ///
    /// ```
    /// use replybus::transport::InspectError;
    ///
    /// let error = InspectError::refused("greeter.requests", "ACCESS_REFUSED");
    /// assert_eq!(
    ///     error.to_string(),
    ///     "queue \"greeter.requests\" can't be inspected: ACCESS_REFUSED",
    /// );
    /// ```
    pub fn refused(queue: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused {
            queue: queue.into(),
            reason: reason.into(),
        }
    }
}
