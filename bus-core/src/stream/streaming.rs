//! The reader's end of a stream.

use super::{
    inbox::{Ended, StreamInbox},
    keeper::{Keeper, Towards},
    tally::{End as Side, StreamTally},
};
use crate::{
    bus::BusInner,
    call_id::CallId,
    client::request::CallInfo,
    codec::{self, ContentType},
    error::{CallError, CallFailure, FailureKind},
    signature::FrameSignatures,
    wire::{
        ReplyFrame,
        stream::{End, split_item},
    },
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A stream of items that is read: each once, in their order, whatever is lost on the way and sent
/// again. An error is its last item: the handler's own, or a failure of the stream.
///
/// Its producer is ahead by a [window](super::StreamCall::window_bytes) at most. A reader that takes
/// nothing holds it up there for as long as it likes; dropped, it ends the producer, and the
/// handler's stream is dropped. There is no deadline: bound the wait for an item by
/// `tokio::time::timeout` around [`next`](Self::next).
///
/// A stream whose worker dies ends with [`FailureKind::Interrupted`], at once if its service's
/// control queue is gone, and otherwise when nothing was heard for
/// [`STREAM_SILENCE_MAX`](crate::limits::STREAM_SILENCE_MAX). It is not taken over by another worker:
/// what a stream begins with is its method's arguments, so call it again from where the last item was.
pub struct Streaming<T, E> {
    slot: Slot,
    info: CallInfo,
    content_type: ContentType,
    /// What is left of the frame that is read, and what it was.
    items: Bytes,
    frame: Option<(usize, u64)>,
    is_over: bool,
    tally: StreamTally,
    /// What it is that can't be read, if that is so of an item.
    unreadable: FailureKind,
    types: PhantomData<fn() -> (T, E)>,
}

/// A place among the streams that the bus reads, which is free again when this is dropped.
pub(super) struct Slot {
    bus: Arc<BusInner>,
    info: CallInfo,
    inbox: Arc<StreamInbox>,
}

impl Slot {
    /// Takes a place before the stream is asked for, so that no frame can come too early.
    pub(super) fn take(
        bus: Arc<BusInner>,
        id: CallId,
        info: CallInfo,
        window: u32,
        signatures: FrameSignatures,
    ) -> Result<Self, CallFailure> {
        let inbox = Arc::new(StreamInbox::new(id, window, signatures));
        if !bus.waiters.register_stream(id, &inbox) {
            let failure = info.failure(FailureKind::Overloaded);
            return Err(failure.with_cause("too many streams are being read"));
        }
        Ok(Self { bus, info, inbox })
    }

    /// Reads what the producer that is named sends, who is told how far that is.
    pub(super) fn open<T, E>(
        self,
        content_type: ContentType,
        producer: u32,
        towards: Towards,
    ) -> Streaming<T, E> {
        self.inbox.open(producer);
        let unreadable = match &towards {
            Towards::Service(_) => FailureKind::BadReply,
            Towards::Caller { .. } => FailureKind::BadRequest,
        };
        let keeper = Keeper {
            bus: Arc::clone(&self.bus),
            inbox: Arc::clone(&self.inbox),
            producer,
            towards,
        };
        tokio::spawn(keeper.keep());
        let CallInfo {
            service, method, ..
        } = &self.info;
        Streaming {
            tally: StreamTally::begin(service.clone(), method.clone(), Side::Reader),
            info: self.info.clone(),
            slot: self,
            content_type,
            items: Bytes::new(),
            frame: None,
            is_over: false,
            unreadable,
            types: PhantomData,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.bus.waiters.forget_stream(self.inbox.id());
        self.inbox.close();
    }
}

impl<T: DeserializeOwned, E: DeserializeOwned> Streaming<T, E> {
    /// Waits for the next item. `None` once all were taken, and after an error.
    ///
    /// # Errors
    /// The handler's own error, or a failure of the stream. It is the last item.
    ///
    /// # Cancel safety
    /// Safe: an item is never lost.
    pub async fn next(&mut self) -> Option<Result<T, CallError<E>>> {
        StreamExt::next(self).await
    }

    /// Waits until its producer begins.
    pub(super) async fn begun(&self) -> Result<(), Ended> {
        self.slot.inbox.begun().await
    }

    fn read(&self, item: &[u8]) -> Result<T, CallError<E>> {
        let read = codec::decode(self.content_type, item);
        read.map_err(|error| self.failure(self.unreadable, error).into())
    }

    fn last(&self, ended: Ended) -> Option<CallError<E>> {
        let bad = |error: codec::CodecError| self.failure(FailureKind::BadReply, error).into();
        match ended {
            Ended::Said(End::Complete) => None,
            Ended::Said(End::Handler(body)) => {
                Some(codec::decode(self.content_type, &body).map_or_else(bad, CallError::Handler))
            }
            Ended::Said(End::Fault(frame)) => Some(match ReplyFrame::decode(&frame) {
                Ok((_, ReplyFrame::Fault(fault))) => self.info.fault(fault).into(),
                _ => {
                    let text = "it ended with what is no fault";
                    self.failure(FailureKind::BadReply, text).into()
                }
            }),
            Ended::Failed(kind, reason) => Some(self.failure(kind, reason).into()),
        }
    }

    fn failure(&self, kind: FailureKind, cause: impl Into<crate::error::BoxError>) -> CallFailure {
        self.info.failure(kind).with_cause(cause)
    }
}

impl<T: DeserializeOwned, E: DeserializeOwned> Stream for Streaming<T, E> {
    type Item = Result<T, CallError<E>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        loop {
            if let Some(item) = split_item(&mut this.items) {
                let read = this.read(&item);
                if read.is_err() {
                    this.is_over = true;
                    this.tally.ended(this.unreadable.as_str());
                }
                return Poll::Ready(Some(read));
            }
            match ready!(this.slot.inbox.poll_frame(this.frame.take(), cx)) {
                Ok((items, count)) => {
                    this.tally.carried(count, items.len());
                    this.frame = Some((items.len(), count));
                    this.items = items;
                }
                Err(ended) => {
                    this.is_over = true;
                    let last = this.last(ended);
                    this.tally.ended(match &last {
                        None => "complete",
                        Some(CallError::Handler(_)) => "handler",
                        Some(CallError::Bus(failure)) => failure.kind().as_str(),
                    });
                    return Poll::Ready(last.map(Err));
                }
            }
        }
    }
}

impl<T, E> fmt::Debug for Streaming<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming")
            .field("call", &self.info)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
