//! A command runs in a task of its own, under a claim, to the end: whatever becomes of the future
//! that waits for it, and at most once at a time for one key.

use super::{
    Answer, AnswerClass, AnswerFuture, Begun, CommandFuture, FinishedRun, HeldClaim, Run, RunEnd,
    cancelled, expired, lease::Lease, lease_watch::LeaseWatch, run::WeakRun, store_until,
};
use crate::{
    call_id::CallId,
    codec::ContentType,
    context::Context,
    error::{Fault, FaultCode},
    flight::{FlightStep, Flights},
    job::{EnteredJob, Reporter, Reports, RunningJobs},
    limits::{ATTEMPTS_MAX, CALL_TIMEOUT_MAX, CLAIM_LEASE},
    message::Text,
    presence::Seen,
    reply::{Claim, Reply, ReplyStore, ReplyTarget},
    trace,
};
use futures_util::{FutureExt, future::Either};
use std::{
    convert::Infallible, future::pending, panic::AssertUnwindSafe, pin::pin, sync::Arc,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// A command to run.
pub(crate) struct Command {
    pub(crate) store: Arc<dyn ReplyStore>,
    pub(crate) leases: Arc<LeaseWatch>,
    pub(crate) claim: Claim,
    pub(crate) context: Context,
    pub(crate) id: CallId,
    pub(crate) content_type: ContentType,
    /// When it is no longer to be started.
    pub(crate) start_by: Option<Instant>,
    /// An error is an outcome: somebody is told of it, and it is not tried again.
    pub(crate) errors_count: bool,
    /// Its delivery, as far as that is counted.
    pub(crate) begun: Begun,
    /// Where what becomes of it is recorded.
    pub(crate) flights: Flights,
    /// Whether others see the instance that runs it, if somebody calls it.
    pub(crate) seen: Option<Arc<Seen>>,
    /// Fired when this worker is told to stop, and deliveries are given back.
    pub(crate) leaving: CancellationToken,
    pub(crate) job: Option<Box<Job>>,
}

/// What a job is besides a command.
pub(crate) struct Job {
    /// The time it may take.
    pub(crate) time: Duration,
    /// Those that this instance runs.
    pub(crate) running: Arc<RunningJobs>,
}

/// The time for which the claim of a job is asked for while another has it: until it lapses, if its
/// worker has died. If not, the message comes again.
const JOB_ASKED_FOR: Duration = CLAIM_LEASE.saturating_mul(2);

impl Command {
    /// Starts the task and waits for its end. `handler` is called when the claim is taken, if it
    /// is.
    pub(crate) fn start(
        self,
        run: Run,
        handler: impl FnOnce() -> AnswerFuture + Send + 'static,
    ) -> CommandFuture {
        CommandFuture::start(run, |noted, done| self.run(noted, handler, done))
    }

    fn lease(&self) -> Lease<'_> {
        Lease {
            store: self.store.as_ref(),
            claim: &self.claim,
            id: self.id,
            flights: &self.flights,
            seen: self.seen.as_deref(),
            watched: self
                .leases
                .place(&self.claim, self.id, &self.context.token()),
        }
    }

    async fn run(
        self,
        noted: WeakRun,
        handler: impl FnOnce() -> AnswerFuture + Send,
        done: oneshot::Sender<FinishedRun>,
    ) {
        self.begun.is_claimed().await;
        let until = self
            .context
            .deadline()
            .unwrap_or_else(|| Instant::now() + CALL_TIMEOUT_MAX);
        let lease = self.lease();
        let patience = self.job.as_ref().map_or(Duration::MAX, |_| JOB_ASKED_FOR);
        let mut asking = trace::claiming(&self.context);
        let taken = lease.take(until, patience, || done.is_closed()).await;
        let attempt = match taken {
            Ok(attempt) => {
                asking.set("replybus.attempt", attempt);
                drop(asking);
                self.flights
                    .note(self.id, || FlightStep::Claimed { attempt });
                attempt
            }
            Err(finished) => {
                let outcome = finished.answer.label();
                asking.set("replybus.outcome", outcome);
                drop(asking);
                self.flights.note(self.id, || FlightStep::NotClaimed {
                    outcome: Text::from_static(outcome),
                });
                let _ = done.send(finished);
                return;
            }
        };
        let refusal = if noted.is_withdrawn() {
            Some(cancelled())
        } else if done.is_closed() || self.leaving.is_cancelled() {
            // The delivery is given back, with its attempt.
            lease.release().await;
            return;
        } else {
            self.refusal(attempt)
        };
        match refusal {
            Some(fault) => {
                noted.begun(attempt - 1);
                lease.release().await;
                let _ = done.send(FinishedRun {
                    answer: fault.into(),
                    end: RunEnd::of_attempt(attempt),
                });
            }
            None => {
                noted.starts(attempt);
                self.run_claimed(&lease, attempt, handler, done).await;
            }
        }
    }

    /// The fault of a command that is not started although the claim was given.
    fn refusal(&self, attempt: u32) -> Option<Fault> {
        let late = self.start_by.is_some_and(|by| by <= Instant::now());
        if attempt > ATTEMPTS_MAX {
            let text = format!("it was started {ATTEMPTS_MAX} times, and never ended");
            Some(Fault::new(FaultCode::Interrupted, text))
        } else if late && attempt > 1 {
            let text = "it was started before and never ended, and its time has passed";
            Some(Fault::new(FaultCode::WorkerLost, text))
        } else {
            late.then(expired)
        }
    }

    /// Runs the handler, keeps the claim until the outcome is recorded, and gives it up if there
    /// is nothing to record.
    async fn run_claimed(
        &self,
        lease: &Lease<'_>,
        attempt: u32,
        handler: impl FnOnce() -> AnswerFuture + Send,
        done: oneshot::Sender<FinishedRun>,
    ) {
        let attempt_seen = attempt.max(self.context.attempt());
        let mut context = self.context.clone().with_attempt(attempt_seen);
        let renewing = match &self.job {
            None => Either::Left(lease.renew()),
            Some(job) => {
                let (reporter, reports) = Reporter::new();
                let method = self.context.method();
                let entered = job
                    .running
                    .enter(self.id, method, attempt_seen, reports.clone());
                context = context.reporting_to(reporter);
                Either::Right(Box::pin(self.look_after(lease, job.time, reports, entered)))
            }
        };
        let future = context.clone().scope(async move { handler().await });
        let mut renewing = pin!(renewing);
        let outcome = tokio::select! {
            biased;
            outcome = AssertUnwindSafe(future).catch_unwind() => outcome,
            never = &mut renewing => match never {},
        };
        let (is_job, has_panicked) = (self.job.is_some(), outcome.is_err());
        let is_left = is_job && self.leaving.is_cancelled();
        let (answer, is_outcome) = match outcome {
            // Its delivery is given back: it is begun anew elsewhere.
            Ok(_) if is_left && context.key_is_released() => return lease.lapse().await,
            Ok(answer) => {
                let is_outcome = is_job || self.is_outcome(&answer, &context);
                (answer, is_outcome)
            }
            // What a panic leaves is no outcome, but for a job: its message comes again, and must
            // find what became of it.
            Err(_) => (panicked(), is_job),
        };
        if is_outcome {
            tokio::select! {
                biased;
                () = self.hand_over(answer, done) => {}
                never = renewing => match never {},
            }
            return;
        }
        if has_panicked && self.errors_count {
            // It is a run.
            lease.lapse().await;
        } else {
            // Nothing was done under this key, or it is to be done again: it is free.
            lease.release().await;
        }
        let _ = done.send(FinishedRun {
            answer,
            end: RunEnd::of_attempt(attempt),
        });
    }

    /// Looks after a job for as long as it is polled: keeps its claim, writes down how far it is,
    /// and cancels it when its time is over.
    async fn look_after(
        &self,
        lease: &Lease<'_>,
        time: Duration,
        reports: Reports,
        _entered: EnteredJob,
    ) -> Infallible {
        let ended = async {
            sleep(time).await;
            self.context.token().cancel();
            pending().await
        };
        tokio::select! {
            biased;
            never = lease.renew() => never,
            never = reports.write(self.store.as_ref(), &self.claim) => never,
            never = ended => never,
        }
    }

    /// `true` if an answer is what the command came to, for whoever asks under its key.
    fn is_outcome(&self, answer: &Answer, context: &Context) -> bool {
        match AnswerClass::of(answer) {
            AnswerClass::Value => true,
            AnswerClass::HandlerError => !context.key_is_released(),
            AnswerClass::Fault {
                may_have_executed, ..
            } => self.errors_count && may_have_executed,
        }
    }

    /// Hands the answer to the delivery, which records it, and waits until it has.
    async fn hand_over(&self, answer: Answer, done: oneshot::Sender<FinishedRun>) {
        let (held, told) = HeldClaim::over(self.claim.clone());
        let _ = done.send(FinishedRun {
            answer: answer.clone(),
            end: RunEnd::Ran(held),
        });
        if told.await.is_err() {
            // Boxed: rare, and larger than all the rest.
            Box::pin(self.record(answer)).await;
        }
    }

    /// Records the answer of a run whose delivery is gone, because the worker was told to stop: for
    /// whoever gets the message next.
    async fn record(&self, answer: Answer) {
        let record = Reply {
            id: self.id,
            target: ReplyTarget::None,
            frame: answer.encode(self.content_type),
            ttl: Duration::ZERO,
            record: Some(self.claim.clone()),
            groupable: false,
        };
        let until = Instant::now() + CALL_TIMEOUT_MAX;
        if store_until(self.store.as_ref(), record, until)
            .await
            .is_none()
        {
            tracing::error!(id = %self.id, "the outcome of a command was not recorded");
        }
    }
}

/// The answer of a handler that panicked. The panic's own text stays in this process.
pub(crate) fn panicked() -> Answer {
    Answer::fault(FaultCode::Panicked, "the handler panicked")
}
