//! Events of the flight record, on their way into the store and out of it.

use crate::limits::FLIGHT_TTL;
use bytes::Bytes;
use std::time::Duration;

/// Events to add to the flight record of a namespace; to the store bytes like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlightBatch {
    /// The events, none larger than
    /// [`FLIGHT_EVENT_BYTES_MAX`](crate::limits::FLIGHT_EVENT_BYTES_MAX).
    pub events: Vec<Bytes>,
    /// The number of events to leave in the record, or a little more: the latest.
    pub keep: usize,
    /// The time after which the record is gone, unless something is added to it.
    pub ttl: Duration,
}

impl FlightBatch {
    /// Events of which as many are left with those before, for [`FLIGHT_TTL`].
    #[must_use]
    pub fn new(events: Vec<Bytes>, keep: usize) -> Self {
        Self {
            events,
            keep,
            ttl: FLIGHT_TTL,
        }
    }

    /// Sets the time after which the record is gone.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }
}

/// A place in the flight record from which on it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlightCursor {
    /// What was added at or after this moment by the clock of the store, since the Unix epoch.
    Since(Duration),
    /// What was added after an event; to all but the store a name like any other.
    After(String),
}

/// Events in the order in which they were added, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlightPage {
    /// Up to [`FLIGHT_PAGE_EVENTS_MAX`](crate::limits::FLIGHT_PAGE_EVENTS_MAX) of them, none larger than
    /// [`FLIGHT_EVENT_BYTES_MAX`](crate::limits::FLIGHT_EVENT_BYTES_MAX): others may have written what is.
    pub events: Vec<Bytes>,
    /// The place of those that follow, if there may be such.
    pub next: Option<FlightCursor>,
}

impl FlightPage {
    /// Events, and the place of those that follow.
    #[must_use]
    pub fn new(events: Vec<Bytes>, next: Option<FlightCursor>) -> Self {
        Self { events, next }
    }
}
