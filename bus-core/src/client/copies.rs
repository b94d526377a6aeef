//! What the copies of one call share: its name, its time, its way, their number, and the place for
//! their reply.

use super::bundle::QueueLanes;
use crate::call_id::CallId;
use bytes::Bytes;
use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tokio::time::Instant;

/// The copies of a call that may have reached the broker, and may be run. Clones of a request share
/// it: a layer that repeats a call makes further copies of the same.
///
/// When nobody holds them any more, although the reply was waited for and one may still be run, the
/// call is cancelled; but not one that opened a stream, which would be cancelled with it.
#[derive(Clone)]
pub(crate) struct Copies(Arc<Shared>);

struct Shared {
    id: CallId,
    deadline: Instant,
    lanes: Arc<QueueLanes>,
    is_awaited: bool,
    /// The attempt that was made last has come to an end: an answer, a refusal, its deadline.
    over: AtomicBool,
    /// What one of them opened goes on, and is ended by its reader.
    open: AtomicBool,
    count: AtomicU32,
    reply: Mutex<ReplyPlace>,
}

/// No attempt waits: they are counted from 1.
const FREE: u32 = 0;

#[derive(Default)]
struct ReplyPlace {
    /// The attempt that waits: the last one, if a layer makes several at once.
    attempt: u32,
    /// How many wait.
    waiting: u32,
    frame: Frame,
    /// A reply beside it, for whichever attempt waits when that one has ended. Boxed: rare.
    spare: Option<Box<Bytes>>,
}

/// What an attempt waits for.
enum Frame {
    Awaited(Option<Waker>),
    There(Bytes),
}

impl Default for Frame {
    fn default() -> Self {
        Self::Awaited(None)
    }
}

impl ReplyPlace {
    /// Leaves the place to an attempt, or free. A reply that was not read is kept.
    fn pass_on(&mut self, attempt: u32) {
        self.attempt = attempt;
        if let Frame::There(unread) = mem::take(&mut self.frame) {
            self.spare = Some(Box::new(unread));
        }
    }
}

impl Copies {
    /// Those of a call that its caller gives up at `deadline`, to be sent by way of `lanes`.
    pub(super) fn new(
        id: CallId,
        deadline: Instant,
        lanes: Arc<QueueLanes>,
        is_awaited: bool,
    ) -> Self {
        Self(Arc::new(Shared {
            id,
            deadline,
            lanes,
            is_awaited,
            over: AtomicBool::default(),
            open: AtomicBool::default(),
            count: AtomicU32::default(),
            reply: Mutex::default(),
        }))
    }

    /// The call's id.
    pub(super) fn id(&self) -> CallId {
        self.0.id
    }

    /// The moment at which its caller gives up waiting.
    pub(super) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// The way to its queue that it shares with other calls.
    pub(super) fn lanes(&self) -> &QueueLanes {
        &self.0.lanes
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

    /// Says that what the call opened goes on under its id, which is not to be cancelled any more.
    pub(crate) fn opened(&self) {
        self.0.open.store(true, Ordering::Release);
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

    /// Has a new attempt wait. Those before it wait for it to end.
    pub(super) fn expect_reply(&self, attempt: u32) {
        let mut reply = self.reply();
        reply.waiting += 1;
        reply.pass_on(attempt);
    }

    /// Has an attempt wait in the place of a later one, which has ended.
    pub(super) fn expect_reply_again(&self, attempt: u32) {
        let mut reply = self.reply();
        reply.attempt = attempt;
        if let Some(spare) = reply.spare.take() {
            reply.frame = Frame::There(*spare);
        }
    }

    /// `true` if more than one attempt waits: what comes beside the reply to one may be another's.
    pub(super) fn several_wait(&self) -> bool {
        self.reply().waiting > 1
    }

    /// `true` if the attempt that waited has ended, and no other waits yet.
    pub(super) fn is_place_free(&self) -> bool {
        self.reply().attempt == FREE
    }

    /// Says that an attempt waits no longer. Returns how many do.
    pub(super) fn free_place(&self, attempt: u32) -> u32 {
        let mut reply = self.reply();
        reply.waiting -= 1;
        if reply.attempt == attempt {
            reply.pass_on(FREE);
        }
        reply.waiting
    }

    /// Puts the reply to an attempt where that finds it, or, if there is one, or it has ended, where
    /// another does.
    pub(super) fn put_reply(&self, attempt: u32, frame: Bytes) {
        let mut reply = self.reply();
        if reply.attempt != attempt || matches!(reply.frame, Frame::There(_)) {
            reply.spare = Some(Box::new(frame));
            return;
        }
        let awaited = mem::replace(&mut reply.frame, Frame::There(frame));
        drop(reply);
        if let Frame::Awaited(Some(waker)) = awaited {
            waker.wake();
        }
    }

    /// Takes the reply to an attempt.
    pub(super) fn poll_reply(&self, attempt: u32, cx: &Context<'_>) -> Poll<Bytes> {
        let mut reply = self.reply();
        if reply.attempt != attempt {
            return Poll::Pending;
        }
        match mem::take(&mut reply.frame) {
            Frame::There(frame) => return Poll::Ready(frame),
            Frame::Awaited(Some(waker)) if waker.will_wake(cx.waker()) => {
                reply.frame = Frame::Awaited(Some(waker));
            }
            Frame::Awaited(_) => reply.frame = Frame::Awaited(Some(cx.waker().clone())),
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
        let out = *self.count.get_mut();
        let goes_on = out > 1 || (out == 1 && !*self.over.get_mut());
        if self.is_awaited && goes_on && !*self.open.get_mut() {
            self.lanes.cancels().cancel(self.id, self.deadline);
        }
    }
}

// Without the reply: it can hold what is nobody else's business.
impl fmt::Debug for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Copies").field(&self.0.count).finish()
    }
}

#[cfg(test)]
impl Copies {
    /// Those of a call that was not made.
    pub(super) fn of_none() -> Self {
        static NOWHERE: std::sync::LazyLock<Arc<QueueLanes>> = std::sync::LazyLock::new(|| {
            let bus = crate::Bus::in_memory();
            bus.inner().bundler.lanes(&"nowhere".into())
        });
        let lanes = Arc::clone(&NOWHERE);
        Self::new(CallId::new(), Instant::now(), lanes, false)
    }
}
