//! The record of one serving instance, on its way into the store.

use crate::{limits::PRESENCE_TTL, presence::InstanceId};
use bytes::Bytes;
use std::time::Duration;

/// The record of one serving instance, as a store keeps it: under the queue that it serves, for as
/// long as it is announced again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// The queue, without the namespace.
    pub queue: String,
    /// The instance.
    pub instance: InstanceId,
    /// What it says of itself; to the store bytes like any other.
    pub record: Bytes,
    /// The time after which it counts as gone, unless it is announced again.
    pub ttl: Duration,
}

impl Presence {
    /// A record that lives for [`PRESENCE_TTL`].
    #[must_use]
    pub fn new(queue: impl Into<String>, instance: InstanceId, record: Bytes) -> Self {
        Self {
            queue: queue.into(),
            instance,
            record,
            ttl: PRESENCE_TTL,
        }
    }

    /// Sets the time after which it counts as gone.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }
}
