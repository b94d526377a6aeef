//! One stream as it is produced: taken from its handler as far as its reader has room, and kept until
//! the reader has it.

use super::{
    items::{Filled, ItemSource},
    producers::Place,
    unacknowledged::Unacknowledged,
};
use crate::{
    error::{Fault, FaultCode},
    limits::{STREAM_FRAMES_MAX, STREAM_READER_SILENCE_MAX, STREAM_SIGN_EVERY},
    message::Text,
    reply::{ReplyStore, StoreError, Stored},
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

/// The time that a service which has drained gives to the last frames of its streams.
const LAST_WITHIN: Duration = Duration::from_secs(3);

pub(super) struct Producer {
    /// The handler's stream; `None` once it has ended.
    source: Option<Box<dyn ItemSource>>,
    store: Arc<dyn ReplyStore>,
    inbox: Text,
    stop: CancellationToken,
    place: Place,
    sent: Unacknowledged,
    /// When something was written last.
    wrote_at: Instant,
    pauses: Pauses,
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
    pub(super) fn new(
        source: Box<dyn ItemSource>,
        store: Arc<dyn ReplyStore>,
        inbox: Text,
        window: usize,
        stop: CancellationToken,
        place: Place,
    ) -> Self {
        Self {
            source: Some(source),
            store,
            inbox,
            stop,
            place,
            sent: Unacknowledged::new(window, STREAM_FRAMES_MAX),
            wrote_at: Instant::now(),
            pauses: pauses(),
        }
    }

    /// Produces until the reader has all of it, or is gone.
    pub(super) async fn run(mut self) {
        let mut stopped_at: Option<Instant> = None;
        loop {
            let heard = self.place.heard.take();
            self.sent.acknowledge(heard.taken);
            if heard.again {
                self.sent.again();
            }
            if stopped_at.is_none() && self.stop.is_cancelled() {
                stopped_at = Some(Instant::now());
                let text = "its service stops";
                self.end_with_fault(&Fault::new(FaultCode::Interrupted, text));
            }
            let is_over = match stopped_at {
                // Nobody waits for the reader of a service that stops.
                Some(at) => self.sent.unwritten().is_none() || at.elapsed() > LAST_WITHIN,
                None => self.source.is_none() && self.sent.is_empty(),
            };
            if is_over {
                return;
            }
            let silent_from = heard.at + STREAM_READER_SILENCE_MAX;
            match self.next(silent_from, stopped_at.is_some()).await {
                Next::Written(Ok(Stored::AsAsked)) => {
                    self.sent.wrote();
                    self.wrote_at = Instant::now();
                    self.pauses = pauses();
                }
                Next::Written(written) => self.pause(written, stopped_at.is_some()).await,
                Next::Filled(frame, filled) => self.filled(frame, filled),
                Next::Heard | Next::Stopped => {}
                Next::Quiet => self.give_sign().await,
                Next::Gone => {
                    tracing::debug!(call = %self.place.id(), "a stream has no reader any more");
                    return;
                }
            }
        }
    }

    async fn next(&mut self, silent_from: Instant, is_stopped: bool) -> Next {
        let heard = &self.place.heard;
        if let Some(frame) = self.sent.unwritten() {
            let written = self
                .store
                .append(&self.inbox, self.place.id(), frame.clone());
            // Whatever is heard meanwhile, a write that is under way is waited for.
            return tokio::select! {
                biased;
                () = heard.gone.cancelled() => Next::Gone,
                written = written => Next::Written(written),
                () = sleep_until(silent_from) => Next::Gone,
            };
        }
        let (first, room) = (self.sent.next(), self.sent.room());
        let producer = self.place.producer();
        let filled = async {
            match &mut self.source {
                Some(source) if room > 0 => fill(source.as_mut(), producer, first, room).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = heard.gone.cancelled() => Next::Gone,
            () = self.stop.cancelled(), if !is_stopped => Next::Stopped,
            () = heard.changed.notified() => Next::Heard,
            (frame, filled) = filled => Next::Filled(frame, filled),
            () = sleep_until(self.wrote_at + STREAM_SIGN_EVERY) => Next::Quiet,
            () = sleep_until(silent_from) => Next::Gone,
        }
    }

    fn filled(&mut self, frame: Bytes, Filled { count, end }: Filled) {
        if count > 0 {
            self.sent.push(frame, count);
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
        let frame = stream::end(self.place.producer(), self.sent.next(), end);
        self.sent.push(frame, 1);
    }

    /// Says that it lives, and by the number of its next item what was sent.
    async fn give_sign(&mut self) {
        let mut frame = Vec::new();
        stream::begin_items(self.place.producer(), self.sent.next(), &mut frame);
        let given = self
            .store
            .append(&self.inbox, self.place.id(), frame.into());
        // One that is lost is given again.
        let _ = given.await;
        self.wrote_at = Instant::now();
    }

    /// Waits a little: for the store, or for the reader to make its inbox again.
    async fn pause(&mut self, written: Result<Stored, StoreError>, is_stopped: bool) {
        if let Err(error) = written {
            tracing::debug!(call = %self.place.id(), %error, "a frame of a stream was not stored");
            metrics::counter!("replybus_store_failures_total").increment(1);
        }
        tokio::select! {
            () = self.place.heard.gone.cancelled() => {}
            () = self.stop.cancelled(), if !is_stopped => {}
            () = self.place.heard.changed.notified() => {}
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
