//! The way of one delivery through the server: read, run, reply, keep, settle.

use super::{
    admission::Slot,
    conclusion::{Conclusion, Seen, kind_of},
    job::{self, HeldJob},
    missed_inbox::MissedInboxes,
    queue_age::QueueAge,
    running::span,
};
use crate::{
    bus::BusInner,
    contract::{Fingerprint, MethodContract, ServiceContract, wall_clock},
    control::{CallReport, ControlLine},
    error::Fault,
    flight::{FlightStep, Flights},
    job::WaitingRoom,
    message::{Message, Text},
    metric::MethodMetrics,
    partition,
    reply::{ReplyStore, ReplyTarget},
    retry::{Aside, Next, Retries},
    signature::ServiceSignatures,
    trace,
    transport::{Delivery, Settled, Settler},
    wire::headers,
    work::{
        Answer, AnswerClass, Begun, Cause, DeadLetters, DeliveryKind, Envelope, FinishedRun,
        Redeliveries, Run, RunEnd, RunState, command_key, is_repeated, unreadable,
    },
};
use futures_util::{FutureExt, future::Either};
use metrics::Counter;
use std::{future::Future, sync::Arc};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Takes the deliveries of one service to their end.
pub(super) struct RequestProcessor {
    pub(super) bus: Arc<BusInner>,
    pub(super) contract: &'static ServiceContract,
    /// Those of its methods.
    pub(super) fingerprints: Box<[Option<Fingerprint>]>,
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
    /// Where what becomes of calls is recorded.
    pub(super) flights: Flights,
    /// What it signs, and whom it believes.
    pub(super) signatures: ServiceSignatures,
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

    pub(super) fn redelivered(&self) -> Counter {
        metrics::counter!("replybus_redeliveries_total", "service" => self.contract.name)
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
            partition,
            settler,
        } = delivery;
        async move {
            let mut envelope = Envelope::read(&message, received, self.store.as_ref());
            envelope.reads_groups = bundled;
            if let Some(reason) = &malformed {
                envelope.refuse(unreadable(reason));
            } else if let Some(refusal) = job.as_ref().and_then(|job| job.refusal()) {
                envelope.refuse(refusal);
            } else if let Some(refusal) = self.misplaced(&message, partition) {
                envelope.refuse(refusal);
            }
            if let Some(named) = &envelope.foreign_inbox {
                self.missed_inboxes.is_foreign(envelope.id, named);
            }
            if redelivered {
                self.redelivered().increment(1);
            }
            envelope.was_started = job.as_ref().is_some_and(|job| job.was_started);
            let seen_before = redelivered || is_repeated(&message) || envelope.was_started;
            self.note_taken(&message, &envelope, seen_before);
            let seen = self.control.seen();
            if !seen.is_settled() {
                // Its caller may have seen nobody, and given it up.
                Box::pin(seen.again()).await;
            }
            let mut request = self.request(&mut envelope, &message, seen_before);
            let mut traced =
                trace::processing(&message, &envelope, &self.queue, request.as_mut().ok());
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
                    let span = span(&request);
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
                match Box::pin(self.put_aside(&message, &envelope, retries, &run)).await {
                    Some(true) => {
                        traced.set("replybus.outcome", "put_off");
                        self.flights.note(envelope.id, || FlightStep::PutOff {
                            runs: retries.runs(),
                        });
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
            let elsewhere = match end {
                RunEnd::Elsewhere if partition.is_some() => {
                    Some(self.claim_key(&message, &envelope))
                }
                _ => None,
            };
            trace::concluded(&mut traced, &answer);
            let mut conclusion = Conclusion::of(answer, end, seen, kind);
            let attempt = attempt(&run, retries.as_deref(), exhausted);
            self.count(&message, &conclusion.answer, &envelope, attempt);
            if !self
                .answer(
                    &mut conclusion,
                    &message,
                    &envelope,
                    envelope.target.clone(),
                    &traced,
                )
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
                if !Box::pin(self.answer(
                    &mut conclusion,
                    &message,
                    &envelope,
                    ReplyTarget::None,
                    &traced,
                ))
                .await
                {
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
                    partition,
                };
                Box::pin(traced.within(self.keep_letter(envelope.id, message, &cause))).await;
            }
            if begun.is_counted() {
                Box::pin(begun.end()).await;
            }
            if let Some(key) = elsewhere {
                // What comes after it waits for the run that goes on.
                Box::pin(partition::ended_elsewhere(self.store.as_ref(), &key)).await;
            }
            settler.settle(Settled::Ack);
            None
        }
    }

