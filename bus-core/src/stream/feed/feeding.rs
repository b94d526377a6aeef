//! The caller's end of a stream of arguments: waits for a reader, produces for it as long as the call
//! goes on, and tells those who would read it as well that it is over.

use super::line::{FeedLine, Reader};
use crate::{
    bus::BusInner,
    call_id::CallId,
    client::request::CallInfo,
    codec::ContentType,
    contract::Never,
    error::{Fault, FaultCode},
    limits::STREAM_READER_SILENCE_MAX,
    reply::{StoreError, Stored},
    signature::FrameSignatures,
    stream::{
        heard::Ear,
        items::{EncodedItems, Filled, ItemSource},
        producer::{Over, Producer, Way},
        tally::{End as Side, StreamTally},
    },
    wire::{
        ReplyFrame,
        stream::{self, End},
    },
};
use bytes::Bytes;
use serde::Serialize;
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a reader is told whose stream does not go on.
const CALL_IS_OVER: &str = "its caller has left, or has its answer";

/// A stream that a call feeds to its handler. Dropped, it comes to an end.
pub(super) struct Feeding {
    bus: Arc<BusInner>,
    id: CallId,
    line: Arc<FeedLine>,
    stop: CancellationToken,
    failures: mpsc::Receiver<String>,
}

/// What is done in a task of its own.
struct Task {
    bus: Arc<BusInner>,
    call: CallInfo,
    line: Arc<FeedLine>,
    window: usize,
    content_type: ContentType,
    stop: CancellationToken,
    failures: mpsc::Sender<String>,
}

impl Feeding {
    /// Begins before the call is made, so that no reader can come too early; `None` if too many
    /// streams are fed.
    pub(super) fn begin<T: Serialize + Send + 'static>(
        bus: Arc<BusInner>,
        call: CallInfo,
        items: EncodedItems<T, Never>,
        window: u32,
        signatures: FrameSignatures,
    ) -> Option<Self> {
        let id = call.id;
        let line = FeedLine::new(Arc::clone(&bus.replies), id, signatures);
        let line = Arc::new(line);
        if !bus.waiters.register_feed(id, &line) {
            return None;
        }
        let stop = CancellationToken::new();
        let (tell, failures) = mpsc::channel(2);
        let task = Task {
            bus: Arc::clone(&bus),
            call,
            line: Arc::clone(&line),
            window: usize::try_from(window).unwrap_or(usize::MAX),
            content_type: items.content_type,
            stop: stop.clone(),
            failures: tell.clone(),
        };
        let source = Fed { items, tell };
        tokio::spawn(task.run(Box::new(source)));
        Some(Self {
            bus,
            id,
            line,
            stop,
            failures,
        })
    }

    /// Waits until the stream, and so the call, can come to nothing, and says why.
    pub(super) async fn failed(&mut self) -> String {
        match self.failures.recv().await {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// `true` once a handler may have been called.
    pub(super) fn has_begun(&self) -> bool {
        self.line.has_begun()
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.bus.waiters.forget_feed(self.id);
        self.stop.cancel();
    }
}

impl Task {
    async fn run(self, source: Box<dyn ItemSource>) {
        let Some(reader) = self.stop.run_until_cancelled(self.line.reader()).await else {
            return;
        };
        tokio::select! {
            biased;
            () = self.feed(source, reader) => {}
            never = self.attend() => match never {},
        }
        for other in self.line.others() {
            self.refuse(&other).await;
        }
    }

    /// Answers those who would read it as well.
    async fn attend(&self) -> Infallible {
        loop {
            let said = self.line.said().await;
            if said.is_succeeded {
                let text = "another worker would begin it anew: the one that ran it has lost it";
                self.fail(text.to_owned());
            }
            for reader in said.waiting {
                let told = self.tell(&reader, stream::wait(reader.number));
                // Who does not hear it asks again.
                let _ = told.await;
            }
        }
    }

    /// Produces, and then waits for the end of the call.
    async fn feed(&self, source: Box<dyn ItemSource>, reader: Reader) {
        let way = Way {
            store: Arc::clone(&self.bus.replies),
            inbox: reader.inbox,
            id: reader.id,
            producer: reader.number,
            window: self.window,
            heard: reader.heard,
            ear: Ear::Inbox(Arc::clone(&self.bus.replies)),
            stop: self.stop.clone(),
            signatures: reader.signatures,
        };
        let CallInfo {
            service, method, ..
        } = &self.call;
        let tally = StreamTally::begin(service.clone(), method.clone(), Side::Producer);
        let over = Producer::new(source, way, CALL_IS_OVER, tally)
            .of_a_call()
            .run();
        match self.unless_closed(over).await {
            Some(Over::Silent) => {
                let text = format!("its handler was not heard for {STREAM_READER_SILENCE_MAX:?}");
                self.fail(text);
            }
            Some(Over::Told | Over::Gone) | None => {}
        }
        self.unless_closed(self.stop.cancelled()).await;
    }

    async fn unless_closed<F: Future>(&self, future: F) -> Option<F::Output> {
        self.bus.closed.run_until_cancelled(future).await
    }

    fn fail(&self, reason: String) {
        // The first is heard.
        let _ = self.failures.try_send(reason);
    }

    /// Tells one who waits for the stream that it will not come.
    async fn refuse(&self, reader: &Reader) {
        let fault = Fault::new(FaultCode::Interrupted, CALL_IS_OVER);
        let end = End::Fault(ReplyFrame::encode_fault(self.content_type, &fault));
        let frame = stream::end(reader.number, 0, &end);
        // One that does not hear it hears nothing any more.
        let _ = self.tell(reader, frame).await;
    }

    async fn tell(&self, reader: &Reader, frame: Bytes) -> Result<Stored, StoreError> {
        let frame = reader.signatures.sign(reader.id, frame);
        self.bus
            .replies
            .append(&reader.inbox, reader.id, frame)
            .await
    }
}

/// The items of a call, which learns if they can't be sent.
struct Fed<T> {
    items: EncodedItems<T, Never>,
    tell: mpsc::Sender<String>,
}

impl<T: Serialize + Send> ItemSource for Fed<T> {
    fn poll_fill(
        &mut self,
        frame: &mut Vec<u8>,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Filled> {
        let filled = ready!(self.items.poll_fill(frame, bytes, cx));
        if let Some(End::Fault(fault)) = &filled.end
            && let Ok((_, ReplyFrame::Fault(fault))) = ReplyFrame::decode(fault)
        {
            let _ = self.tell.try_send(fault.message);
        }
        Poll::Ready(filled)
    }

    fn fault(&self, fault: &Fault) -> End {
        self.items.fault(fault)
    }
}
