//! What a bus is told of the flight record.

use crate::{
    error::SetupError,
    limits::{FLIGHT_EVENTS_KEPT, FLIGHT_EVENTS_KEPT_MAX},
};

/// The flight record of a bus, switched on by
/// [`BusBuilder::flight_record`](crate::BusBuilder::flight_record).
///
/// ```
/// use replybus::flight::FlightRecord;
///
/// let record = FlightRecord::new().keep(20_000);
/// # let _ = record;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct FlightRecord {
    keep: usize,
}

impl FlightRecord {
    /// A record of the last [`FLIGHT_EVENTS_KEPT`] events.
    pub const fn new() -> Self {
        Self {
            keep: FLIGHT_EVENTS_KEPT,
        }
    }

    /// Sets how many events are kept, of all programs of this namespace together; a call has about
    /// seven, and one takes some 300 bytes in Redis. The oldest go first. Programs that keep different
    /// numbers share one record: what one of them adds leaves as many as that one keeps.
    ///
    /// At least 1 and at most [`FLIGHT_EVENTS_KEPT_MAX`], or the bus does not connect.
    pub const fn keep(mut self, events: usize) -> Self {
        self.keep = events;
        self
    }

    pub(crate) const fn kept(&self) -> usize {
        self.keep
    }

    pub(crate) fn check(&self) -> Result<(), SetupError> {
        if (1..=FLIGHT_EVENTS_KEPT_MAX).contains(&self.keep) {
            return Ok(());
        }
        let keep = self.keep;
        let reason = format!("keeps {keep} events, 1 to {FLIGHT_EVENTS_KEPT_MAX} are allowed");
        Err(SetupError::setting("flight_record", reason))
    }
}

impl Default for FlightRecord {
    fn default() -> Self {
        Self::new()
    }
}
