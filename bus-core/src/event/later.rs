//! Events that are to be emitted later.

use super::{Emit, Event};
use crate::{
    bus::{Bus, BusInner},
    call_id::CallId,
    delayed::{Delayed, DelayedKind},
    schedule::{Due, When},
};
use std::time::{Duration, SystemTime};

impl Bus {
    /// Emits an event as [`emit`](Self::emit) does, so that it reaches subscribers after `delay`,
    /// counted from here, up to [`DELAY_MAX`](crate::limits::DELAY_MAX). It goes to the groups that
    /// there are then.
    ///
    /// ```
    /// use replybus::{Bus, Event};
    /// use serde::{Deserialize, Serialize};
    /// use std::time::Duration;
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event("offer.expired")]
    /// struct OfferExpired { offer: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// bus.emit_after(&OfferExpired { offer: 17 }, Duration::from_secs(3600)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit_after<E: Event>(&self, event: &E, delay: Duration) -> Emit {
        self.emit(event).when(When::After(delay))
    }

    /// As [`emit_after`](Self::emit_after), at a moment by this machine's clock. One that has
    /// passed is now.
    ///
    /// ```
    /// # use replybus::{Bus, Event};
    /// # use serde::{Deserialize, Serialize};
    /// use std::time::{Duration, SystemTime};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event("offer.expired")]
    /// # struct OfferExpired { offer: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// let noon: SystemTime = SystemTime::now() + Duration::from_secs(3600);
    /// bus.emit_at(&OfferExpired { offer: 17 }, noon).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit_at<E: Event>(&self, event: &E, at: impl Into<SystemTime>) -> Emit {
        self.emit(event).when(When::At(at.into()))
    }
}

impl Emit {
    /// Emits it when this time has passed: [`Bus::emit_after`] says what that means.
    pub fn after(self, delay: Duration) -> Self {
        self.when(When::After(delay))
    }

    /// Emits it at a moment: [`Bus::emit_at`] says what that means.
    pub fn at(self, at: impl Into<SystemTime>) -> Self {
        self.when(When::At(at.into()))
    }
}

/// Has an event that the broker will bring later listed until then.
pub(super) fn note_delayed(bus: &BusInner, event: &str, id: CallId, due: Due) {
    bus.delayed.note(&Delayed {
        id,
        kind: DelayedKind::Event,
        place: event,
        service: "",
        name: event,
        due: due.named,
        keyed: false,
        ticket: None,
    });
}
