//! The way of one delivery through the server: read, run, reply, keep, settle.

use super::{
    admission::{Admitted, Slot},
    job::{self, HeldJob},
    layer::answer_of,
    missed_inbox::MissedInboxes,
    queue_age::{QueueAge, RequestTime},
    request::Request,
    service::Payload,
};
use crate::{
    call_id::CallId,
    contract::{MethodContract, MethodKind, ServiceContract},
    control::{ControlLine, Entered},
    error::{Fault, FaultCode},
    job::WaitingRoom,
    limits::{CALL_TIMEOUT_MAX, REPLY_TTL},
    message::Message,
    method_metrics::MethodMetrics,
    reply::{Reply, ReplyStore, ReplyTarget, Stored},
    retry::{Aside, Next, Retries},
    stream::Opening,
    transport::{Delivery, Settled, Settler},
    work::{
        Answer, AnswerClass, Begun, Cause, DeadLetters, DeliveryKind, Envelope, FinishedRun,
        HeldClaim, Permit, Redeliveries, Run, RunEnd, RunState, Settlement, cancelled,
        command_known_until, expired, is_redriven, is_repeated, settle, store_until, unreadable,
    },
};
use bytes::Bytes;
use futures_util::{FutureExt, future::Either};
use std::{future::Future, pin::pin, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Takes the deliveries of one service to their end.
pub(super) struct RequestProcessor {
    pub(super) contract: &'static ServiceContract,
    /// Without the namespace.
    pub(super) queue: String,
    pub(super) store: Arc<dyn ReplyStore>,
    pub(super) missed_inboxes: MissedInboxes,
    pub(super) dead_letters: DeadLetters,
    pub(super) redeliveries: Redeliveries,
    pub(super) cancel: CancellationToken,
    pub(super) metrics: Box<[MethodMetrics]>,
    /// Callers are told that requests may come together.
    pub(super) takes_bundles: bool,
    pub(super) queue_age: QueueAge,
    /// Open for as long as deliveries are taken.
    pub(super) control: Arc<ControlLine>,
    /// Where messages of jobs wait, if there are any.
    pub(super) jobs: Option<Arc<WaitingRoom>>,
    /// Where commands wait that were put off, if any may be.
    pub(super) aside: Option<Aside>,
}

/// The label of all methods that the contract does not have.
const UNKNOWN: &str = "unknown";

/// The metrics of each method of a contract, and behind them of all others.
pub(super) fn metrics_of(contract: &ServiceContract) -> Box<[MethodMetrics]> {
    let names = contract.methods.iter().map(|method| method.name);
    let names = names.chain([UNKNOWN]);
    names
        .map(|method| MethodMetrics::of_served(contract.name, method))
        .collect()
}

impl RequestProcessor {
    /// Takes one delivery to its end.
    pub(super) fn process(
        self: Arc<Self>,
        slot: Slot,
        delivery: Delivery,
    ) -> impl Future<Output = ()> + Send {
        match self.job_of(&delivery.message) {
            None => Either::Left(self.take(slot, delivery, None).map(drop)),
            Some((jobs, method)) => {
                Either::Right(Box::pin(job::process(self, jobs, method, slot, delivery)))
            }
        }
    }

    /// The method of a message, if it is a job, and where messages of jobs wait.
    fn job_of(&self, message: &Message) -> Option<(Arc<WaitingRoom>, &'static MethodContract)> {
        let jobs = self.jobs.as_ref()?;
        let name = message.properties.kind.as_deref()?;
        let (_, method) = self.contract.method(name)?;
        (method.is_claimed() && method.job.is_some()).then(|| (Arc::clone(jobs), method))
    }

    /// Takes one delivery to its end; of a job that another worker runs the settler is what is left.
    pub(super) fn take(
        self: Arc<Self>,
        slot: Slot,
        delivery: Delivery,
        job: Option<Box<HeldJob>>,
    ) -> impl Future<Output = Option<Settler>> + Send {
        // Outside of the future, which would have a place for each before and after.
        let Delivery {
            message,
            redelivered,
            received,
            malformed,
            bundled,
            settler,
        } = delivery;
        async move {
            let mut envelope = Envelope::read(&message, received, self.store.as_ref());
            envelope.reads_groups = bundled;
            if let Some(reason) = &malformed {
                envelope.refuse(unreadable(reason));
            } else if let Some(refusal) = job.as_ref().and_then(|job| job.refusal()) {
                envelope.refuse(refusal);
            }
            if let Some(named) = &envelope.foreign_inbox {
                self.missed_inboxes.is_foreign(envelope.id, named);
            }
            let seen_before = redelivered || is_repeated(&message);
            let request = self.request(&mut envelope, &message, seen_before);
            let run = request
                .as_ref()
                .map_or_else(|_| Run::default(), |request| request.run.clone());
            let retries = request
                .as_ref()
                .ok()
                .and_then(|request| request.retries.clone());
            let _entered = request
                .as_ref()
                .ok()
                .and_then(|request| self.enter(envelope.id, request));
            let (answer, permit, begun) = match request {
                // Boxed, like all that comes after a first delivery.
                Ok(request) if redelivered => {
                    Box::pin(self.run_again(slot, request, &envelope, &message)).await
                }
                Ok(request) => {
                    let span = span(&request, &envelope);
                    let running = self.run_in(slot, request, &envelope);
                    let (answer, permit) = running.instrument(span).await;
                    (answer, permit, Begun::default())
                }
                Err(fault) => {
                    drop(slot);
                    (fault.into(), None, Begun::default())
                }
            };
            let (end, abandoned) = match run.take() {
                RunState::Ended(RunEnd::Elsewhere) if job.is_some() => return Some(settler),
                RunState::Ended(end) => {
                    drop(permit);
                    (end, None)
                }
                // It goes on, and keeps its permit.
                RunState::Abandoned(finished) => (RunEnd::Started, Some((finished, permit))),
            };
            let mut exhausted = false;
            if let Some(retries) = &retries
                && abandoned.is_none()
                && matches!(AnswerClass::of(&answer), AnswerClass::HandlerError)
            {
                match Box::pin(self.put_aside(&message, &envelope, retries)).await {
                    Some(true) => {
                        if begun.is_counted() {
                            Box::pin(begun.end()).await;
                        }
                        settler.settle(Settled::Ack);
                        return None;
                    }
                    told => exhausted = told == Some(false),
                }
            }
            let has_run = retries.as_ref().is_some_and(|retries| retries.has_run());
            let kind = DeliveryKind {
                exhausted,
                ..kind_of(&message, &envelope, malformed.is_some())
            };
            let seen = Seen {
                seen_before,
                has_run,
            };
            let mut conclusion = Conclusion::of(answer, end, seen, kind);
            self.count(&message, &conclusion.answer, &envelope);
            if !self
                .answer(&mut conclusion, &envelope, envelope.target.clone())
                .await
            {
                // Dropping the settler gives the message back: another worker may reach the store.
                return None;
            }
            if let Some((finished, permit)) = abandoned {
                // A layer gave up on a command. Its caller has an answer; what it came to is recorded,
                // and says what becomes of the message.
                let finished = Box::pin(begun.during(finished)).await;
                let Ok(FinishedRun { answer, end }) = finished else {
                    // It was not started because this worker is told to stop.
                    return None;
                };
                drop(permit);
                conclusion = Conclusion::of(answer, end, seen, kind);
                if !Box::pin(self.answer(&mut conclusion, &envelope, ReplyTarget::None)).await {
                    return None;
                }
            }
            // A job's message that the broker has once more says so when it comes again.
            let is_ours = job.is_none_or(|job| !job.is_handed_back());
            if conclusion.settlement.dead_letter && is_ours {
                // Boxed, like what follows an abandoned run: rare, and larger than all the rest.
                let mut attempts = run.attempts();
                let mut message = message;
                if let Some(retries) = retries.filter(|retries| retries.runs() > 0) {
                    retries.note_in(&mut message.properties);
                    attempts = attempts.max(Some(retries.runs()));
                }
                let cause = Cause {
                    answer: &conclusion.answer,
                    known_until: self.known_until(&message, &envelope),
                    attempts,
                    malformed: malformed.is_some(),
                };
                Box::pin(self.dead_letters.keep(message, &cause)).await;
            }
            if begun.is_counted() {
                Box::pin(begun.end()).await;
            }
            settler.settle(Settled::Ack);
            None
        }
    }

    /// Concludes a job that was done before its message came again.
    pub(super) async fn conclude(
        &self,
        frame: Bytes,
        message: Message,
        envelope: &Envelope,
        settler: Settler,
    ) {
        let kind = kind_of(&message, envelope, false);
        let seen = Seen {
            seen_before: true,
            has_run: true,
        };
        let conclusion = Conclusion::of(Answer::decode(frame.clone()), RunEnd::Started, seen, kind);
        // Whoever has had it does not look for it.
        let reply = Reply {
            groupable: envelope.reads_groups,
            ..Reply::new(envelope.id, envelope.target.clone(), frame)
        };
        let until = Instant::now() + CALL_TIMEOUT_MAX;
        if conclusion.settlement.reply
            && store_until(self.store.as_ref(), reply, until)
                .await
                .is_none()
        {
            return;
        }
        if conclusion.settlement.dead_letter {
            let cause = Cause {
                answer: &conclusion.answer,
                known_until: self.known_until(&message, envelope),
                attempts: None,
                malformed: false,
            };
            self.dead_letters.keep(message, &cause).await;
        }
        settler.settle(Settled::Ack);
    }

    /// Puts a command aside whose handler put it off. Returns whether that was done, or could not
    /// be; `None` if it is not to be run again.
    async fn put_aside(
        &self,
        message: &Message,
        envelope: &Envelope,
        retries: &Retries,
    ) -> Option<bool> {
        let due = match retries.next() {
            Next::Nothing => return None,
            Next::Exhausted => return Some(false),
            Next::Due(due) => due,
        };
        let put = match &self.aside {
            Some(aside) => {
                let mut message = message.clone();
                envelope.note_start_by(&mut message.properties);
                aside.put(message, envelope.id, retries, due).await
            }
            None => false,
        };
        if put {
            self.count_as(message, "put_off", envelope);
        }
        Some(put)
    }

    /// Runs a request whose message was delivered before, unless that was too often.
    async fn run_again(
        &self,
        slot: Slot,
        mut request: Request,
        envelope: &Envelope,
        message: &Message,
    ) -> (Answer, Option<Permit>, Begun) {
        if let Err(FinishedRun { answer, end }) = self.begin(&mut request, envelope, message).await
        {
            request.run.end(end);
            return (answer, None, Begun::default());
        }
        let begun = request.begun.clone();
        let span = span(&request, envelope);
        let running = self.run_in(slot, request, envelope).instrument(span);
        let (answer, permit) = begun.during(running).await;
        (answer, permit, begun)
    }

    /// Counts a delivery that is not the first, before anything of it is run.
    async fn begin(
        &self,
        request: &mut Request,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<(), FinishedRun> {
        let name = envelope.is_named.then_some(envelope.id);
        let until = envelope
            .deadline
            .unwrap_or_else(|| Instant::now() + CALL_TIMEOUT_MAX);
        let cancel = request.context.token();
        let begun = self.redeliveries.begin(message, name, until, &cancel);
        let (begun, attempt) = begun.await?;
        request.begun = begun;
        request.run.begun(attempt);
        let is_named = name.is_some() || request.context.idempotency_key().is_some();
        let is_claimed = request.method.is_claimed() && is_named;
        if request.method.kind == MethodKind::Command && !is_claimed {
            // Nothing else knows of the runs before.
            let attempt = attempt.max(request.context.attempt());
            request.context = request.context.clone().with_attempt(attempt);
        }
        Ok(())
    }

    /// Enters a command among the calls that are held. A query enters itself when it waits.
    fn enter(&self, id: CallId, request: &Request) -> Option<Entered<'_>> {
        let is_command = request.method.kind == MethodKind::Command;
        is_command.then(|| {
            let (token, run) = (request.context.token(), request.run.clone());
            self.control.calls().enter(id, token, run)
        })
    }

    /// Runs a request in its slot. There is a permit if it was admitted.
    async fn run_in(
        &self,
        slot: Slot,
        request: Request,
        envelope: &Envelope,
    ) -> (Answer, Option<Permit>) {
        let is_query = request.method.kind == MethodKind::Query;
        let running = pin!(self.run_timed(slot, request, envelope.awaited()));
        if !is_query {
            return running.await;
        }
        let answered = self
            .control
            .calls()
            .unless_cancelled(envelope.id, running)
            .await;
        answered.unwrap_or_else(|| {
            let text = "it was cancelled while it ran";
            let fault = Fault::new(FaultCode::Cancelled, text);
            (fault.may_have_been_executed().into(), None)
        })
    }

    /// The same, of a request that is not cancelled. How long it takes is noted.
    async fn run_timed(
        &self,
        slot: Slot,
        request: Request,
        awaited: bool,
    ) -> (Answer, Option<Permit>) {
        match slot.admit(awaited).await {
            Ok(Admitted {
                mut pipeline,
                permit,
            }) => {
                let (position, began) = (request.position, Instant::now());
                let answered = pipeline.run(request).await;
                self.queue_age.took(position, began.elapsed());
                let answer = answered.unwrap_or_else(|error| answer_of(&error));
                (answer, Some(permit))
            }
            Err(error) => (answer_of(&error), None),
        }
    }

    /// Stores the reply and the record, as far as there are such; `false` if the message must go
    /// back to the queue.
    async fn answer(
        &self,
        conclusion: &mut Conclusion,
        envelope: &Envelope,
        target: ReplyTarget,
    ) -> bool {
        let held = conclusion.held.take();
        let replies = conclusion.settlement.reply && target != ReplyTarget::None;
        if !replies && held.is_none() {
            return true;
        }
        let reply = Reply {
            id: envelope.id,
            target,
            frame: conclusion.answer.encode(envelope.content_type),
            ttl: REPLY_TTL,
            record: held.as_ref().map(|held| held.claim.clone()),
            groupable: envelope.reads_groups,
        };
        let stored = self.store(reply, envelope).await;
        if let Some(held) = held
            && stored
        {
            held.recorded();
        }
        stored
    }

    fn request(
        &self,
        envelope: &mut Envelope,
        message: &Message,
        seen_before: bool,
    ) -> Result<Request, Fault> {
        if let Some(fault) = envelope.take_fault() {
            return Err(fault);
        }
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let found = self.contract.method(name);
        // A command that may have been started is not called expired before its claim is asked.
        let asks = seen_before && found.is_some_and(|(_, method)| method.is_claimed());
        if !asks && envelope.is_late() {
            return Err(expired());
        }
        if !asks && self.control.calls().is_cancelled(envelope.id) {
            return Err(cancelled());
        }
        let Some((position, method)) = found else {
            let known: Vec<&str> = self.contract.methods.iter().map(|m| m.name).collect();
            let name: String = name.chars().take(64).collect();
            let known = known.join(", ");
            return Err(Fault::new(
                FaultCode::UnknownMethod,
                format!(
                    "queue {:?} is served by {}, which has no method {name:?}, it has: {known}",
                    self.queue, self.contract.name
                ),
            ));
        };
        if !asks
            && envelope.awaited()
            && let Some(time) = RequestTime::of(message, envelope)
            && let Some(fault) = self.queue_age.take(position, time)
        {
            return Err(fault);
        }
        let stream = match method.stream {
            true => Some(Opening::read(
                &self.control,
                envelope.id,
                &envelope.target,
                &message.properties,
                &self.cancel,
            )?),
            false => None,
        };
        // Nobody sends bundles who waits elsewhere.
        let tells = self.takes_bundles && matches!(envelope.target, ReplyTarget::Inbox(_));
        // Nothing but the end of the service ends the first run of a query before its time.
        let is_plain = method.kind == MethodKind::Query && !seen_before;
        let retries = match method.retry {
            Some(policy) if method.kind == MethodKind::Command && method.job.is_none() => {
                let until = envelope.no_run_after(message);
                Some(Arc::new(Retries::of(message, policy, until)))
            }
            _ => None,
        };
        let context = envelope
            .context(message, seen_before)?
            .serving(self.contract.name, method.name)
            .cancelled_by(if is_plain {
                self.cancel.clone()
            } else {
                self.cancel.child_token()
            })
            .build();
        let context = match &retries {
            Some(retries) => context.with_attempt(retries.first()),
            None => context,
        };
        Ok(Request {
            contract: self.contract,
            position,
            method,
            context,
            payload: Payload {
                content_type: envelope.content_type,
                body: message.body.clone(),
                begun: tells.then(Instant::now),
                stream,
            },
            deadline_named: envelope.deadline_named,
            start_by: envelope.start_by,
            run: if is_plain {
                Run::default()
            } else {
                Run::noted()
            },
            begun: Begun::default(),
            retries,
        })
    }

    /// Stores a reply; `false` if the message must go back to the queue.
    async fn store(&self, reply: Reply, envelope: &Envelope) -> bool {
        let wanted_later = reply.record.is_some() || reply.target == ReplyTarget::Key;
        let until = match envelope.deadline {
            Some(deadline) if !wanted_later => deadline,
            _ => Instant::now() + CALL_TIMEOUT_MAX,
        };
        let inbox = match &reply.target {
            ReplyTarget::Inbox(inbox) => Some(inbox.clone()),
            ReplyTarget::Key | ReplyTarget::None => None,
        };
        let stored = store_until(self.store.as_ref(), reply, until).await;
        // One that has run out of time may have ended as it should.
        let waits = envelope.deadline.is_none_or(|end| end > Instant::now());
        if let (Some(Stored::InboxAbsent), Some(inbox), true) = (stored, inbox, waits) {
            self.missed_inboxes.is_absent(envelope.id, &inbox);
        }
        stored.is_some() || !wanted_later
    }

    /// Until when a copy of a request is recognised, if it has to be.
    fn known_until(&self, message: &Message, envelope: &Envelope) -> Option<Duration> {
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let method = self.contract.method(name).map(|(_, method)| method);
        command_known_until(&self.queue, method, message, envelope)
    }

    fn count(&self, message: &Message, answer: &Answer, envelope: &Envelope) {
        let outcome = answer.label();
        let (position, method) = self.count_as(message, outcome, envelope);
        let service = self.contract.name;
        let is_served = answer.as_fault().is_none();
        self.control.served().count(position, is_served);
        match answer.as_fault() {
            Some(fault) if fault.may_have_executed => {
                tracing::warn!(service, method, id = %envelope.id, %fault, "a call failed");
            }
            _ => tracing::debug!(service, method, id = %envelope.id, outcome, "served"),
        }
    }

    /// Counts a delivery under its outcome in one word. Returns the position and the name of its
    /// method.
    fn count_as(
        &self,
        message: &Message,
        outcome: &'static str,
        envelope: &Envelope,
    ) -> (usize, &'static str) {
        // Only names out of the contract become labels: a caller must not be able to make more.
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let methods = self.contract.methods;
        let found = self.contract.method(name);
        let (position, method) = found.map_or((methods.len(), UNKNOWN), |(at, m)| (at, m.name));
        if let Some(metrics) = self.metrics.get(position) {
            metrics.count(outcome, envelope.received.elapsed());
        }
        (position, method)
    }
}

/// The kind of a delivery.
fn kind_of(message: &Message, envelope: &Envelope, malformed: bool) -> DeliveryKind {
    DeliveryKind {
        awaited: envelope.awaited(),
        command: message.properties.persistent,
        repetition: false,
        redriven: is_redriven(message),
        malformed,
        exhausted: false,
    }
}

/// The conclusion of a delivery: its answer, and the steps to take.
struct Conclusion {
    answer: Answer,
    /// The claim to record the answer under.
    held: Option<HeldClaim>,
    settlement: Settlement,
}

/// What is known of earlier deliveries.
#[derive(Debug, Clone, Copy)]
struct Seen {
    seen_before: bool,
    /// It was run, and put off.
    has_run: bool,
}

impl Conclusion {
    fn of(answer: Answer, end: RunEnd, seen: Seen, kind: DeliveryKind) -> Self {
        let Seen {
            seen_before,
            has_run,
        } = seen;
        // Cancelled while it waited for its next run it is as if it had never been started.
        let is_undone = answer.as_fault().is_some_and(Fault::says_never_started);
        let has_run = has_run && !is_undone;
        let answer = if end.may_have_run(seen_before) || has_run {
            answer.may_have_been_executed()
        } else {
            answer
        };
        let kind = DeliveryKind {
            repetition: !seen_before && matches!(end, RunEnd::Elsewhere),
            ..kind
        };
        Self {
            settlement: settle(AnswerClass::of(&answer), kind),
            held: end.into_held(),
            answer,
        }
    }
}

/// The span a call is served in. Its trace is the caller's, by which both ends are found.
fn span(request: &Request, envelope: &Envelope) -> tracing::Span {
    let span = tracing::info_span!(
        "serve",
        service = request.contract.name,
        method = request.method.name,
        call_id = %envelope.id,
        trace_id = tracing::field::Empty,
    );
    if !span.is_disabled()
        && let Some(trace) = request.context.trace()
    {
        span.record("trace_id", format!("{:032x}", trace.trace_id()));
    }
    span
}
