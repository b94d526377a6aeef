//! One stream as it is produced: taken from its handler as far as its reader has room, and kept until
//! the reader has it.

use super::{
    heard::{Ear, Heard},
    items::{Filled, ItemSource},
    silence::Silence,
    tally::StreamTally,
    unacknowledged::Unacknowledged,
};
use crate::{
    call_id::CallId,
    error::{Fault, FaultCode},
    limits::{STREAM_FRAMES_MAX, STREAM_READER_SILENCE_MAX, STREAM_SIGN_EVERY},
    message::Text,
    reply::{ReplyStore, StoreError, Stored},
    signature::FrameSignatures,
    wire::stream::{self, End},
    work::Pauses,
};
use bytes::Bytes;
use std::{
    future::{Future, poll_fn},
    mem,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// First and longest pause before a frame is written again that was not taken.
const WRITE_AGAIN_MIN: Duration = Duration::from_millis(20);
const WRITE_AGAIN_MAX: Duration = Duration::from_secs(1);

/// The time that is given to the last frames of a stream that is stopped.
const LAST_WITHIN: Duration = Duration::from_secs(3);

pub(super) struct Producer {
    /// The stream; `None` once it has ended.
    source: Option<Box<dyn ItemSource>>,
    way: Way,
    /// What its reader is told if it is stopped.
    why_stopped: &'static str,
    sent: Unacknowledged,
    /// When it is to say that it lives, if it has nothing else to say until then.
    sign_at: Instant,
    pauses: Pauses,
    tally: StreamTally,
    /// It would go on, and has no room before its reader takes something.
    waits: bool,
}

/// Where frames go, in which name, and from where their reader is heard.
pub(super) struct Way {
    pub(super) store: Arc<dyn ReplyStore>,
    pub(super) inbox: Text,
    /// The id that frames are under.
    pub(super) id: CallId,
    pub(super) producer: u32,
    pub(super) window: usize,
    pub(super) heard: Arc<Heard>,
    pub(super) ear: Ear,
    /// Fired when it is to come to an end.
    pub(super) stop: CancellationToken,
    pub(super) signatures: FrameSignatures,
}

/// What a producer's work came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// The reader has all of it, or was told why it has not.
    Told,
    /// The reader wants no more.
    Gone,
    /// The reader was not heard for too long.
    Silent,
}

/// What came next.
enum Next {
    Written(Result<Stored, StoreError>),
    Filled(Bytes, Filled),
    Heard,
    Quiet,
    Stopped,
    Gone,
}

impl Producer {
    /// A producer on a way, which tells its reader why it is stopped, if it is.
    pub(super) fn new(
        source: Box<dyn ItemSource>,
        way: Way,
        why_stopped: &'static str,
        tally: StreamTally,
    ) -> Self {
        Self {
            source: Some(source),
            sent: Unacknowledged::new(way.window, STREAM_FRAMES_MAX),
            way,
            why_stopped,
            sign_at: Instant::now() + STREAM_SIGN_EVERY,
            pauses: pauses(),
            tally,
            waits: false,
        }
    }

    /// Says at once that it is there.
    pub(super) fn of_a_call(mut self) -> Self {
        self.sign_at = Instant::now();
        self
    }

    /// Produces until the reader has all of it, or is gone.
    pub(super) async fn run(mut self) -> Over {
        let mut stopped_at: Option<Instant> = None;
        let mut silence = Silence::none();
        loop {
            let heard = self.way.heard.take();
            let silent_for = silence.look(heard.at, || self.way.ear.is_deaf());
            if silent_for >= STREAM_READER_SILENCE_MAX {
                self.tally.ended("silent");
                return self.left(Over::Silent);
            }
            self.sent.acknowledge(heard.taken);
            if heard.again {
                self.sent.again();
            }
            if stopped_at.is_none() && self.way.stop.is_cancelled() {
                stopped_at = Some(Instant::now());
                if self.source.is_some() {
                    self.end_with_fault(&Fault::new(FaultCode::Interrupted, self.why_stopped));
                    self.tally.ended("stopped");
                }
            }
            let is_over = match stopped_at {
                // Nobody waits for the reader of a service that stops.
                Some(at) => self.sent.unwritten().is_none() || at.elapsed() > LAST_WITHIN,
                None => self.source.is_none() && self.sent.is_empty(),
            };
            if is_over {
                return Over::Told;
            }
            match self.next(stopped_at.is_some()).await {
                Next::Written(Ok(Stored::AsAsked)) => {
                    self.sent.wrote();
                    self.sign_at = Instant::now() + STREAM_SIGN_EVERY;
                    self.pauses = pauses();
                }
                Next::Written(written) => self.pause(written, stopped_at.is_some()).await,
                Next::Filled(frame, filled) => self.filled(frame, filled),
                Next::Heard | Next::Stopped => {}
                Next::Quiet => self.give_sign().await,
                Next::Gone => return self.left(Over::Gone),
            }
        }
    }

