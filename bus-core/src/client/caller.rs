//! The innermost service of the client: publishes a request and waits for what comes of it.

use super::{
    bundle::Sending,
    request::{CallRequest, Verb},
    response::CallResponse,
    unserved::{self, Found},
    waiters::Waiter,
};
use crate::{
    bus::BusInner,
    cache,
    context::Context as CallContext,
    contract::Priority,
    error::{BoxError, CallFailure, FailureKind},
    flight::FlightStep,
    limits::CONSUMER_LOOK_AFTER,
    message::Text,
    transport::{Outgoing, TransportHealth, Verdict, Withdrawn},
    wire::ReplyFrame,
};
use bytes::Bytes;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The bus was closed while a call waited.
#[derive(Debug, thiserror::Error)]
#[error("the bus was closed")]
pub(super) struct BusClosed;

/// A call was lost with its connection, and is not sent again.
#[derive(Debug, thiserror::Error)]
#[error(
    "it was lost with its connection, and sent again it would come behind a later call of its key"
)]
struct LostTurn;

/// The transport's reason for having no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct TransportDown(String);

/// The broker's own words about a request that it does not take.
#[derive(Debug, thiserror::Error)]
#[error("the broker said: {0}")]
struct BrokerSaid(Arc<str>);

/// The publisher of the requests of one bus.
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
        let caller = self.clone();
        Box::pin(async move { Ok(caller.make(&request).await?) })
    }
}

impl Caller {
    /// Makes a call, where no layer stands before it.
    pub(super) async fn make(&self, request: &CallRequest) -> Result<CallResponse, CallFailure> {
        match request.verb {
            // An answer that is kept for others is nobody's reply.
            Verb::Call => match request
                .cache_policy()
                .filter(|_| !self.0.signatures.check_replies())
            {
                None => call(&self.0, request).await,
                // Boxed: what all other calls wait with has no room for it.
                Some(policy) => {
                    let make = || call(&self.0, request);
                    Box::pin(cache::ask(&self.0, request, policy, make)).await
                }
            },
            Verb::Send | Verb::Submit => hand_over(&self.0, request).await,
        }
    }
}

/// One call and the publishes it takes.
struct Attempts<'a> {
    bus: &'a BusInner,
    request: &'a CallRequest,
    sending: Sending,
    /// The last copy was not run, and surely will not be. Not known while there are several, all
    /// of one id: what is said is said of any of them.
    spent: bool,
    /// The broker has the last copy, and says no more of it.
    confirmed: bool,
    /// It was noted as given up: whoever begins to serve the queue does not start it.
    given_up: bool,
    /// It is recorded what came of them.
    is_noted: bool,
    /// Of a contract with partitions: its turn among the calls of its key.
    turn: u32,
}

impl<'a> Attempts<'a> {
    fn first(bus: &'a BusInner, request: &'a CallRequest) -> Self {
        let turns = request.copies.lanes().turns();
        Self {
            bus,
            turn: turns.map_or(0, |turns| turns.take(request.key)),
            request,
            sending: send(bus, request),
            spent: false,
            confirmed: false,
            given_up: false,
            is_noted: false,
        }
    }

    /// Records what came of the call for its caller.
    fn note(&mut self, step: impl FnOnce() -> FlightStep) {
        self.is_noted = true;
        self.bus.flights.note(self.request.id(), step);
    }

    /// The same, of a call that has ended, unless it was recorded with its reply.
    fn note_end(&mut self, ended: &Result<CallResponse, CallFailure>) {
        if let (Err(failure), false) = (ended, self.is_noted) {
            let reason = Text::from_static(failure.kind().as_str());
            self.note(|| FlightStep::Failed { reason });
        }
    }

    /// Waits for the verdict on the last copy.
    fn verdict(&self) -> impl Future<Output = Verdict> {
        poll_fn(|cx| self.sending.poll_verdict(cx))
    }

    /// Sends the same call again, in a message of its own: a service recognises it by its id.
    fn again(&mut self) {
        self.take_back();
        metrics::counter!("replybus_republished_total").increment(1);
        self.sending = publish(self.bus, self.request);
    }

