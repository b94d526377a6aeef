//! The calls that wait, each for its reply.

use super::{bundle::SentBundle, copies::Copies};
use crate::{
    call_id::CallId,
    limits::{GATHERINGS_MAX, INSTANCES_LISTED_MAX, STREAMS_MAX, WAITING_MAX},
    reply::Arrivals,
    stream::{FeedLine, StreamInbox},
    wire::{feed::FeedCredit, stream},
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::sync::mpsc;

/// The calls of one bus that wait for a reply.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Slots>);

/// The place for a reply is kept with the number of the attempt that waits: the last one, if a layer
/// makes several at once under one id.
#[derive(Debug, Default)]
struct Slots {
    waiting: HashMap<CallId, (u32, Copies)>,
    attempts: u32,
    /// The messages of several calls that were sent: only one that is refused as a whole is
    /// answered.
    bundles: HashMap<CallId, Weak<SentBundle>>,
    /// What several answer under one id.
    gatherings: HashMap<CallId, mpsc::Sender<Bytes>>,
    /// The streams that are read.
    streams: HashMap<CallId, Arc<StreamInbox>>,
    /// The streams that are sent, by their calls.
    feeds: HashMap<CallId, Arc<FeedLine>>,
}

/// The answers of several to one question. Dropped, further ones are passed over.
#[derive(Debug)]
pub(crate) struct Gathering {
    id: CallId,
    waiters: Arc<Waiters>,
    answers: mpsc::Receiver<Bytes>,
}

/// A slot among the waiters. Dropped on reply, timeout, error and cancel alike, it is free again.
#[derive(Debug)]
pub(crate) struct Waiter {
    attempt: u32,
    waiters: Arc<Waiters>,
    copies: Copies,
}

impl Waiters {
    /// Takes a slot before the request is published, so that no reply can come too early.
    /// `None` when [`WAITING_MAX`] calls wait.
    pub(crate) fn register(self: &Arc<Self>, copies: &Copies) -> Option<Waiter> {
        let mut slots = self.slots();
        if slots.waiting.len() >= WAITING_MAX {
            return None;
        }
        // Those at one call are told apart, by no 0: so it may begin anew.
        slots.attempts = slots.attempts.wrapping_add(1).max(1);
        let attempt = slots.attempts;
        copies.expect_reply(attempt);
        slots.waiting.insert(copies.id(), (attempt, copies.clone()));
        drop(slots);
        Some(Waiter {
            attempt,
            waiters: Arc::clone(self),
            copies: copies.clone(),
        })
    }

    /// Takes a place for the answers of several to one question; `None` if there are too many.
    pub(crate) fn gather(self: &Arc<Self>, id: CallId) -> Option<Gathering> {
        let mut slots = self.slots();
        if slots.gatherings.len() >= GATHERINGS_MAX {
            return None;
        }
        let (sender, answers) = mpsc::channel(INSTANCES_LISTED_MAX);
        slots.gatherings.insert(id, sender);
        drop(slots);
        Some(Gathering {
            id,
            waiters: Arc::clone(self),
            answers,
        })
    }

    /// The number of calls that wait.
    pub(crate) fn len(&self) -> usize {
        self.slots().waiting.len()
    }

    /// Takes a bundle, for as long as a reply to it can come.
    pub(super) fn register_bundle(&self, id: CallId, bundle: &Arc<SentBundle>) {
        let bundle = Arc::downgrade(bundle);
        self.slots().bundles.insert(id, bundle);
    }

    pub(super) fn forget_bundle(&self, id: CallId) {
        self.slots().bundles.remove(&id);
    }

    /// Takes in the frames of a stream, from before it is asked for. `false` when [`STREAMS_MAX`]
    /// are read.
    pub(crate) fn register_stream(&self, id: CallId, inbox: &Arc<StreamInbox>) -> bool {
        let mut slots = self.slots();
        let has_room = slots.streams.len() < STREAMS_MAX;
        if has_room {
            slots.streams.insert(id, Arc::clone(inbox));
        }
        has_room
    }

    pub(crate) fn forget_stream(&self, id: CallId) {
        // Dropped after the lock: what it holds may be much.
        let forgotten = self.slots().streams.remove(&id);
        drop(forgotten);
    }

    /// Takes in what is said by those who would read the stream of a call, from before it is made.
    /// `false` when [`STREAMS_MAX`] are sent.
    pub(crate) fn register_feed(&self, id: CallId, line: &Arc<FeedLine>) -> bool {
        let mut slots = self.slots();
        let has_room = slots.feeds.len() < STREAMS_MAX;
        if has_room {
            slots.feeds.insert(id, Arc::clone(line));
        }
        has_room
    }

    /// `true` once the stream of a call is read.
    pub(super) fn is_fed(&self, id: CallId) -> bool {
        let line = self.slots().feeds.get(&id).cloned();
        line.is_some_and(|line| line.has_begun())
    }

    pub(crate) fn forget_feed(&self, id: CallId) {
        let forgotten = self.slots().feeds.remove(&id);
        drop(forgotten);
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        // Nothing in a critical section can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrivals for Waiters {
    fn arrived(&self, id: CallId, frame: Bytes) {
        let mut slots = self.slots();
        if FeedCredit::is_in(&frame) {
            let line = slots.feeds.get(&id).cloned();
            drop(slots);
            if let Some(line) = line {
                line.arrived(&frame);
            }
            return;
        }
        if frame.first() == Some(&stream::MARK) {
            let inbox = slots.streams.get(&id).cloned();
            drop(slots);
            if let Some(inbox) = inbox {
                inbox.arrived(&frame);
            }
            return;
        }
        let slot = slots.waiting.remove(&id);
        if let Some((attempt, copies)) = &slot
            && copies.several_wait()
        {
            slots.waiting.insert(id, (*attempt, copies.clone()));
        }
        let bundle = match slot {
            Some(_) => None,
            None => slots.bundles.get(&id).and_then(Weak::upgrade),
        };
        if slot.is_none()
            && let Some(gathering) = slots.gatherings.get(&id)
        {
            // More than there can be instances are passed over.
            let _ = gathering.try_send(frame);
            return;
        }
        drop(slots);
        match (slot, bundle) {
            (Some((attempt, copies)), _) => copies.put_reply(attempt, frame),
            (None, Some(bundle)) => bundle.refused(&frame),
            // The call timed out or was dropped, or this is a second reply to it.
            (None, None) => metrics::counter!("replybus_late_replies_total").increment(1),
        }
    }

    fn waiting(&self) -> Vec<CallId> {
        let slots = self.slots();
        let calls = slots.waiting.keys();
        calls.chain(slots.bundles.keys()).copied().collect()
    }
}

impl Waiter {
    /// Waits for the reply frame. Never returns without one: the caller bounds the wait.
    ///
    /// # Cancel safety
    /// Safe; the slot is kept until the waiter is dropped.
    pub(crate) fn reply(&mut self) -> impl Future<Output = Bytes> {
        poll_fn(|cx| {
            if self.copies.is_place_free() {
                self.take_place();
            }
            self.copies.poll_reply(self.attempt, cx)
        })
    }

    /// Waits in the place of another attempt at the same call, which came later and has ended.
    fn take_place(&self) {
        let mut slots = self.waiters.slots();
        self.copies.expect_reply_again(self.attempt);
        let place = (self.attempt, self.copies.clone());
        slots.waiting.insert(self.copies.id(), place);
    }
}

impl Gathering {
    /// Waits for the next answer.
    ///
    /// # Cancel safety
    /// Safe; no answer is lost.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.answers.recv().await
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        self.waiters.slots().gatherings.remove(&self.id);
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut slots = self.waiters.slots();
        // While another attempt waits, what comes is that one's.
        if self.copies.free_place(self.attempt) == 0 {
            slots.waiting.remove(&self.copies.id());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn register(waiters: &Arc<Waiters>) -> Option<Waiter> {
        waiters.register(&Copies::of_none())
    }

    #[tokio::test]
    async fn of_two_attempts_the_last_is_answered() {
        let waiters = Arc::new(Waiters::default());
        let copies = Copies::of_none();
        let mut first = waiters.register(&copies).unwrap();
        let mut last = waiters.register(&copies).unwrap();
        waiters.arrived(copies.id(), Bytes::from_static(b"reply"));
        assert_eq!(last.reply().await, "reply");
        assert!(first.reply().now_or_never().is_none());
        // When that has ended, whatever came of it, the first waits again.
        drop(last);
        assert!(first.reply().now_or_never().is_none());
        waiters.arrived(copies.id(), Bytes::from_static(b"another"));
        assert_eq!(first.reply().await, "another");
        drop(first);
        assert_eq!(waiters.len(), 0);
    }

    #[tokio::test]
    async fn what_comes_beside_the_reply_to_one_attempt_is_that_to_another() {
        let waiters = Arc::new(Waiters::default());
        let copies = Copies::of_none();
        let register = || waiters.register(&copies).unwrap();
        let arrive = |frame: &'static [u8]| {
            waiters.arrived(copies.id(), Bytes::from_static(frame));
        };
        let (mut first, mut last) = (register(), register());
        // Both come before either attempt gets to its own.
        arrive(b"overloaded");
        arrive(b"value");
        assert_eq!(last.reply().await, "overloaded");
        drop(last);
        assert_eq!(first.reply().await, "value");
        // It has come before another attempt is made, or after that has ended.
        let unread = register();
        arrive(b"unread");
        let mut last = register();
        assert!(last.reply().now_or_never().is_none());
        drop((last, first));
        let mut unread = unread;
        assert_eq!(unread.reply().await, "unread");
        let last = register();
        drop(last);
        arrive(b"after its end");
        assert_eq!(unread.reply().await, "after its end");
        drop(unread);
        assert_eq!(waiters.len(), 0);
    }

    #[tokio::test]
    async fn a_reply_finds_its_waiter_and_frees_the_place() {
        let waiters = Arc::new(Waiters::default());
        let [one, two] = [(); 2].map(|()| Copies::of_none());
        let mut waiter = waiters.register(&one).unwrap();
        let other = waiters.register(&two).unwrap();
        waiters.arrived(one.id(), Bytes::from_static(b"first"));
        waiters.arrived(one.id(), Bytes::from_static(b"second"));
        assert_eq!(waiter.reply().await, "first");
        assert_eq!(waiters.waiting(), [two.id()]);
        drop((waiter, other));
        assert_eq!(waiters.len(), 0);
    }

    #[test]
    fn places_are_bounded_and_reused() {
        let waiters = Arc::new(Waiters::default());
        let mut held: Vec<Waiter> = (0..WAITING_MAX)
            .map(|_| register(&waiters).unwrap())
            .collect();
        assert!(register(&waiters).is_none());
        held.pop();
        assert!(register(&waiters).is_some());
    }

    #[test]
    fn a_reply_nobody_waits_for_is_dropped() {
        let waiters = Arc::new(Waiters::default());
        waiters.arrived(CallId::new(), Bytes::new());
        assert_eq!(waiters.len(), 0);
    }
}