    fn left(&self, over: Over) -> Over {
        tracing::debug!(id = %self.way.id, "a stream has no reader any more");
        over
    }

    async fn next(&mut self, is_stopped: bool) -> Next {
        let heard = &self.way.heard;
        if let Some(frame) = self.sent.unwritten() {
            let Way {
                store, inbox, id, ..
            } = &self.way;
            let written = store.append(inbox, *id, frame.clone());
            // Whatever is heard meanwhile, a write that is under way is waited for.
            return tokio::select! {
                biased;
                () = heard.gone.cancelled() => Next::Gone,
                written = written => Next::Written(written),
            };
        }
        let (first, room) = (self.sent.next(), self.sent.room());
        let waits = room == 0 && self.source.is_some();
        if waits && !mem::replace(&mut self.waits, waits) {
            self.tally.waits();
        }
        self.waits = waits;
        let producer = self.way.producer;
        let filled = async {
            match &mut self.source {
                Some(source) if room > 0 => fill(source.as_mut(), producer, first, room).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = heard.gone.cancelled() => Next::Gone,
            () = self.way.stop.cancelled(), if !is_stopped => Next::Stopped,
            () = heard.changed.notified() => Next::Heard,
            (frame, filled) = filled => Next::Filled(frame, filled),
            () = sleep_until(self.sign_at) => Next::Quiet,
        }
    }

    fn filled(&mut self, frame: Bytes, Filled { count, end }: Filled) {
        if count > 0 {
            let bytes = frame.len().saturating_sub(stream::HEAD_BYTES);
            self.tally.carried(count, bytes);
            self.keep(frame, count);
        }
        if let Some(end) = end {
            self.end(&end);
        }
    }

    fn end_with_fault(&mut self, fault: &Fault) {
        if let Some(source) = &self.source {
            let end = source.fault(fault);
            self.end(&end);
        }
    }

    fn end(&mut self, end: &End) {
        self.source = None;
        self.tally.ended(match end {
            End::Complete => "complete",
            End::Handler(_) => "handler",
            End::Fault(_) => "failed",
        });
        let frame = stream::end(self.way.producer, self.sent.next(), end);
        self.keep(frame, 1);
    }

    /// Keeps a frame as it is to be written, once or again.
    fn keep(&mut self, frame: Bytes, count: u64) {
        let Way { signatures, id, .. } = &self.way;
        // As its reader counts them.
        let bytes = frame.len().saturating_sub(stream::HEAD_BYTES);
        self.sent.push(signatures.sign(*id, frame), bytes, count);
    }

    /// Says that it lives, and by the number of its next item what was sent.
    async fn give_sign(&mut self) {
        let mut frame = Vec::new();
        stream::begin_items(self.way.producer, self.sent.next(), &mut frame);
        let Way {
            store, inbox, id, ..
        } = &self.way;
        let frame = self.way.signatures.sign(*id, frame.into());
        let given = store.append(inbox, *id, frame);
        // One that is lost is given again.
        let _ = given.await;
        self.sign_at = Instant::now() + STREAM_SIGN_EVERY;
    }

    /// Waits a little: for the store, or for the reader to make its inbox again.
    async fn pause(&mut self, written: Result<Stored, StoreError>, is_stopped: bool) {
        if let Err(error) = written {
            tracing::debug!(id = %self.way.id, %error, "a frame of a stream was not stored");
            metrics::counter!("replybus_store_failures_total").increment(1);
        }
        tokio::select! {
            biased;
            () = self.way.heard.gone.cancelled() => {}
            () = self.way.stop.cancelled(), if !is_stopped => {}
            () = self.way.heard.changed.notified() => {}
            () = sleep(self.pauses.next()) => {}
        }
    }
}

/// The next frame, and what is in it.
fn fill(
    source: &mut dyn ItemSource,
    producer: u32,
    first: u64,
    room: usize,
) -> impl Future<Output = (Bytes, Filled)> {
    let mut frame = Vec::new();
    stream::begin_items(producer, first, &mut frame);
    poll_fn(move |cx| {
        let filled = ready!(source.poll_fill(&mut frame, room, cx));
        Poll::Ready((mem::take(&mut frame).into(), filled))
    })
}

fn pauses() -> Pauses {
    Pauses::new(WRITE_AGAIN_MIN, WRITE_AGAIN_MAX)
}
