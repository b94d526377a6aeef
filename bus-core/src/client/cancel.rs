//! Cancelling a call, and knowing what came of that.

use super::{answered::read_reply, request::CallInfo};
use crate::{
    bus::Bus,
    codec::ContentType,
    contract::Outcome,
    error::{CallError, FailureKind, Fault, FaultCode},
    job::Watch,
    limits::{DEADLINE_RETENTION, KEYED_RETENTION},
    message::Text,
    reply::{Arrivals, Cancel, Cancelled, Reply, ReplyTarget, StoreError},
    wire::ReplyFrame,
    work::{cancelled, command_key},
};
use bytes::Bytes;
use std::{
    fmt,
    marker::PhantomData,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The answer to a cancel.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelOutcome<R: Outcome> {
    /// It was not started, and never will be. Whoever waits for its reply is told so
    /// ([`FailureKind::Cancelled`]). A command whose runs were all put off by its handler
    /// ([`RetryLater`](crate::RetryLater)), and that waited for the next one, counts as not started;
    /// that it may have been executed is said of each command that its handler may put off.
    NeverStarted,
    /// It is running, or its worker died a moment ago. Its handler is told
    /// ([`Context::cancelled`](crate::Context::cancelled)), and ends when it sees fit; what it comes
    /// to is its reply. If its worker dies before that, no other begins it anew: it is done as
    /// [interrupted](FailureKind::Interrupted).
    Running,
    /// It is done; this is its reply. A command that was started, whose worker died, and that
    /// nobody has taken over is done as [interrupted](FailureKind::Interrupted).
    Done(Result<R::Ok, CallError<R::Err>>),
    /// Whoever has it is told, and nobody says whether that was in time: no record is kept of a
    /// query, nor here of a command that keeps its own.
    Told,
}

/// Cancels one call, from anywhere in its program; see
/// [`Call::cancel_handle`](super::Call::cancel_handle). Clones cancel the same call.
pub struct CancelHandle<R> {
    bus: Bus,
    call: Arc<Mutex<State>>,
    outcome: PhantomData<fn() -> R>,
}

/// Where a call is that can be cancelled.
#[derive(Debug, Clone)]
enum State {
    Unsent,
    Withdrawn,
    Sent(CancelTarget),
}

/// What it takes to cancel a call that was made.
#[derive(Clone)]
pub(super) struct CancelTarget {
    pub(super) info: CallInfo,
    /// Without the namespace.
    pub(super) queue: Text,
    pub(super) idempotency_key: Option<String>,
    /// The store has a record of whether it was started.
    pub(super) is_recorded: bool,
    /// Its handler may put it off: a run may have been, that the record knows nothing of.
    pub(super) may_be_put_off: bool,
    /// The reply is waited for in this process, by this moment.
    pub(super) is_delayed: bool,
    pub(super) awaited_until: Option<Instant>,
    /// From now on, the time after which it can't be started any more.
    pub(super) startable_for: Duration,
}

impl<R: Outcome> CancelHandle<R> {
    pub(super) fn new(bus: &Bus) -> Self {
        Self {
            bus: bus.clone(),
            call: Arc::new(Mutex::new(State::Unsent)),
            outcome: PhantomData,
        }
    }

    pub(super) fn slot(&self) -> CancelSlot {
        CancelSlot(Arc::clone(&self.call))
    }

    /// A look at the call, if it has been made.
    pub(super) fn watch(&self) -> Option<Watch> {
        match &*lock(&self.call) {
            State::Sent(target) => Some(target.watch(&self.bus)),
            State::Unsent | State::Withdrawn => None,
        }
    }

    /// Cancels the call. One that has not been made yet fails when it is.
    ///
    /// # Errors
    /// The store can't be reached; it may or may not have been cancelled.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may or may not have cancelled the call.
    pub async fn cancel(&self) -> Result<CancelOutcome<R>, StoreError> {
        let target = {
            let mut state = lock(&self.call);
            match mem::replace(&mut *state, State::Withdrawn) {
                State::Unsent | State::Withdrawn => return Ok(CancelOutcome::NeverStarted),
                State::Sent(target) => {
                    *state = State::Sent(target.clone());
                    target
                }
            }
        };
        target.cancel(&self.bus).await
    }
}

impl<R> Clone for CancelHandle<R> {
    fn clone(&self) -> Self {
        Self {
            bus: self.bus.clone(),
            call: Arc::clone(&self.call),
            outcome: PhantomData,
        }
    }
}

impl<R> fmt::Debug for CancelHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.call).clone();
        f.debug_tuple("CancelHandle").field(&state).finish()
    }
}

/// Where a call that is made finds whether it is cancelled already, and leaves what it takes.
#[derive(Debug)]
pub(super) struct CancelSlot(Arc<Mutex<State>>);

