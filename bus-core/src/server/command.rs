//! A command runs in a task of its own, under a claim, to the end: whatever becomes of the future
//! that waits for it, and at most once at a time for one key.

use super::{
    delivery::store_until,
    envelope::expired,
    service::{Answer, AnswerFuture},
    settlement::Outcome,
};
use crate::{
    call_id::CallId,
    codec::ContentType,
    context::Context,
    error::{Fault, FaultCode},
    limits::{ATTEMPTS_MAX, CALL_TIMEOUT_MAX, CLAIM_LEASE},
    reply::{Claim, Claimed, Reply, ReplyStore, ReplyTarget, StoreError},
};
use futures_util::FutureExt;
use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// First and longest pause before a claim is asked for again.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(5);
const ASK_AGAIN_MAX: Duration = Duration::from_millis(500);

/// Pause before a claim that could not be renewed is renewed again.
const RENEW_AGAIN: Duration = Duration::from_millis(100);

/// What a command's task ends with.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) answer: Answer,
    pub(crate) end: End,
}

/// What the claim of a command says of it.
#[derive(Debug)]
pub(crate) enum End {
    /// It ran, and is to be recorded.
    Ran(Held),
    /// It was started before: it has an outcome, or did not end.
    Started,
    /// Another delivery is running it.
    Elsewhere,
    /// Nothing was done under the claim, now or before.
    Undone,
    /// Nothing: the claim was not asked, or did not answer.
    Unknown,
}

impl End {
    /// What the claim says of a run that is not recorded.
    fn of_attempt(attempt: u32) -> Self {
        if attempt > 1 {
            Self::Started
        } else {
            Self::Undone
        }
    }

    /// The claim to record the outcome under.
    pub(crate) fn into_held(self) -> Option<Held> {
        match self {
            Self::Ran(held) => Some(held),
            Self::Started | Self::Elsewhere | Self::Undone | Self::Unknown => None,
        }
    }

    /// Whether a handler can have run. Where the claim does not know, it can if the message was
    /// `seen_before`.
    pub(crate) fn may_have_run(&self, seen_before: bool) -> bool {
        match self {
            Self::Ran(_) | Self::Started | Self::Elsewhere => true,
            Self::Undone => false,
            Self::Unknown => seen_before,
        }
    }
}

/// A claim whose outcome is to be recorded. It is kept from lapsing until that is done; dropped
/// before, it has its command's task do it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) claim: Claim,
    recorded: oneshot::Sender<()>,
}

impl Held {
    /// Says that the outcome is recorded.
    pub(crate) fn recorded(self) {
        let _ = self.recorded.send(());
    }
}

/// A command's run as its delivery sees it, past all layers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run(Arc<Mutex<RunState>>);

/// How a run stands when the layers have answered.
#[derive(Debug)]
pub(crate) enum RunState {
    /// A layer no longer waits for it; it goes on.
    Abandoned(oneshot::Receiver<Finished>),
    /// It ended, or was not started.
    Ended(End),
}

impl Default for RunState {
    fn default() -> Self {
        Self::Ended(End::Unknown)
    }
}