    /// `true` if it may be sent again: not if it would come behind a later call of its key.
    fn keeps_its_turn(&self) -> bool {
        let turns = self.request.copies.lanes().turns();
        turns.is_none_or(|turns| turns.is_last(self.request.key, self.turn))
    }

    /// The failure of a call that is not sent again.
    fn lost(&self) -> CallFailure {
        let failure = self.request.failure(FailureKind::Disconnected);
        failure.with_cause(LostTurn)
    }

    /// Withdraws the last copy; one that surely will not be run counts no longer.
    fn take_back(&self) {
        if self.spent || self.sending.withdraw() == Withdrawn::Surely {
            self.request.copies.took_back();
        }
    }

    /// True if any copy but the last may have reached the broker.
    fn repeated(&self) -> bool {
        self.request.copies.are_several()
    }

    /// `true` of a call whose stream is being read: it is served.
    fn is_fed(&self) -> bool {
        let request = self.request;
        request.window > 0 && self.bus.waiters.is_fed(request.id())
    }

    /// Reads the reply, once for everybody: for the caller, for the layers between, and to know
    /// whether this copy ran. A fault is a failure like any other, for all of them.
    fn replied(&mut self, frame: &Bytes) -> Result<CallResponse, CallFailure> {
        let repeated = self.repeated();
        self.request.copies.lanes().probe().heard();
        let believed;
        let frame = if self.bus.signatures.check_replies() {
            believed = self.bus.signatures.believed(self.request, frame);
            believed.as_ref().map_err(|refusal| {
                let failure = self.request.failure(FailureKind::BadReply);
                failure.with_cause(*refusal)
            })?
        } else {
            frame
        };
        let reply = ReplyFrame::decode_timed(frame).map_err(|error| {
            let failure = self.request.failure(FailureKind::BadReply);
            failure.with_cause(error)
        })?;
        self.note(|| FlightStep::Answered {
            outcome: Text::from_static(reply.1.label()),
        });
        match reply {
            (_, ReplyFrame::Fault(fault), _) if self.given_up && fault.says_never_started() => {
                Err(self.unserved(self.request.method.retry.is_none()))
            }
            (_, ReplyFrame::Fault(fault), _) => {
                self.spent |= !repeated && !fault.may_have_executed;
                Err(self.request.fault(fault).of_one_copy(repeated))
            }
            (content_type, frame, micros) => {
                let pace = self.request.copies.lanes().pace();
                pace.learn(self.request.method, micros);
                Ok(CallResponse::replied((content_type, frame)).of_copies(repeated))
            }
        }
    }

    /// The failure of a call that got a verdict other than `Confirmed` and `Lost`.
    fn refused(&mut self, verdict: Verdict) -> CallFailure {
        self.spent |= !self.repeated();
        let kind = match &verdict {
            Verdict::Unroutable => FailureKind::Unroutable,
            Verdict::Refused | Verdict::Busy => FailureKind::Overloaded,
            Verdict::Denied(_) => FailureKind::Denied,
            Verdict::Unacceptable(_) => FailureKind::NotSent,
            Verdict::NotWritten | Verdict::Confirmed | Verdict::Lost => FailureKind::Disconnected,
        };
        let failure = self.unless_repeated(kind);
        match (verdict, self.bus.transport.health()) {
            (Verdict::Denied(said) | Verdict::Unacceptable(said), _) => {
                failure.with_cause(BrokerSaid(said))
            }
            (Verdict::NotWritten, TransportHealth::Down(reason)) => {
                failure.with_cause(TransportDown(reason))
            }
            _ => failure,
        }
    }

    /// When it is first looked whether anybody serves the queue, or else the deadline.
    fn first_look(&self) -> Instant {
        match self.request.waits_for_service {
            true => self.request.deadline(),
            false => self.look_after(CONSUMER_LOOK_AFTER),
        }
    }

    fn look_after(&self, pause: Duration) -> Instant {
        self.request.deadline().min(Instant::now() + pause)
    }

    fn unserved(&mut self, surely_not_executed: bool) -> CallFailure {
        let failure = self.request.failure(FailureKind::NoConsumer);
        if !surely_not_executed {
            return failure.of_one_copy(true);
        }
        // No copy will be run: they have one record.
        self.spent = true;
        failure.surely_not_executed()
    }