impl CancelSlot {
    /// A handle on the call that is made with this.
    pub(super) fn handle<R>(&self, bus: &Bus) -> CancelHandle<R> {
        CancelHandle {
            bus: bus.clone(),
            call: Arc::clone(&self.0),
            outcome: PhantomData,
        }
    }

    /// `false` if the call is cancelled, and must not be made.
    pub(super) fn make(&self, target: CancelTarget) -> bool {
        let mut state = lock(&self.0);
        let is_wanted = !matches!(*state, State::Withdrawn);
        if is_wanted {
            *state = State::Sent(target);
        }
        is_wanted
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CancelTarget {
    /// A look at the call.
    pub(super) fn watch(&self, bus: &Bus) -> Watch {
        let until = self
            .awaited_until
            .unwrap_or_else(|| Instant::now() + self.startable_for);
        let key = self.is_recorded.then(|| self.claim_key());
        Watch::new(bus.inner(), self.info.id, key, until)
    }

    /// What its claim is found under.
    pub(super) fn claim_key(&self) -> String {
        let key = self.idempotency_key.as_deref();
        command_key(&self.queue, &self.info.method, key, self.info.id)
    }

    /// Cancels the call, and tells what that came to.
    pub(super) async fn cancel<R: Outcome>(
        &self,
        bus: &Bus,
    ) -> Result<CancelOutcome<R>, StoreError> {
        if !self.is_recorded {
            self.say(bus);
            return Ok(CancelOutcome::Told);
        }
        let cancel = self.record();
        let inner = bus.inner();
        let frame = match inner.replies.cancel(&cancel).await? {
            Cancelled::Done(frame) => frame,
            Cancelled::Running => {
                self.say(bus);
                return Ok(CancelOutcome::Running);
            }
            Cancelled::NeverStarted => {
                // Whoever holds its message need not ask.
                self.say(bus);
                if self.is_delayed {
                    inner.delayed.forget(&self.queue, self.info.id);
                }
                cancel.never_started
            }
        };
        let bad = || self.info.failure(FailureKind::BadReply);
        let reply = match ReplyFrame::decode(&frame) {
            // No handler answers so.
            Ok((_, ReplyFrame::Fault(fault))) if fault.code == FaultCode::Cancelled => {
                self.answer(bus, frame).await?;
                return Ok(CancelOutcome::NeverStarted);
            }
            Ok(reply) => {
                let (queue, method) = (self.queue.as_str(), &*self.info.method);
                let signatures = &inner.signatures;
                match signatures.believed_of(queue, method, self.info.id, None, &frame) {
                    Ok(_) => read_reply::<R>(reply, &self.info, false),
                    Err(refusal) => Err(bad().with_cause(refusal).into()),
                }
            }
            Err(error) => Err(bad().with_cause(error).into()),
        };
        Ok(CancelOutcome::Done(reply))
    }

    /// What its record becomes.
    pub(super) fn record(&self) -> Cancel {
        let never_started = match self.may_be_put_off {
            true => cancelled().may_have_been_executed(),
            false => cancelled(),
        };
        let never_started = ReplyFrame::encode_fault(ContentType::default(), &never_started);
        let text = "it was started and never ended, and was cancelled then";
        let interrupted = Fault::new(FaultCode::Interrupted, text);
        let retention = match &self.idempotency_key {
            Some(_) => KEYED_RETENTION.max(self.startable_for + DEADLINE_RETENTION),
            None => self.startable_for + DEADLINE_RETENTION,
        };
        Cancel::new(
            self.claim_key(),
            retention,
            never_started,
            ReplyFrame::encode_fault(ContentType::default(), &interrupted),
        )
    }

    /// Tells those who serve the queue.
    fn say(&self, bus: &Bus) {
        let lanes = bus.inner().bundler.lanes(&bus.name(&self.queue).into());
        let until = self
            .awaited_until
            .unwrap_or_else(|| Instant::now() + self.startable_for);
        lanes.cancels().cancel(self.info.id, until);
    }

    /// Answers whoever waits for the reply of a call that will not be started: its message may lie
    /// in a queue that nobody serves.
    async fn answer(&self, bus: &Bus, frame: Bytes) -> Result<(), StoreError> {
        let (inner, id) = (bus.inner(), self.info.id);
        if self.awaited_until.is_some() {
            inner.waiters.arrived(id, frame);
            return Ok(());
        }
        let reply = Reply::new(id, ReplyTarget::Key, frame);
        inner.replies.store(reply).await.map(drop)
    }
}

// Without the key.
impl fmt::Debug for CancelTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelTarget")
            .field("queue", &self.queue)
            .field("call", &self.info)
            .finish_non_exhaustive()
    }
}
