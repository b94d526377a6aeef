//! A call whose queue nobody serves: found out, and given up for sure.

use super::{cancel::CancelTarget, consumer_probe::Look, request::CallRequest};
use crate::{bus::BusInner, limits::CONSUMER_LOOK_EVERY, reply::Cancelled};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What was found out of a call that has no reply yet.
#[derive(Debug)]
pub(super) enum Found {
    /// Nobody serves its queue.
    Unserved {
        /// It was not run, and never will be.
        surely_not_executed: bool,
    },
    /// It is done, and this is its reply.
    Done(Bytes),
    /// Somebody serves its queue, or that is not known; to be looked at again after this time.
    Served {
        again_after: Duration,
        /// It was noted as given up: whoever took it after that does not start it.
        given_up: bool,
    },
}

impl Found {
    fn served(again_after: Duration) -> Self {
        Self::Served {
            again_after,
            given_up: false,
        }
    }
}

/// Looks whether anybody serves the queue of a call, and if not, gives it up.
///
/// A command without a key is cancelled in the record that its claim is asked of. Under an
/// idempotency key that would cancel whatever else is to come under it, and others have no record.
/// So these are noted for whoever begins to serve the queue, which it consumes first and looks for
/// notes then: if nobody consumes it after the note, nobody will run the call.
pub(super) async fn look(bus: &BusInner, request: &CallRequest) -> Found {
    let probe = request.copies.lanes().probe();
    match probe.look(request.started).await {
        Look::Unserved => {}
        Look::TooSoon(pause) | Look::Served(pause) => return Found::served(pause),
    }
    let left = request.deadline().saturating_duration_since(Instant::now());
    if request.method.is_claimed() && request.idempotency_key.is_none() {
        return cancel(bus, request, left).await;
    }
    let noted = bus.replies.give_up(probe.name(), request.id(), left).await;
    if !matches!(noted, Ok(true)) {
        return Found::Unserved {
            surely_not_executed: false,
        };
    }
    let noted_at = Instant::now();
    loop {
        match probe.look(noted_at).await {
            Look::Unserved => {
                return Found::Unserved {
                    surely_not_executed: true,
                };
            }
            Look::TooSoon(pause) => sleep(pause).await,
            Look::Served(again_after) => {
                return Found::Served {
                    again_after,
                    given_up: true,
                };
            }
        }
    }
}

/// Cancels a command in its record.
async fn cancel(bus: &BusInner, request: &CallRequest, left: Duration) -> Found {
    let lanes = request.copies.lanes();
    let target = CancelTarget {
        info: request.info(),
        queue: lanes.probe().name().clone(),
        idempotency_key: None,
        is_recorded: true,
        awaited_until: Some(request.deadline()),
        startable_for: left,
    };
    match bus.replies.cancel(&target.record()).await {
        Ok(Cancelled::NeverStarted) => {
            // Whoever begins to serve the queue now need not ask.
            lanes.cancels().cancel(request.id(), request.deadline());
            Found::Unserved {
                surely_not_executed: true,
            }
        }
        Ok(Cancelled::Done(frame)) => Found::Done(frame),
        // Somebody took it meanwhile, or that is not known.
        Ok(Cancelled::Running) | Err(_) => Found::served(CONSUMER_LOOK_EVERY),
    }
}