    fn timed_out(&self) -> CallFailure {
        if self.sending.withdraw() == Withdrawn::TooLate || self.repeated() {
            self.request.failure(FailureKind::TimedOut)
        } else {
            self.unless_repeated(FailureKind::Disconnected)
        }
    }

    fn bus_closed(&self) -> CallFailure {
        match self.sending.withdraw() {
            Withdrawn::Surely => self.unless_repeated(FailureKind::Disconnected),
            Withdrawn::TooLate => self.request.failure(FailureKind::Disconnected),
        }
        .with_cause(BusClosed)
    }

    /// A failure of which the last copy was surely not executed.
    fn unless_repeated(&self, kind: FailureKind) -> CallFailure {
        let failure = self.request.failure(kind).surely_not_executed();
        failure.of_one_copy(self.repeated())
    }
}

impl Drop for Attempts<'_> {
    fn drop(&mut self) {
        if !self.is_noted {
            self.note(|| FlightStep::Abandoned);
        }
        self.take_back();
    }
}

/// Records that a call is published.
fn note_published(bus: &BusInner, request: &CallRequest, repeated: bool) {
    bus.flights.note(request.id(), || {
        let trace = request.carried.trace_id();
        let own = u128::from_be_bytes(*request.id().as_bytes());
        let trace = trace.filter(|trace| *trace != own);
        FlightStep::Published {
            service: Text::from_static(request.contract.name),
            method: Text::from_static(request.method.name),
            queue: request.queue_name().clone(),
            awaited: request.verb == Verb::Call,
            repeated,
            parent: CallContext::current().call_id(),
            trace: trace.map(|trace| Text::shown(format_args!("{trace:032x}"))),
        }
    });
}

/// Sends a request, with others if it may be.
fn send(bus: &BusInner, request: &CallRequest) -> Sending {
    let contract = request.contract;
    let is_plain = request.window == 0 && request.priority == Priority::default();
    let alone = !contract.defaults.bundles || contract.partitions.is_some() || !is_plain;
    if confirms(request) || alone {
        return publish(bus, request);
    }
    let repeated = request.copies.begin();
    note_published(bus, request, repeated);
    let alone = || outgoing(bus, request, repeated);
    request.copies.lanes().send(request, repeated, alone)
}

/// Sends a request in a message of its own.
fn publish(bus: &BusInner, request: &CallRequest) -> Sending {
    let repeated = request.copies.begin();
    note_published(bus, request, repeated);
    let outgoing = outgoing(bus, request, repeated);
    Sending::Alone(match &request.due {
        None => bus.transport.publish(outgoing),
        Some(due) => bus.transport.publish_at(outgoing, bus.delay_until(due.at)),
    })
}

fn outgoing(bus: &BusInner, request: &CallRequest, repeated: bool) -> Outgoing {
    let expires = match request.verb {
        Verb::Send | Verb::Submit if request.due.is_none() => request.started + request.ttl,
        // Of one that is delayed its handing over ends with the wait for it.
        Verb::Call | Verb::Send | Verb::Submit => request.deadline(),
    };
    Outgoing {
        message: request.message(&bus.app_id, &bus.inbox, &bus.signatures, repeated),
        deadline: Some(expires),
        mandatory: true,
        confirm: confirms(request),
    }
}

/// `true` if the broker's word is waited for: it is all there is of a call whose reply is not, and
/// a queue with a limit may refuse, which only a confirm tells.
fn confirms(request: &CallRequest) -> bool {
    request.verb != Verb::Call || request.contract.defaults.queue_length_max.is_some()
}

/// A failure before anything was published, unless a layer did so before.
fn unsent(request: &CallRequest, kind: FailureKind) -> CallFailure {
    request.failure(kind).of_one_copy(request.copies.are_any())
}

/// Publishes, and waits for the reply. The reply is the confirm: a request that is lost with its
/// connection is sent again under the same id, by which a service recognises it. What the broker
/// says is listened to only to learn early that no reply can come.
async fn call(bus: &BusInner, request: &CallRequest) -> Result<CallResponse, CallFailure> {
    if request.deadline() <= Instant::now() {
        return Err(unsent(request, FailureKind::Expired));
    }
    let Some(waiter) = bus.waiters.register(&request.copies) else {
        return Err(unsent(request, FailureKind::Overloaded));
    };
    wait(waiter, Attempts::first(bus, request)).await
}

