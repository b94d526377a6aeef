//! One run of a command, as its delivery sees it past all layers: whether it goes on, how it ended,
//! and the claim to record its outcome under.

use super::Answer;
use crate::reply::Claim;
use futures_util::FutureExt;
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Poll,
};
use tokio::sync::{Notify, oneshot};
use tracing::Instrument;

/// The end of a command's task.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    pub(crate) answer: Answer,
    pub(crate) end: RunEnd,
}

/// The state of a run, as its claim tells it.
#[derive(Debug)]
pub(crate) enum RunEnd {
    /// It ran, and is to be recorded.
    Ran(HeldClaim),
    /// It was started before: it has an outcome, or did not end.
    Started,
    /// Another delivery is running it.
    Elsewhere,
    /// Nothing was done under the claim, now or before.
    Undone,
    /// Nothing: the claim was not asked, or did not answer.
    Unknown,
}

impl RunEnd {
    /// The end of a run that is not recorded.
    pub(super) fn of_attempt(attempt: u32) -> Self {
        if attempt > 1 {
            Self::Started
        } else {
            Self::Undone
        }
    }

    /// The claim to record the outcome under.
    pub(crate) fn into_held(self) -> Option<HeldClaim> {
        match self {
            Self::Ran(held) => Some(held),
            Self::Started | Self::Elsewhere | Self::Undone | Self::Unknown => None,
        }
    }

    /// `true` if a handler can have run. Where the claim does not know, it can if the message was
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
pub(crate) struct HeldClaim {
    pub(crate) claim: Claim,
    recorded: oneshot::Sender<()>,
}

impl HeldClaim {
    /// A claim to be recorded; the receiver hears that it was, or that nobody will.
    pub(super) fn over(claim: Claim) -> (Self, oneshot::Receiver<()>) {
        let (recorded, told) = oneshot::channel();
        (Self { claim, recorded }, told)
    }

    /// Says that the outcome is recorded.
    pub(crate) fn recorded(self) {
        let _ = self.recorded.send(());
    }
}

/// A command's run as its delivery sees it, past all layers. The default is that of a query, of
/// whose run nothing is noted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run(Option<Arc<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    state: Mutex<RunState>,
    withdrawn: AtomicBool,
    /// 0 if nothing is known of them.
    attempts: AtomicU32,
    /// Who wants to know that it starts.
    starts: Option<Arc<Notify>>,
}

/// The state of a run when the layers have answered.
#[derive(Debug)]
pub(crate) enum RunState {
    /// A layer no longer waits for it; it goes on.
    Abandoned(oneshot::Receiver<FinishedRun>),
    /// It ended, or was not started.
    Ended(RunEnd),
}

impl Default for RunState {
    fn default() -> Self {
        Self::Ended(RunEnd::Unknown)
    }
}

impl Run {
    /// A run that is noted.
    pub(crate) fn noted() -> Self {
        Self(Some(Arc::default()))
    }

    /// A run that is noted, and notifies when it is given its claim and starts.
    pub(crate) fn telling(starts: Arc<Notify>) -> Self {
        Self(Some(Arc::new(Noted {
            starts: Some(starts),
            ..Noted::default()
        })))
    }

    fn set(&self, state: RunState) {
        if let Some(noted) = &self.0 {
            *noted.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        }
    }

    /// Notes that it is cancelled: it is not to be started.
    pub(crate) fn withdraw(&self) {
        if let Some(noted) = &self.0 {
            noted.withdrawn.store(true, Ordering::Release);
        }
    }

    /// Notes how often it was begun, this time counted.
    pub(crate) fn begun(&self, attempts: u32) {
        if let Some(noted) = &self.0 {
            noted.attempts.store(attempts, Ordering::Relaxed);
        }
    }

    /// A handle on it that keeps nothing of it alive: what waits for a run learns from the end of
    /// its delivery that nobody does.
    fn downgrade(&self) -> WeakRun {
        WeakRun(self.0.as_ref().map(Arc::downgrade))
    }

    /// How often it was begun, if that is known.
    pub(crate) fn attempts(&self) -> Option<u32> {
        let attempts = self.0.as_ref()?.attempts.load(Ordering::Relaxed);
        (attempts > 0).then_some(attempts)
    }

    /// Notes that it ended, or was not started.
    pub(crate) fn end(&self, end: RunEnd) {
        self.set(RunState::Ended(end));
    }

    /// The state of the run, told once.
    pub(crate) fn take(&self) -> RunState {
        let Some(noted) = &self.0 else {
            return RunState::default();
        };
        std::mem::take(&mut *noted.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A run as its task sees it, which its delivery may have left.
pub(super) struct WeakRun(Option<Weak<Noted>>);

impl WeakRun {
    /// As [`Run::begun`].
    pub(super) fn begun(&self, attempts: u32) {
        self.run().begun(attempts);
    }

    /// Notes the same of a run whose handler is called now.
    pub(super) fn starts(&self, attempts: u32) {
        let run = self.run();
        run.begun(attempts);
        if let Some(starts) = run.0.as_ref().and_then(|noted| noted.starts.as_ref()) {
            starts.notify_one();
        }
    }

    /// `true` if it is cancelled, and its delivery is still there to say so.
    pub(super) fn is_withdrawn(&self) -> bool {
        let run = self.run();
        run.0
            .is_some_and(|noted| noted.withdrawn.load(Ordering::Acquire))
    }

    fn run(&self) -> Run {
        Run(self.0.as_ref().and_then(Weak::upgrade))
    }
}

/// Waits for a command; dropped, it leaves the run where its delivery finds it.
#[derive(Debug)]
pub(crate) struct CommandFuture {
    finished: Option<oneshot::Receiver<FinishedRun>>,
    run: Run,
}

impl CommandFuture {
    /// Starts a task for a run, which says what came of it, and waits for that.
    pub(super) fn start<F>(
        run: Run,
        begin: impl FnOnce(WeakRun, oneshot::Sender<FinishedRun>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (done, finished) = oneshot::channel();
        // The task outlives the one that waits for it, and is still part of its span.
        tokio::spawn(begin(run.downgrade(), done).in_current_span());
        Self {
            finished: Some(finished),
            run,
        }
    }
}

impl Future for CommandFuture {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Answer> {
        let Some(finished) = self.finished.as_mut() else {
            return Poll::Pending;
        };
        let outcome = std::task::ready!(finished.poll_unpin(cx));
        self.finished = None;
        let Ok(FinishedRun { answer, end }) = outcome else {
            // It was not started because this worker is told to stop. So is its delivery, which is
            // dropped and given back.
            return Poll::Pending;
        };
        self.run.set(RunState::Ended(end));
        Poll::Ready(answer)
    }
}

impl Drop for CommandFuture {
    fn drop(&mut self) {
        if let Some(finished) = self.finished.take() {
            self.run.set(RunState::Abandoned(finished));
        }
    }
}
