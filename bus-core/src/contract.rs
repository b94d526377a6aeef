//! What a caller and a service agree on: the queue, the methods and their defaults.
//!
//! `#[queue_handler]` writes these values as constants; nothing here is read from the network.

use std::time::Duration;

/// One annotated trait: its name, its queue and its methods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceContract {
    /// The trait's name, used in errors, spans and metrics.
    pub name: &'static str,
    /// The queue requests travel through, before any namespace of the bus.
    pub queue: &'static str,
    /// What the attribute says about serving; each can be overridden when serving.
    pub defaults: ServeDefaults,
    /// The methods in the order of the trait.
    pub methods: &'static [MethodContract],
}

impl ServiceContract {
    /// The method called `name` on the wire, with its position in the trait.
    #[must_use]
    pub fn method(&self, name: &str) -> Option<(usize, &'static MethodContract)> {
        self.methods
            .iter()
            .enumerate()
            .find(|(_, method)| method.name == name)
    }

    /// The budget of a call to `method` that names no timeout of its own.
    #[must_use]
    pub fn timeout(&self, method: &MethodContract) -> Duration {
        method
            .timeout
            .or(self.defaults.timeout)
            .unwrap_or(crate::limits::CALL_TIMEOUT)
    }
}

/// One method of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodContract {
    /// The method's name, sent as the AMQP property `type`.
    pub name: &'static str,
    /// Whether it may be repeated.
    pub kind: MethodKind,
    /// The budget of one call, if the method names one.
    pub timeout: Option<Duration>,
}

/// Whether running a method twice does harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MethodKind {
    /// `#[query]`: reads only. Travels as a transient message, may be repeated, may be dropped.
    Query,
    /// `#[command]`, the default: changes something. Travels as a persistent message, is claimed
    /// under its idempotency key before it runs, and is never dropped half-way.
    Command,
}

/// Options of the attribute that concern the serving side. `None` means the value in [`crate::limits`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServeDefaults {
    /// Handlers that run at the same time in one process.
    pub concurrency: Option<u16>,
    /// Deliveries the broker hands over before the first is settled.
    pub prefetch: Option<u16>,
    /// The budget of a call whose method names none.
    pub timeout: Option<Duration>,
    /// The kind of queue to declare.
    pub queue_type: QueueType,
    /// Messages the queue holds before further ones are refused. `None` means without limit.
    pub queue_length_max: Option<u32>,
}

/// The kinds of queue RabbitMQ offers that suit requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum QueueType {
    /// `x-queue-type: classic`. One copy, on one node.
    #[default]
    Classic,
    /// `x-queue-type: quorum`. Replicated over the nodes of a cluster.
    Quorum,
}

impl QueueType {
    /// The value of the argument `x-queue-type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}
