//! What has arrived of one stream and was not taken yet: put in by whoever reads the inbox of the
//! process, taken out by the reader, and looked at by its keeper, who says to the producer how far
//! the reader is.

use crate::{
    call_id::CallId,
    error::FailureKind,
    limits::{REPLY_BYTES_MAX, STREAM_FRAMES_MAX},
    signature::FrameSignatures,
    wire::stream::{Content, End, StreamFrame},
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tokio::{sync::Notify, time::Instant};

/// The frames of one stream.
#[derive(Debug)]
pub(crate) struct StreamInbox {
    /// The id that its frames are under.
    id: CallId,
    signatures: FrameSignatures,
    /// Bytes of items that the producer may be ahead.
    window: usize,
    state: Mutex<State>,
    /// There may be something to say to the producer.
    pub(super) changed: Notify,
}

#[derive(Debug)]
struct State {
    producer: Producer,
    /// Frames of items in their order, each with their number.
    frames: VecDeque<(Bytes, u64)>,
    /// Bytes of all frames that were not taken wholly.
    held: usize,
    /// The number of the next item to arrive.
    expected: u64,
    /// All below it was taken.
    taken: u64,
    /// What was taken and not told.
    untold: Untold,
    ended: Option<Ended>,
    /// Its producer has begun.
    begun: bool,
    /// Something is missing.
    again: bool,
    /// When the producer was heard last.
    heard_at: Instant,
    /// Why a frame was not believed, of the last one that was not.
    refused: Option<String>,
    /// Nobody reads any more.
    closed: bool,
    waker: Option<Waker>,
}

/// Of the producers that a call has, if it has several copies, one is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Producer {
    Unknown,
    /// Whose frames came first.
    First(u32),
    /// The one that the reply to the call names.
    Named(u32),
}

#[derive(Debug, Default)]
struct Untold {
    bytes: usize,
    frames: usize,
}

/// The last thing there is of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// What its producer said.
    Said(End),
    /// What the reader's keeper found.
    Failed(FailureKind, String),
}

/// What is to be said to the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) taken: u64,
    pub(super) again: bool,
    pub(super) gone: bool,
    /// It can't wait, whatever is missing.
    pub(super) now: bool,
}

impl StreamInbox {
    pub(super) fn new(id: CallId, window: u32, signatures: FrameSignatures) -> Self {
        Self {
            id,
            signatures,
            window: usize::try_from(window).unwrap_or(usize::MAX),
            state: Mutex::new(State {
                producer: Producer::Unknown,
                frames: VecDeque::new(),
                held: 0,
                expected: 0,
                taken: 0,
                untold: Untold::default(),
                ended: None,
                begun: false,
                again: false,
                heard_at: Instant::now(),
                refused: None,
                closed: false,
                waker: None,
            }),
            changed: Notify::new(),
        }
    }

    /// Takes a frame in. What was had before is passed over, and so is what comes before its turn,
    /// which is asked for again.
    pub(crate) fn arrived(&self, frame: &Bytes) {
        let frame = match self.signatures.believed(self.id, frame) {
            Ok(frame) => frame,
            Err(refusal) => {
                self.state().refused = Some(refusal.to_string());
                return;
            }
        };
        let Some(frame) = StreamFrame::read(&frame) else {
            return;
        };
        let mut state = self.state();
        match state.producer {
            Producer::Unknown => state.producer = Producer::First(frame.producer),
            Producer::First(one) | Producer::Named(one) if one == frame.producer => {}
            Producer::First(_) | Producer::Named(_) => return,
        }
        if matches!(state.ended, Some(Ended::Said(_))) {
            return;
        }
        state.heard_at = Instant::now();
        if frame.content == Content::Wait {
            return;
        }
        if !mem::replace(&mut state.begun, true)
            && let Some(waker) = state.waker.take()
        {
            waker.wake();
        }
        let is_next = frame.first == state.expected;
        if frame.first > state.expected {
            state.again = true;
            drop(state);
            self.changed.notify_one();
        } else if is_next && state.take_in(frame.content, self.window) {
            let waker = state.waker.take();
            let is_over = state.ended.is_some();
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
            if is_over {
                self.changed.notify_one();
            }
        }
    }

    /// Why a frame was not believed, if one was not.
    pub(super) fn refused(&self) -> Option<String> {
        self.state().refused.clone()
    }

    /// The id that its frames are under.
    pub(super) fn id(&self) -> CallId {
        self.id
    }

