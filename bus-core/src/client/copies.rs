//! What the copies of one call share: their number, and the place for their reply.

use bytes::Bytes;
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// The number of copies of a call that may have reached the broker, and may be run, and the place
/// that their reply comes to. Clones of a request share it: a layer that repeats a call makes
/// further copies of the same.
#[derive(Clone, Default)]
pub(crate) struct Copies(Arc<Shared>);

#[derive(Default)]
struct Shared {
    count: AtomicU32,
    reply: Mutex<ReplyPlace>,
}

#[derive(Default)]
struct ReplyPlace {
    /// The attempt that waits: the last one, if a layer makes several at once.
    attempt: u64,
    frame: Option<Bytes>,
    waker: Option<Waker>,
}

impl Copies {
    /// Counts one that is about to be published. Returns whether it is a repetition: another may
    /// have reached the broker.
    pub(super) fn begin(&self) -> bool {
        self.0.count.fetch_add(1, Ordering::AcqRel) > 0
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

// Without the reply: it can hold what is nobody else's business.
impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Copies").field(&self.0.count).finish()
    }
}
