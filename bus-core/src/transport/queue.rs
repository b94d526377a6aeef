//! The queues of a broker as they are declared, consumed and looked at.

use crate::{contract::QueueType, error::BoxError};

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

/// A queue to consume, how many deliveries to hold, and the bindings of the queue.
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

/// A queue at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueState {
    /// Messages that wait for a consumer with a free slot. Those that were delivered and are not
    /// settled yet do not count.
    pub waiting: u64,
    /// Consumers, of all programs.
    pub consumers: u64,
}

/// The state of a queue could not be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// There is no connection to ask on.
    #[error("{server} can't be reached at {address}")]
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
    NoAnswer {
        /// Its name on the broker.
        queue: String,
    },
    /// The broker refuses to tell.
    #[error("queue {queue:?} can't be inspected: {reason}")]
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
