//! The innermost service of the client: publishes a request and waits for what comes of it.

use super::request::{CallRequest, Verb};
use crate::{
    bus::BusInner,
    error::{BoxError, CallFailure, FailureKind},
    transport::{Outgoing, Receipt, Verdict, Withdrawn},
};
use bytes::Bytes;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::{Instant, sleep_until};

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallResponse {
    /// The reply, encoded; see [`ReplyFrame`](crate::wire::ReplyFrame).
    Reply(Bytes),
    /// The broker has the request; nobody waits for a reply here.
    Accepted,
}

/// Publishes requests of one bus.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub(crate) Arc<BusInner>);

impl tower::Service<CallRequest> for Caller {
    type Response = CallResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<CallResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        let bus = Arc::clone(&self.0);
        Box::pin(async move {
            let outcome = match request.verb {
                Verb::Call => call(&bus, &request).await.map(CallResponse::Reply),
                Verb::Send | Verb::Submit => hand_over(&bus, &request)
                    .await
                    .map(|()| CallResponse::Accepted),
            };
            outcome.map_err(BoxError::from)
        })
    }
}

/// One call and the publishes it takes.
struct Attempts<'a> {
    bus: &'a BusInner,
    request: &'a CallRequest,
    receipt: Receipt,
    /// Some copy may have reached the broker.
    written: bool,
}

impl<'a> Attempts<'a> {
    fn first(bus: &'a BusInner, request: &'a CallRequest) -> Self {
        Self {
            bus,
            request,
            receipt: publish(bus, request),
            written: false,
        }
    }

    /// Sends the same call again: a service recognises it by its id.
    fn again(&mut self) {
        self.written |= self.receipt.withdraw() == Withdrawn::TooLate;
        metrics::counter!("replybus_republished_total").increment(1);
        self.receipt = publish(self.bus, self.request);
    }

    /// What a verdict other than `Confirmed` and `Lost` means for the call.
    fn refused(&self, verdict: Verdict) -> CallFailure {
        let kind = match verdict {
            Verdict::Unroutable => FailureKind::Unroutable,
            Verdict::Refused | Verdict::Busy => FailureKind::Overloaded,
            Verdict::NotWritten | Verdict::Confirmed | Verdict::Lost => FailureKind::Disconnected,
        };
        self.failure(kind)
    }

    fn timed_out(&self) -> CallFailure {
        let gone = self.receipt.withdraw() == Withdrawn::TooLate;
        if gone || self.written {
            self.request.failure(FailureKind::TimedOut)
        } else {
            self.failure(FailureKind::Disconnected)
        }
    }

    fn failure(&self, kind: FailureKind) -> CallFailure {
        let failure = self.request.failure(kind);
        if self.written {
            // An earlier copy may be out there, whatever became of this one.
            failure.may_have_been_executed()
        } else {
            failure.surely_not_executed()
        }
    }
}

fn publish(bus: &BusInner, request: &CallRequest) -> Receipt {
    let expires = match request.verb {
        Verb::Call => request.deadline,
        Verb::Send | Verb::Submit => request.started + request.expires_in,
    };
    bus.transport.publish(Outgoing {
        message: request.message(&bus.app_id, bus.replies.inbox()),
        deadline: Some(expires.into_std()),
        mandatory: true,
        // A queue with a limit may refuse, and only a confirm tells.
        confirm: request.verb != Verb::Call || request.contract.defaults.queue_length_max.is_some(),
    })
}

/// Publishes, and waits for the reply. The reply is the confirm: a request that is lost with its
/// connection is sent again under the same id, by which a service recognises it. What the broker
/// says is listened to only to learn early that no reply can come.
async fn call(bus: &BusInner, request: &CallRequest) -> Result<Bytes, CallFailure> {
    if request.deadline <= Instant::now() {
        return Err(request.failure(FailureKind::Expired));
    }
    let Some(mut waiter) = bus.waiters.register(request.id) else {
        return Err(request.failure(FailureKind::Overloaded));
    };
    let mut attempts = Attempts::first(bus, request);
    let mut confirmed = false;
    let deadline = sleep_until(request.deadline);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            biased;
            frame = waiter.reply() => return Ok(frame),
            verdict = attempts.receipt.verdict(), if !confirmed => match verdict {
                Verdict::Confirmed => confirmed = true,
                Verdict::Lost => attempts.again(),
                refused => return Err(attempts.refused(refused)),
            },
            () = bus.closed.cancelled() => {
                let failure = request.failure(FailureKind::Disconnected);
                return Err(match attempts.receipt.withdraw() {
                    Withdrawn::Surely if !attempts.written => failure.surely_not_executed(),
                    _ => failure,
                });
            }
            () = &mut deadline => return Err(attempts.timed_out()),
        }
    }
}

/// Publishes, and waits for the broker's word that it has the request.
async fn hand_over(bus: &BusInner, request: &CallRequest) -> Result<(), CallFailure> {
    let mut attempts = Attempts::first(bus, request);
    let deadline = sleep_until(request.deadline);
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            biased;
            verdict = attempts.receipt.verdict() => match verdict {
                Verdict::Confirmed => return Ok(()),
                Verdict::Lost => attempts.again(),
                refused => return Err(attempts.refused(refused)),
            },
            () = &mut deadline => return Err(attempts.timed_out()),
        }
    }
}