/// Waits for the reply to what was published.
// Not an `async fn`, which would keep room for its arguments a second time.
#[expect(clippy::manual_async_fn, reason = "see above")]
fn wait<'a>(
    mut waiter: Waiter,
    mut attempts: Attempts<'a>,
) -> impl Future<Output = Result<CallResponse, CallFailure>> + Send + 'a {
    async move {
        // One timer, for the next look whether anybody serves the queue, and for the deadline.
        let timer = sleep_until(attempts.first_look());
        tokio::pin!(timer);
        let mut look = NextLook {
            timer,
            under_way: None,
        };
        let ended = loop {
            tokio::select! {
                biased;
                frame = waiter.reply() => break attempts.replied(&frame),
                verdict = attempts.verdict(), if !attempts.confirmed => match verdict {
                    Verdict::Confirmed => attempts.confirmed = true,
                    Verdict::Lost if attempts.keeps_its_turn() => attempts.again(),
                    Verdict::Lost => break Err(attempts.lost()),
                    refused => break Err(attempts.refused(refused)),
                },
                () = attempts.bus.closed.cancelled() => break Err(attempts.bus_closed()),
                found = poll_fn(|cx| look.poll(cx)) => match found {
                    // Its worker is there, and may be finding its way back to the queue.
                    Some(Found::Unserved { .. }) if attempts.is_fed() => {
                        look.under_way = None;
                        look.timer.as_mut().reset(attempts.request.deadline());
                    }
                    Some(Found::Unserved { surely_not_executed }) => {
                        break Err(attempts.unserved(surely_not_executed));
                    }
                    Some(Found::Done(frame)) => break attempts.replied(&frame),
                    Some(Found::Served { again_after, given_up }) => {
                        attempts.given_up |= given_up;
                        look.under_way = None;
                        look.timer.as_mut().reset(attempts.look_after(again_after));
                    }
                    None if attempts.request.deadline() <= Instant::now() => {
                        break Err(attempts.timed_out());
                    }
                    None => {
                        look.timer.as_mut().reset(attempts.request.deadline());
                        // One that was sent again waits: its service may be finding its way back
                        // as well.
                        if !attempts.repeated() && !attempts.is_fed() {
                            let (bus, request) = (attempts.bus, attempts.request);
                            look.under_way = Some(Box::pin(unserved::look(bus, request)));
                        }
                    }
                },
            }
        };
        // The service knows the deadline as well.
        attempts.request.copies.end();
        attempts.note_end(&ended);
        ended
    }
}

/// The next look whether anybody serves the queue of a call: when it is due, and what is under way.
struct NextLook<'a, F> {
    timer: Pin<&'a mut Sleep>,
    under_way: Option<Pin<Box<F>>>,
}

impl<F: Future<Output = Found>> NextLook<'_, F> {
    /// Waits for what a look comes to, or for the timer: `None`.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Found>> {
        if let Some(under_way) = &mut self.under_way
            && let Poll::Ready(found) = under_way.as_mut().poll(cx)
        {
            return Poll::Ready(Some(found));
        }
        self.timer.as_mut().poll(cx).map(|()| None)
    }
}

/// Publishes, and waits for the broker's word that it has the request.
async fn hand_over(bus: &BusInner, request: &CallRequest) -> Result<CallResponse, CallFailure> {
    let mut attempts = Attempts::first(bus, request);
    let deadline = sleep_until(request.deadline());
    tokio::pin!(deadline);
    let handed_over = loop {
        tokio::select! {
            biased;
            verdict = attempts.verdict() => match verdict {
                Verdict::Confirmed => {
                    attempts.note(|| FlightStep::Confirmed);
                    break Ok(CallResponse::accepted().of_copies(attempts.repeated()));
                }
                Verdict::Lost if attempts.keeps_its_turn() => attempts.again(),
                Verdict::Lost => break Err(attempts.lost()),
                refused => break Err(attempts.refused(refused)),
            },
            () = &mut deadline => break Err(attempts.timed_out()),
        }
    };
    attempts.note_end(&handed_over);
    handed_over
}
