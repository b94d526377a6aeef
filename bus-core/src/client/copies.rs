//! What the copies of one call share: their number, and the place for their reply.

use crate::{call_id::CallId, control::Cancels};
use bytes::Bytes;
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tokio::time::Instant;

/// The number of copies of a call that may have reached the broker, and may be run, and the place
/// that their reply comes to. Clones of a request share it: a layer that repeats a call makes
/// further copies of the same.
#[derive(Clone, Default)]
pub(crate) struct Copies(Arc<Shared>);

#[derive(Default)]
struct Shared {
    count: AtomicU32,
    /// The attempt that was made last has come to an end: an answer, a refusal, its deadline.
    over: AtomicBool,
    cancels: Option<Cancelling>,
    reply: Mutex<ReplyPlace>,
}

/// What it takes to cancel a call.
struct Cancelling {
    cancels: Arc<Cancels>,
    id: CallId,
    deadline: Instant,
}

#[derive(Default)]
struct ReplyPlace {
    /// The attempt that waits: the last one, if a layer makes several at once.
    attempt: u64,
    frame: Option<Bytes>,
    waker: Option<Waker>,
}

impl Copies {
    /// The copies of a call whose reply is waited for until its deadline. When nobody holds them any
    /// more and one may still be run, the call is cancelled.
    pub(super) fn awaited(cancels: Arc<Cancels>, id: CallId, deadline: Instant) -> Self {
        Self(Arc::new(Shared {
            cancels: Some(Cancelling {
                cancels,
                id,
                deadline,
            }),
            count: AtomicU32::default(),
            over: AtomicBool::default(),
            reply: Mutex::default(),
        }))
    }

    /// Counts one that is about to be published. Returns whether it is a repetition: another may
    /// have reached the broker.
    pub(super) fn begin(&self) -> bool {
        self.0.over.store(false, Ordering::Release);
        self.0.count.fetch_add(1, Ordering::AcqRel) > 0
    }

    /// Says that the last attempt has come to an end: of a single copy nothing goes on.
    pub(super) fn end(&self) {
        self.0.over.store(true, Ordering::Release);
    }

    /// Stops counting one that surely will not be run.
    pub(super) fn took_back(&self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
    }

    /// True if any may have reached the broker.
    pub(super) fn are_any(&self) -> bool {
        self.0.count.load(Ordering::Acquire) > 0
    }

    /// True if more than one may have reached the broker.
    pub(super) fn are_several(&self) -> bool {
        self.0.count.load(Ordering::Acquire) > 1
    }

    /// Has an attempt wait, and no other from now on.
    pub(super) fn expect_reply(&self, attempt: u64) {
        *self.reply() = ReplyPlace {
            attempt,
            ..ReplyPlace::default()
        };
    }

    /// Puts the reply to an attempt where that finds it.
    pub(super) fn put_reply(&self, attempt: u64, frame: Bytes) {
        let mut reply = self.reply();
        if reply.attempt == attempt {
            reply.frame = Some(frame);
            let waker = reply.waker.take();
            drop(reply);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Takes the reply to an attempt.
    pub(super) fn poll_reply(&self, attempt: u64, cx: &Context<'_>) -> Poll<Bytes> {
        let mut reply = self.reply();
        if reply.attempt != attempt {
            return Poll::Pending;
        }
        if let Some(frame) = reply.frame.take() {
            return Poll::Ready(frame);
        }
        match &mut reply.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            waker => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn reply(&self) -> MutexGuard<'_, ReplyPlace> {
        let reply = &self.0.reply;
        reply.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(cancelling) = &self.cancels else {
            return;
        };
        let out = *self.count.get_mut();
        if out > 1 || (out == 1 && !*self.over.get_mut()) {
            let Cancelling {
                cancels,
                id,
                deadline,
            } = cancelling;
            cancels.cancel(*id, *deadline);
        }
    }
}

// Without the reply: it can hold what is nobody else's business.
impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Copies").field(&self.0.count).finish()
    }
}
