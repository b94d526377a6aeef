//! A call whose queue nobody serves: found out, and given up for sure.

use super::{cancel::CancelTarget, consumer_probe::Look, request::CallRequest};
use crate::{
    bus::BusInner,
    limits::{CLOCK_ALLOWANCE, CONSUMER_LOOK_EVERY, PRESENCE_TTL},
    reply::{Cancelled, CommandRecord},
    work::command_key,
};
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

    /// The same, but of a call that nobody will run only a condition makes sure that nobody has.
    fn but_surely_only_if(self, surely: bool) -> Self {
        match self {
            Self::Unserved {
                surely_not_executed,
            } => Self::Unserved {
                surely_not_executed: surely_not_executed && surely,
            },
            found => found,
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
    // So long it may be started.
    let left = request.deadline() + CLOCK_ALLOWANCE;
    let left = left.saturating_duration_since(Instant::now());
    let found = match &request.idempotency_key {
        None if request.method.is_claimed() => cancel(bus, request, left).await,
        Some(key) if request.method.is_claimed() => give_up_keyed(bus, request, key, left).await,
        _ => {
            let found = give_up(bus, request, left).await;
            // Whoever had begun it and was killed since then, or gave it back, would still have a
            // record, if all or all but one of its announcements were heard.
            let is_recent = request.started.elapsed() < PRESENCE_TTL / 3;
            found.but_surely_only_if(is_recent)
        }
    };
    // One that was put off waits for its next run with no record.
    found.but_surely_only_if(request.method.retry.is_none())
}

/// Gives up a command under a key, unless somebody has begun it, whom another may follow.
async fn give_up_keyed(bus: &BusInner, request: &CallRequest, key: &str, left: Duration) -> Found {
    let queue = request.copies.lanes().probe().name();
    let key = command_key(queue, request.method.name, Some(key), request.id());
    if matches!(bus.replies.record(&key).await, Ok(Some(_))) {
        return Found::served(CONSUMER_LOOK_EVERY);
    }
    let found = give_up(bus, request, left).await;
    let was_begun = !matches!(bus.replies.record(&key).await, Ok(None));
    found.but_surely_only_if(!was_begun)
}

/// Notes a call for whoever begins to serve the queue, and looks once more whether anybody does.
async fn give_up(bus: &BusInner, request: &CallRequest, left: Duration) -> Found {
    let probe = request.copies.lanes().probe();
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
        is_delayed: false,
        info: request.info(),
        queue: lanes.probe().name().clone(),
        idempotency_key: None,
        is_recorded: true,
        may_be_put_off: request.method.retry.is_some(),
        awaited_until: Some(request.deadline()),
        startable_for: left,
    };
    // One that was begun is for another to follow: cancelled, it would be interrupted.
    if let Ok(Some(CommandRecord::Running { .. })) = bus.replies.record(&target.claim_key()).await {
        return Found::served(CONSUMER_LOOK_EVERY);
    }
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