impl Run {
    fn set(&self, state: RunState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// How the run stands, once.
    pub(crate) fn take(&self) -> RunState {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits for a command; dropped, it leaves the run where its delivery finds it.
#[derive(Debug)]
pub(crate) struct Waiting {
    finished: Option<oneshot::Receiver<Finished>>,
    run: Run,
}

impl Future for Waiting {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Answer> {
        let Some(finished) = self.finished.as_mut() else {
            return Poll::Pending;
        };
        let outcome = std::task::ready!(finished.poll_unpin(cx));
        self.finished = None;
        let Ok(Finished { answer, end }) = outcome else {
            // It was not started because this worker is told to stop. So is its delivery, which is
            // dropped and given back.
            return Poll::Pending;
        };
        self.run.set(RunState::Ended(end));
        Poll::Ready(answer)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(finished) = self.finished.take() {
            self.run.set(RunState::Abandoned(finished));
        }
    }
}

/// A command to run.
pub(crate) struct Command {
    pub(crate) store: Arc<dyn ReplyStore>,
    pub(crate) claim: Claim,
    pub(crate) context: Context,
    pub(crate) id: CallId,
    pub(crate) content_type: ContentType,
    /// When it is no longer to be started.
    pub(crate) start_by: Option<Instant>,
    /// Whether an error is an outcome: somebody is told of it, and it is not tried again.
    pub(crate) errors_count: bool,
}

impl Command {
    /// Starts the task and waits for its end. `handler` is called when the claim is taken, if it
    /// is.
    pub(crate) fn start(
        self,
        run: Run,
        handler: impl FnOnce() -> AnswerFuture + Send + 'static,
    ) -> Waiting {
        let (done, finished) = oneshot::channel();
        // The task outlives the one that waits for it, and is still part of its span.
        tokio::spawn(self.run(handler, done).in_current_span());
        Waiting {
            finished: Some(finished),
            run,
        }
    }

    async fn run(
        self,
        handler: impl FnOnce() -> AnswerFuture + Send,
        done: oneshot::Sender<Finished>,
    ) {
        let attempt = match self.take_claim(&done).await {
            Ok(attempt) => attempt,
            Err(finished) => {
                let _ = done.send(finished);
                return;
            }
        };
        if done.is_closed() || self.context.token().is_cancelled() {
            // The delivery is given back, with its attempt.
            self.release().await;
        } else if let Some(fault) = self.refusal(attempt) {
            self.release().await;
            let _ = done.send(Finished {
                answer: fault.into(),
                end: End::of_attempt(attempt),
            });
        } else {
            self.run_claimed(attempt, handler, done).await;
        }
    }

    /// Why it is not started although the claim was given, if so.
    fn refusal(&self, attempt: u32) -> Option<Fault> {
        let late = self.start_by.is_some_and(|by| by <= Instant::now());
        let interrupted = |text: String| Some(Fault::new(FaultCode::Interrupted, text));
        if attempt > ATTEMPTS_MAX {
            interrupted(format!(
                "it was started {ATTEMPTS_MAX} times, and never ended"
            ))
        } else if late && attempt > 1 {
            interrupted("it was started before and never ended, and its time has passed".to_owned())
        } else {
            late.then(expired)
        }
    }

    /// Runs the handler, keeps the claim until the outcome is recorded, and gives it up if there
    /// is nothing to record.
    async fn run_claimed(
        &self,
        attempt: u32,
        handler: impl FnOnce() -> AnswerFuture + Send,
        done: oneshot::Sender<Finished>,
    ) {
        let context = self.context.clone().with_attempt(attempt);
        let future = context.clone().scope(async move { handler().await });
        let mut renewing = pin!(renew(
            self.store.as_ref(),
            &self.claim,
            self.context.token()
        ));
        let outcome = tokio::select! {
            biased;
            outcome = AssertUnwindSafe(future).catch_unwind() => outcome,
            never = &mut renewing => match never {},
        };
        let answer = match outcome {
            Ok(answer) if self.is_outcome(&answer, &context) => {
                tokio::select! {
                    () = self.hand_over(answer, done) => {}
                    never = renewing => match never {},
                }
                return;
            }
            // Nothing was done under this key, or it is to be done again: it is free.
            Ok(answer) => {
                self.release().await;
                answer
            }
            // What a panic leaves is no outcome, but it is a run.
            Err(_) if self.errors_count => {
                self.lapse().await;
                panicked()
            }
            Err(_) => {
                self.release().await;
                panicked()
            }
        };
        let _ = done.send(Finished {
            answer,
            end: End::of_attempt(attempt),
        });
    }

    /// Whether an answer is what the command came to, for whoever asks under its key.
    fn is_outcome(&self, answer: &Answer, context: &Context) -> bool {
        match Outcome::of(answer) {
            Outcome::Value => true,
            Outcome::HandlerError => !context.key_is_released(),
            Outcome::Fault {
                may_have_executed, ..
            } => self.errors_count && may_have_executed,
        }
    }

    /// Hands the answer to the delivery, which records it, and waits until it has.
    async fn hand_over(&self, answer: Answer, done: oneshot::Sender<Finished>) {
        let (recorded, told) = oneshot::channel();
        let held = Held {
            claim: self.claim.clone(),
            recorded,
        };
        let _ = done.send(Finished {
            answer: answer.clone(),
            end: End::Ran(held),
        });
        if told.await.is_ok() {
            return;
        }
        // The delivery is gone (the worker was told to stop) but the work is done: say so, for
        // whoever gets the message next.
        let record = Reply {
            id: self.id,
            target: ReplyTarget::None,
            frame: answer.encode(self.content_type),
            ttl: Duration::ZERO,
            record: Some(self.claim.clone()),
        };
        let until = Instant::now() + CALL_TIMEOUT_MAX;
        if !store_until(self.store.as_ref(), record, until).await {
            tracing::error!(id = %self.id, "the outcome of a command was not recorded");
        }
    }

    async fn release(&self) {
        self.gave_up(self.store.release(&self.claim).await);
    }

    async fn lapse(&self) {
        self.gave_up(self.store.lapse(&self.claim).await);
    }

    fn gave_up(&self, given_up: Result<(), StoreError>) {
        if let Err(error) = given_up {
            tracing::debug!(id = %self.id, %error, "a claim was left to lapse");
        }
    }

    /// Asks for the claim until it is given, answered or refused, or time is up; at least once.
    async fn take_claim(&self, done: &oneshot::Sender<Finished>) -> Result<u32, Finished> {
        let until = self
            .context
            .deadline()
            .unwrap_or_else(|| Instant::now() + CALL_TIMEOUT_MAX);
        let mut pause = ASK_AGAIN_MIN;
        let mut running = false;
        loop {
            match self.store.claim(&self.claim).await {
                Ok(Claimed::Run { attempt }) => return Ok(attempt),
                Ok(Claimed::Done(frame)) => {
                    return Err(Finished {
                        answer: Answer::decode(frame),
                        end: End::Started,
                    });
                }
                Ok(Claimed::Conflict) => {
                    let text = "the idempotency key was used for another request";
                    return Err(Finished {
                        answer: Answer::fault(FaultCode::KeyConflict, text),
                        end: End::Undone,
                    });
                }
                Ok(Claimed::Running) => running = true,
                Err(error) => {
                    tracing::warn!(id = %self.id, %error, "asking for the claim again");
                }
            }
            if done.is_closed() || Instant::now() + pause > until {
                let (code, text, end) = if running {
                    let text = "another request with this key is still running";
                    (FaultCode::TimedOut, text, End::Elsewhere)
                } else {
                    let text = "the claim could not be taken";
                    (FaultCode::Overloaded, text, End::Unknown)
                };
                let answer = Answer::fault(code, text);
                return Err(Finished { answer, end });
            }
            sleep(pause).await;
            pause = (pause * 2).min(ASK_AGAIN_MAX);
        }
    }
}

/// Renews a claim for as long as it is polled.
async fn renew(store: &dyn ReplyStore, claim: &Claim, cancel: &CancellationToken) -> Infallible {
    let every = CLAIM_LEASE / 3;
    let mut pause = every;
    loop {
        sleep(pause).await;
        pause = match store.renew(claim).await {
            Ok(true) => every,
            Ok(false) => {
                // This process was away for longer than its lease. It can't be undone; the
                // handler may stop where that is safe, and the record stays the successor's.
                tracing::error!(key = claim.key, "another worker took this claim over");
                cancel.cancel();
                return std::future::pending().await;
            }
            Err(error) => {
                if pause == every {
                    tracing::warn!(key = claim.key, %error, "a claim was not renewed");
                }
                RENEW_AGAIN
            }
        };
    }
}

/// The answer of a handler that panicked. The panic's own text stays in this process.
pub(crate) fn panicked() -> Answer {
    Answer::fault(FaultCode::Panicked, "the handler panicked")
}
