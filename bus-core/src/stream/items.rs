//! The items of a handler, from values to bytes.

use super::Asked;
use crate::{
    codec::{self, ContentType},
    error::{CallFailure, Fault, FaultCode},
    limits::{REPLY_BYTES_MAX, STREAM_FRAME_BYTES},
    server::{Payload, service::unreadable},
    wire::{
        ReplyFrame,
        stream::{End, ITEM_HEAD_BYTES, close_item},
    },
    work::{Answer, AnswerFuture},
};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

/// What a handler of a `#[stream]` method returns, and what it gets for an argument that is marked
/// `#[stream]`: a stream of results, of which an error is the last.
///
/// That of an argument is read by the handler at its own pace; see [`FeedCall`](super::FeedCall).
/// For a test of a handler it is made as any other.
///
/// That of an answer is taken from when its reader has room for more, in a task of its own, within the
/// [`Context`](crate::Context) of the call, which has no deadline there. It is dropped when its
/// reader is gone, and when the service has drained; a panic in it ends it as
/// [panicked](crate::FailureKind::Panicked).
///
/// ```
/// use futures_util::{StreamExt, stream};
/// use replybus::stream::Items;
///
/// # #[derive(Debug)] struct Away;
/// /// Of anything that is a stream of results.
/// fn lines(text: &'static str) -> Items<String, Away> {
///     Items::new(stream::iter(text.lines()).map(|line| Ok(line.to_owned())))
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # assert_eq!(lines("a\nb").count().await, 2);
/// # }
/// ```
pub struct Items<T, E = CallFailure>(BoxStream<'static, Result<T, E>>);

impl<T, E> Items<T, E> {
    /// The items of a stream.
    pub fn new(items: impl Stream<Item = Result<T, E>> + Send + 'static) -> Self {
        Self(Box::pin(items))
    }

    /// Waits for the next item; `None` once all were taken.
    ///
    /// # Errors
    /// That of the stream it was made of. Of an argument a failure of the call that is served: its
    /// caller [has left](crate::FailureKind::Interrupted), or an item
    /// [can't be read](crate::FailureKind::BadRequest). It is the last item.
    ///
    /// # Cancel safety
    /// As that of the stream it was made of. Of an argument it is safe: an item is never lost.
    pub async fn next(&mut self) -> Option<Result<T, E>> {
        StreamExt::next(&mut self.0).await
    }
}

impl<T, E> Stream for Items<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T, E>>> {
        self.0.as_mut().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T, E> fmt::Debug for Items<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Items")
    }
}

/// The result of a `#[stream]` method: `Result<Items<T, E>, E>`, of types that travel.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the outcome of a stream",
    label = "not a `Result<Items<T, E>, E>` of types that travel",
    note = "a method marked `#[stream]` returns `Result<Items<T, E>, E>`, with `replybus::stream::Items`, and both types derive Serialize and Deserialize and are Send"
)]
pub trait StreamOutcome: Send + 'static {
    /// An item.
    type Item: Serialize + DeserializeOwned + Send + 'static;
    /// The handler's own error, in place of the stream and as its last item.
    type Err: Serialize + DeserializeOwned + Send + 'static;

    /// The result itself.
    ///
    /// # Errors
    /// The handler's own.
    fn into_result(self) -> Result<Items<Self::Item, Self::Err>, Self::Err>;
}

impl<T, E> StreamOutcome for Result<Items<T, E>, E>
where
    T: Serialize + DeserializeOwned + Send + 'static,
    E: Serialize + DeserializeOwned + Send + 'static,
{
    type Item = T;
    type Err = E;

    fn into_result(self) -> Self {
        self
    }
}

