//! The kinds of queue that a contract may ask for.

/// The kinds of queue RabbitMQ offers that suit requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
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
