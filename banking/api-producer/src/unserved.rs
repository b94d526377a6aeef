//! Tells a service that nobody runs from one that is slow: a request waits in its queue either way,
//! and gets no answer in time.

use replybus::{
    Bus, CallFailure, FailureKind,
    client::{CallRequest, CallResponse, ClientLayer, ClientService},
};
use std::{error::Error, iter, time::Duration};
use tokio::time::timeout;
use tower::{BoxError, ServiceExt as _, layer::layer_fn, service_fn};

/// The broker says within this who consumes a queue, or it is not said.
const TOLD_WITHIN: Duration = Duration::from_millis(250);

/// A call that got no answer because nobody serves its queue.
#[derive(Debug, thiserror::Error)]
#[error("nobody serves {queue}")]
struct Unserved {
    queue: &'static str,
    #[source]
    failure: BoxError,
}

/// `true` if a call failed because nobody serves its queue.
pub(crate) fn is_why(failure: &CallFailure) -> bool {
    let causes = iter::successors(failure.cause(), |error| (*error).source());
    causes.into_iter().any(<dyn Error>::is::<Unserved>)
}

/// A layer around clients that looks for who should have answered, if nobody did.
pub(crate) fn watching(bus: &Bus, queue: &'static str) -> impl ClientLayer + use<> {
    let bus = bus.clone();
    layer_fn(move |inner: ClientService| {
        let bus = bus.clone();
        service_fn(move |request| call(bus.clone(), queue, inner.clone(), request))
    })
}

async fn call(
    bus: Bus,
    queue: &'static str,
    inner: ClientService,
    call: CallRequest,
) -> Result<CallResponse, BoxError> {
    let failure = match inner.oneshot(call).await {
        Ok(response) => return Ok(response),
        Err(failure) => failure,
    };
    let unanswered = failure
        .downcast_ref::<CallFailure>()
        .is_some_and(|failure| {
            matches!(failure.kind(), FailureKind::TimedOut | FailureKind::Expired)
        });
    if unanswered && is_unserved(&bus, queue).await {
        return Err(Unserved { queue, failure }.into());
    }
    Err(failure)
}

async fn is_unserved(bus: &Bus, queue: &str) -> bool {
    match timeout(TOLD_WITHIN, bus.inspect(queue)).await {
        Ok(Ok(state)) => state.is_none_or(|state| state.consumers == 0),
        Ok(Err(_)) | Err(_) => false,
    }
}