    /// What is signed of the stream, and what is believed.
    pub(super) fn signatures(&self) -> &FrameSignatures {
        &self.signatures
    }

    /// The reply to the call names its producer. What came from another copy's is let go.
    pub(super) fn open(&self, producer: u32) {
        let mut state = self.state();
        state.heard_at = Instant::now();
        let before = mem::replace(&mut state.producer, Producer::Named(producer));
        if matches!(before, Producer::First(first) if first != producer) {
            state.frames.clear();
            (state.held, state.expected, state.ended) = (0, 0, None);
            state.again = true;
        }
    }

    /// Waits until its producer begins.
    pub(super) async fn begun(&self) -> Result<(), Ended> {
        poll_fn(|cx| self.poll_begun(cx)).await
    }

    fn poll_begun(&self, cx: &Context<'_>) -> Poll<Result<(), Ended>> {
        let mut state = self.state();
        match &state.ended {
            None | Some(Ended::Said(End::Complete)) if state.begun => Poll::Ready(Ok(())),
            Some(_) if state.expected > 0 => Poll::Ready(Ok(())),
            Some(ended) => Poll::Ready(Err(ended.clone())),
            None => {
                state.wait(cx);
                Poll::Pending
            }
        }
    }

    /// The items of the next frame, after the reader is done with `done` bytes of one.
    pub(super) fn poll_frame(
        &self,
        done: Option<(usize, u64)>,
        cx: &Context<'_>,
    ) -> Poll<Result<(Bytes, u64), Ended>> {
        let mut state = self.state();
        if let Some((bytes, count)) = done {
            state.done(bytes, count);
            if state.is_due(self.window) {
                self.changed.notify_one();
            }
        }
        if let Some(frame) = state.frames.pop_front() {
            return Poll::Ready(Ok(frame));
        }
        if let Some(ended) = &state.ended {
            return Poll::Ready(Err(ended.clone()));
        }
        state.wait(cx);
        Poll::Pending
    }

    /// What is to be said to the producer.
    pub(super) fn due(&self) -> Due {
        self.state().due(self.window)
    }

    /// The same, which from now on counts as said, and as asked for if it `asks`.
    pub(super) fn take_due(&self, asks: bool) -> Due {
        let mut state = self.state();
        let due = state.due(self.window);
        state.again &= !asks;
        state.untold = Untold::default();
        due
    }

    /// When the producer was heard last.
    pub(super) fn heard_at(&self) -> Instant {
        self.state().heard_at
    }

    /// Ends the stream behind what has arrived, unless it has ended.
    pub(super) fn fail(&self, kind: FailureKind, reason: impl Into<String>) {
        let mut state = self.state();
        state
            .ended
            .get_or_insert_with(|| Ended::Failed(kind, reason.into()));
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }

    /// Nobody reads any more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let frames = mem::take(&mut state.frames);
        drop(state);
        drop(frames);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            waker => *waker = Some(cx.waker().clone()),
        }
    }

    /// Takes in what comes next; `false` if there is nothing in it, or no room for it, which there
    /// is for all that a producer sends.
    fn take_in(&mut self, content: Content, window: usize) -> bool {
        match content {
            Content::Items { count: 0, .. } | Content::Wait => false,
            Content::Items { count, items } => {
                let room = window.saturating_add(2 * REPLY_BYTES_MAX);
                if self.closed || self.held.saturating_add(items.len()) > room {
                    return false;
                }
                // What was missing is here.
                self.again = false;
                self.held += items.len();
                self.expected = self.expected.saturating_add(count);
                self.frames.push_back((items, count));
                true
            }
            Content::End(end) => {
                self.ended = Some(Ended::Said(end));
                true
            }
        }
    }

    fn due(&self, window: usize) -> Due {
        let gone = self.closed || self.ended.is_some();
        Due {
            taken: self.taken,
            again: self.again,
            gone,
            now: gone || self.is_due(window),
        }
    }

    fn done(&mut self, bytes: usize, count: u64) {
        self.held = self.held.saturating_sub(bytes);
        self.taken = self.taken.saturating_add(count);
        self.untold.bytes += bytes;
        self.untold.frames += 1;
    }

    /// `true` if half of what the producer may be ahead was taken.
    fn is_due(&self, window: usize) -> bool {
        self.untold.bytes >= window.div_ceil(2) || self.untold.frames >= STREAM_FRAMES_MAX / 2
    }
}
