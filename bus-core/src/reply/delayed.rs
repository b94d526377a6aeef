//! What a store notes of one message that waits on the broker.

use crate::call_id::CallId;
use bytes::Bytes;
use std::time::Duration;

/// A note of a message that waits on the broker until it is due, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DelayedNote {
    /// The queue it is for, without the namespace, or the routing key of an event.
    pub place: String,
    /// The message.
    pub id: CallId,
    /// When it is due, since the Unix epoch.
    pub due: Duration,
    /// What is known of it; to the store bytes like any other.
    pub record: Bytes,
}

impl DelayedNote {
    /// A note of the message `id` for `place`.
    #[must_use]
    pub fn new(place: impl Into<String>, id: CallId, due: Duration, record: Bytes) -> Self {
        Self {
            place: place.into(),
            id,
            due,
            record,
        }
    }
}