    /// Records that a message was taken.
    fn note_taken(&self, message: &Message, envelope: &Envelope, redelivered: bool) {
        self.flights.note(envelope.id, || {
            let name = message.properties.kind.as_deref().unwrap_or_default();
            let method = self.contract.method(name);
            FlightStep::Taken {
                service: Text::from_static(self.contract.name),
                method: Text::from_static(method.map_or(UNKNOWN, |(_, method)| method.name)),
                queue: self.queue.as_str().into(),
                redelivered,
            }
        });
    }

    /// What the claim of a command is found under.
    fn claim_key(&self, message: &Message, envelope: &Envelope) -> String {
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let key = message.properties.header(headers::IDEMPOTENCY_KEY);
        command_key(&self.queue, name, key, envelope.id)
    }

    /// Why a message is not to be run where it came, if it came by a partition.
    fn misplaced(&self, message: &Message, partition: Option<u16>) -> Option<Fault> {
        partition::refusal(message, partition?, self.contract.partitions?)
    }

    /// Puts a command aside whose handler put it off. Returns whether that was done, or could not
    /// be; `None` if it is not to be run again.
    async fn put_aside(
        &self,
        message: &Message,
        envelope: &Envelope,
        retries: &Retries,
        run: &Run,
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
            let attempt = attempt(run, Some(retries), true);
            self.count_as(message, "put_off", envelope, attempt);
        }
        Some(put)
    }

    fn count(&self, message: &Message, answer: &Answer, envelope: &Envelope, attempt: u32) {
        let outcome = answer.label();
        let (position, method) = self.count_as(message, outcome, envelope, attempt);
        let service = self.contract.name;
        let (took, waited) = (envelope.received.elapsed(), envelope.waited(message));
        let served = self.control.served();
        served.count(position, answer, took, waited);
        match answer.as_fault() {
            Some(fault) if fault.may_have_executed => {
                tracing::warn!(service, method, id = %envelope.id, %fault, "a call failed");
            }
            _ => tracing::debug!(service, method, id = %envelope.id, outcome, "served"),
        }
    }

    /// Counts a delivery under its outcome in one word, and has those know of it who watch. Returns
    /// the position and the name of its method.
    fn count_as(
        &self,
        message: &Message,
        outcome: &'static str,
        envelope: &Envelope,
        attempt: u32,
    ) -> (usize, &'static str) {
        // Only names out of the contract become labels: a caller must not be able to make more.
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let methods = self.contract.methods;
        let found = self.contract.method(name);
        let (position, method) = found.map_or((methods.len(), UNKNOWN), |(at, m)| (at, m.name));
        if let Some(metrics) = self.metrics.get(position) {
            metrics.count(outcome, envelope.received);
        }
        let watches = self.control.watches();
        if watches.is_any() {
            watches.note(&CallReport {
                ended_at: wall_clock(),
                id: envelope.id,
                method,
                caller: message.properties.app_id.clone(),
                waited: envelope.waited(message),
                took: envelope.received.elapsed(),
                outcome,
                attempt,
            });
        }
        (position, method)
    }
}

/// The number of a run, of which the last was put off or not.
fn attempt(run: &Run, retries: Option<&Retries>, is_put_off: bool) -> u32 {
    let begun = run.attempts().unwrap_or(1);
    let of_retries = retries.map_or(1, |retries| match is_put_off {
        true => retries.runs(),
        false => retries.runs().saturating_add(1),
    });
    begun.max(of_retries)
}