/// Decodes the arguments, runs the handler, and has its items produced. Called by generated code.
pub fn answer_stream<A, R, F, Fut>(payload: Payload, handler: F) -> AnswerFuture
where
    A: DeserializeOwned + Send + 'static,
    R: StreamOutcome,
    F: FnOnce(A) -> Fut + Send + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    Box::pin(async move {
        let Payload {
            content_type,
            body,
            begun,
            stream,
            fingerprint,
        } = payload;
        let Some(Asked::Answer(opening)) = stream.as_deref() else {
            return Answer::fault(FaultCode::BadRequest, "nothing says how to stream to it");
        };
        let arguments = match codec::decode::<A>(content_type, &body) {
            Ok(arguments) => arguments,
            Err(error) => return unreadable(&error, fingerprint),
        };
        drop(body);
        let outcome = match handler(arguments).await.into_result() {
            Ok(items) => {
                let items = EncodedItems {
                    items,
                    content_type,
                };
                match opening.start(Box::new(items)) {
                    Ok(opened) => Ok(opened),
                    Err(fault) => return fault.into(),
                }
            }
            Err(error) => Err(error),
        };
        Answer::timed(content_type, outcome, begun.map(|begun| begun.elapsed()))
    })
}

/// Items on their way into frames, whatever their types.
pub(super) trait ItemSource: Send {
    /// Appends the items that are ready to a frame, until it has `bytes` of them. Is ready with
    /// none only at the end.
    fn poll_fill(
        &mut self,
        frame: &mut Vec<u8>,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Filled>;

    /// The frame of the fault that it ends with.
    fn fault(&self, fault: &Fault) -> End;
}

/// The items that were appended, and the end behind them, if it is known.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) count: u64,
    pub(super) end: Option<End>,
}

/// Items, and how they are encoded.
pub(super) struct EncodedItems<T, E> {
    pub(super) items: Items<T, E>,
    pub(super) content_type: ContentType,
}

impl<T: Serialize, E: Serialize> EncodedItems<T, E> {
    /// Appends an item; the end that is there instead if it can't be.
    fn append(&self, item: &T, frame: &mut Vec<u8>) -> Result<(), End> {
        let start = frame.len();
        frame.extend_from_slice(&[0; ITEM_HEAD_BYTES]);
        let appended = codec::append(self.content_type, item, frame).and_then(|()| {
            let bytes = frame.len().saturating_sub(start + ITEM_HEAD_BYTES);
            codec::check_size(bytes, REPLY_BYTES_MAX)
        });
        match appended {
            Ok(()) => {
                close_item(frame, start);
                Ok(())
            }
            Err(error) => {
                frame.truncate(start);
                let text = format!("an item can't be sent: {error}");
                Err(self.fault(&Fault::new(FaultCode::BadReply, text)))
            }
        }
    }

    /// Appends the next item, or tells the end.
    fn poll_next(&mut self, frame: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let next = ready!(Pin::new(&mut self.items).poll_next(cx));
        Poll::Ready(match next {
            Some(Ok(item)) => self.append(&item, frame),
            Some(Err(error)) => Err(self.ended(&error)),
            None => Err(End::Complete),
        })
    }

    fn ended(&self, error: &E) -> End {
        match codec::encode(self.content_type, error, REPLY_BYTES_MAX) {
            Ok(body) => End::Handler(body),
            Err(error) => {
                let text = format!("the error can't be sent: {error}");
                self.fault(&Fault::new(FaultCode::BadReply, text))
            }
        }
    }

    fn fault(&self, fault: &Fault) -> End {
        End::Fault(ReplyFrame::encode_fault(self.content_type, fault))
    }
}

impl<T: Serialize + Send, E: Serialize + Send> ItemSource for EncodedItems<T, E> {
    fn poll_fill(
        &mut self,
        frame: &mut Vec<u8>,
        bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Filled> {
        let full = frame.len() + bytes.min(STREAM_FRAME_BYTES);
        let mut count = 0;
        let mut end = None;
        while frame.len() < full && end.is_none() {
            let start = frame.len();
            let next = AssertUnwindSafe(|| self.poll_next(frame, cx));
            match catch_unwind(next) {
                Ok(Poll::Ready(Ok(()))) => count += 1,
                Ok(Poll::Ready(Err(how))) => end = Some(how),
                Ok(Poll::Pending) if count == 0 => return Poll::Pending,
                Ok(Poll::Pending) => break,
                Err(_) => {
                    frame.truncate(start);
                    let text = "the stream panicked";
                    end = Some(self.fault(&Fault::new(FaultCode::Panicked, text)));
                }
            }
        }
        Poll::Ready(Filled { count, end })
    }

    fn fault(&self, fault: &Fault) -> End {
        self.fault(fault)
    }
}
