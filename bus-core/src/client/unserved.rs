//! A call whose queue nobody serves: found out, and withdrawn for sure where that can be.

use super::{cancel::CancelTarget, consumer_probe::Look, request::CallRequest};
use crate::{bus::BusInner, limits::CONSUMER_LOOK_EVERY, reply::Cancelled};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

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
    /// Nothing that ends it; to be looked at again after this time.
    Again(Duration),
}

/// Looks whether anybody serves the queue of a call. If not, the call is withdrawn: in the record
/// that its claim is asked of, if it has one of its own. Under an idempotency key that would withdraw
/// whatever else is to come under it.
pub(super) async fn look(bus: &BusInner, request: &CallRequest) -> Found {
    let lanes = request.copies.lanes();
    if let Look::Again(pause) = lanes.probe().look(request.started).await {
        return Found::Again(pause);
    }
    let left = request.deadline().saturating_duration_since(Instant::now());
    let is_withdrawn = if request.method.is_claimed() && request.idempotency_key.is_none() {
        let target = CancelTarget {
            info: request.info(),
            queue: lanes.probe().name().clone(),
            idempotency_key: None,
            is_recorded: true,
            awaited_until: Some(request.deadline()),
            startable_for: left,
        };
        match bus.replies.cancel(&target.record()).await {
            Ok(Cancelled::NeverStarted) => true,
            Ok(Cancelled::Done(frame)) => return Found::Done(frame),
            // Somebody took it meanwhile, or that is not known.
            Ok(Cancelled::Running) | Err(_) => return Found::Again(CONSUMER_LOOK_EVERY),
        }
    } else {
        false
    };
    // Whoever begins to serve the queue now need not begin with this.
    lanes.cancels().cancel(request.id(), request.deadline());
    Found::Unserved {
        surely_not_executed: is_withdrawn,
    }
}
