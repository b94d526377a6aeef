//! A command runs in a task of its own, under a claim, to the end: whatever becomes of the future
//! that waits for it, and at most once at a time for one key.

use super::{
    service::{Answer, AnswerFuture},
    settlement::Outcome,
};
use crate::{
    call_id::CallId,
    codec::ContentType,
    context::Context,
    error::FaultCode,
    limits::{ATTEMPTS_MAX, CALL_TIMEOUT_MAX, CLAIM_LEASE},
    reply::{Claim, Claimed, Reply, ReplyStore, ReplyTarget},
};
use futures_util::FutureExt;
use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// First and longest pause before a claim is asked for again.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(5);
const ASK_AGAIN_MAX: Duration = Duration::from_millis(500);

/// What a command's task ends with: the answer, and the claim to record it under.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) answer: Answer,
    /// `None` if there is nothing to record: it was not run, or is recorded already.
    pub(crate) record: Option<Claim>,
}

/// A command's run as its delivery sees it, past all layers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run(Arc<Mutex<RunState>>);

#[derive(Debug, Default)]
enum RunState {
    /// No command was started, or it was waited for already.
    #[default]
    Nothing,
    /// A layer no longer waits for it; it goes on.
    Abandoned(oneshot::Receiver<Finished>),
    /// It ended, and is to be recorded under this claim.
    Ended(Claim),
}

impl Run {
    fn set(&self, state: RunState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn take(&self) -> RunState {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The claim under which the answer that came through the layers is recorded.
    pub(crate) fn take_record(&self) -> Option<Claim> {
        match self.take() {
            RunState::Ended(claim) => Some(claim),
            other => {
                self.set(other);
                None
            }
        }
    }

    /// The end of a run that a layer gave up on; `None` if there is no such run.
    pub(crate) async fn abandoned(&self) -> Option<Finished> {
        match self.take() {
            RunState::Abandoned(finished) => finished.await.ok(),
            RunState::Nothing | RunState::Ended(_) => None,
        }
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
        let Ok(Finished { answer, record }) = outcome else {
            // It was not started because this worker is told to stop. So is its delivery, which is
            // dropped and given back.
            return Poll::Pending;
        };
        if let Some(claim) = record {
            self.run.set(RunState::Ended(claim));
        }
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
        let (store, id, content_type) = (Arc::clone(&self.store), self.id, self.content_type);
        let Some(finished) = self.claim_and_run(handler, &done).await else {
            return;
        };
        // The delivery is gone (the worker was told to stop) but the work is done: say so, for
        // whoever gets the message next.
        if let Err(Finished {
            answer,
            record: Some(claim),
        }) = done.send(finished)
        {
            let record = Reply {
                id,
                target: ReplyTarget::None,
                frame: answer.encode(content_type),
                ttl: Duration::ZERO,
                record: Some(claim),
            };
            if let Err(error) = store.store(record).await {
                tracing::error!(%id, %error, "the outcome of a command was not recorded");
            }
        }
    }

    async fn claim_and_run(
        self,
        handler: impl FnOnce() -> AnswerFuture + Send,
        done: &oneshot::Sender<Finished>,
    ) -> Option<Finished> {
        let unrecorded = |answer| {
            Some(Finished {
                answer,
                record: None,
            })
        };
        let attempt = match self.take_claim(done).await {
            Ok(attempt) => attempt,
            Err(answer) => return unrecorded(answer),
        };
        let given_back = done.is_closed() || self.context.token().is_cancelled();
        if given_back || self.context.is_cancelled() {
            self.release().await;
            if given_back {
                return None;
            }
            return unrecorded(Answer::fault(
                FaultCode::Expired,
                "its time had passed before it was started",
            ));
        }
        if attempt > ATTEMPTS_MAX {
            return unrecorded(Answer::fault(
                FaultCode::Interrupted,
                format!("it was started {ATTEMPTS_MAX} times, and its worker died each time"),
            ));
        }
        let lost = self.context.token().clone();
        let context = self.context.clone().with_attempt(attempt);
        let future = context.clone().scope(async move { handler().await });
        let outcome = tokio::select! {
            biased;
            outcome = AssertUnwindSafe(future).catch_unwind() => outcome,
            never = renew(self.store.as_ref(), &self.claim, &lost) => match never {},
        };
        match outcome {
            Ok(answer) => {
                let ran = match Outcome::of(&answer) {
                    Outcome::Value => true,
                    Outcome::HandlerError => !context.key_is_released(),
                    Outcome::Fault(code) => self.errors_count && code.may_have_executed(),
                };
                if !ran {
                    // Nothing was done under this key, or it is to be done again: it is free.
                    self.release().await;
                }
                Some(Finished {
                    answer,
                    record: ran.then_some(self.claim),
                })
            }
            Err(_) => {
                // Not recorded: the claim lapses, and the key may be used again.
                if !self.errors_count {
                    self.release().await;
                }
                unrecorded(panicked())
            }
        }
    }

    async fn release(&self) {
        if let Err(error) = self.store.release(&self.claim).await {
            tracing::debug!(id = %self.id, %error, "a claim was left to lapse");
        }
    }

    /// Asks for the claim until it is given, answered or refused, or time is up.
    async fn take_claim(&self, done: &oneshot::Sender<Finished>) -> Result<u32, Answer> {
        let until = self
            .context
            .deadline()
            .unwrap_or_else(|| Instant::now() + CALL_TIMEOUT_MAX);
        let mut pause = ASK_AGAIN_MIN;
        loop {
            let why = match self.store.claim(&self.claim).await {
                Ok(Claimed::Run { attempt }) => return Ok(attempt),
                Ok(Claimed::Done(frame)) => return Err(Answer::decode(frame)),
                Ok(Claimed::Conflict) => {
                    return Err(Answer::fault(
                        FaultCode::KeyConflict,
                        "the idempotency key was used for another request",
                    ));
                }
                Ok(Claimed::Running) => Answer::fault(
                    FaultCode::TimedOut,
                    "another request with this key is still running",
                ),
                Err(error) => {
                    tracing::warn!(id = %self.id, %error, "asking for the claim again");
                    Answer::fault(FaultCode::Overloaded, "the claim could not be taken")
                }
            };
            if done.is_closed() || Instant::now() + pause > until {
                return Err(why);
            }
            sleep(pause).await;
            pause = (pause * 2).min(ASK_AGAIN_MAX);
        }
    }
}

/// Renews a claim for as long as it is polled.
async fn renew(store: &dyn ReplyStore, claim: &Claim, cancel: &CancellationToken) -> Infallible {
    let every = CLAIM_LEASE / 3;
    let mut tick = interval_at(Instant::now() + every, every);
    loop {
        tick.tick().await;
        match store.renew(claim).await {
            Ok(true) => {}
            Ok(false) => {
                // This process was away for longer than its lease. It can't be undone; the
                // handler may stop where that is safe, and the record stays the successor's.
                tracing::error!(key = claim.key, "another worker took this claim over");
                cancel.cancel();
                return std::future::pending().await;
            }
            Err(error) => tracing::warn!(key = claim.key, %error, "a claim was not renewed"),
        }
    }
}

/// The answer of a handler that panicked. The panic's own text stays in this process.
pub(crate) fn panicked() -> Answer {
    Answer::fault(FaultCode::Panicked, "the handler panicked")
}
