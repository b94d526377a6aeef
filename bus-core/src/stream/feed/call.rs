//! The call that sends a stream.

use super::feeding::Feeding;
use crate::{
    bus::BusInner,
    client::{Call, Verb, answered::answered, request::CallInfo},
    codec::ContentType,
    contract::{Never, Outcome, Priority},
    error::{CallError, FailureKind},
    limits::{STREAM_WINDOW_BYTES, STREAMS_MAX},
    schedule::When,
    signature::FrameSignatures,
    stream::{Items, items::EncodedItems, window_of},
};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

type Begin = Box<dyn FnOnce(&Feeder) -> Option<Feeding> + Send>;

/// What a stream is fed to.
struct Feeder {
    bus: Arc<BusInner>,
    call: CallInfo,
    content_type: ContentType,
    window: u32,
    signatures: FrameSignatures,
}

/// A call that has not been made, of a method one of whose arguments is a stream: set options, then
/// await it for the reply.
///
/// Its client's method takes any [`Stream`](futures_util::Stream) of the items:
///
/// ```
/// use futures_util::stream;
/// use replybus::{Bus, CallFailure, queue_handler, stream::Items};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
/// #[error("the entries broke off")]
/// pub struct BrokenOff;
///
/// #[queue_handler("ledger.requests", timeout = "1m")]
/// pub trait Ledger {
///     /// Adds entries, and says how many there were and what they come to.
///     async fn import(&self, account: u32, #[stream] entries: Items<i64>)
///         -> Result<(u64, i64), BrokenOff>;
/// }
///
/// struct Book;
///
/// impl Ledger for Book {
///     async fn import(&self, _: u32, mut entries: Items<i64>) -> Result<(u64, i64), BrokenOff> {
///         let (mut count, mut sum) = (0, 0);
///         while let Some(entry) = entries.next().await {
///             sum += entry.map_err(|_: CallFailure| BrokenOff)?;
///             count += 1;
///         }
///         Ok((count, sum))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = Bus::in_memory();
/// let serving = bus.serve(LedgerServer::new(Book)).await?;
/// let ledger = LedgerClient::new(&bus);
/// let entries = stream::iter(1..=1_000);
/// assert_eq!(ledger.import(7, entries).await?, (1_000, 500_500));
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
///
/// The stream is taken from once a handler is there for it, and as fast as that reads: a
/// [window](Self::window_bytes) ahead at most. A handler that returns, or drops the stream, before
/// the end ends it here as well. The call's time is that of all of it.
///
/// A stream can be sent once. If the worker dies in the middle the call fails as
/// [`Interrupted`](FailureKind::Interrupted), which says that it may have been executed, and no other
/// worker begins it anew on half a stream: a handler is called only when its caller has begun to send
/// it the stream. Nor does a [`RetryLayer`](crate::client::RetryLayer) send it twice. Who has the
/// items again calls again.
///
/// A command's [idempotency key](Self::idempotency_key) stands for its other arguments, not for the
/// items: called again with it after it has ended, it is answered, and nothing is read of the stream.
#[must_use = "a call does nothing until it is awaited"]
pub struct FeedCall<R> {
    call: Call<R>,
    begin: Begin,
    window: u32,
}

impl<R: Outcome> FeedCall<R> {
    pub(crate) fn new<T>(call: Call<R>, items: impl Stream<Item = T> + Send + 'static) -> Self
    where
        T: Serialize + Send + 'static,
    {
        let items = Items::<T, Never>::new(items.map(Ok));
        Self {
            call,
            begin: Box::new(|feeder| feeder.begin(items)),
            window: STREAM_WINDOW_BYTES,
        }
    }

    /// Sets the time given to the call, stream included; see [`Call::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call = self.call.timeout(timeout);
        self
    }

    /// Sets the moment by which it is answered; see [`Call::deadline`].
    pub fn deadline(mut self, deadline: impl Into<Instant>) -> Self {
        self.call = self.call.deadline(deadline);
        self
    }

    /// Has the call wait for its service; see [`Call::wait_for_service`].
    pub fn wait_for_service(mut self) -> Self {
        self.call = self.call.wait_for_service();
        self
    }

    /// Sets how much it matters beside other calls; see [`Call::priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.call = self.call.priority(priority);
        self
    }

    /// Names the effect of this call; see [`Call::idempotency_key`]. The items are no part of what the
    /// key stands for.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.call = self.call.idempotency_key(key);
        self
    }

    /// Attaches metadata; see [`Call::metadata`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.call = self.call.metadata(name, value);
        self
    }

    /// Sets the encoded bytes of items that may be taken from the stream before the handler reads
    /// them, at most one item more: from 1, which is an item at a time, to
    /// [`STREAM_WINDOW_BYTES_MAX`](crate::limits::STREAM_WINDOW_BYTES_MAX); what is beyond counts as
    /// that. [`STREAM_WINDOW_BYTES`] unless set. Both ends keep as much.
    pub fn window_bytes(mut self, bytes: u32) -> Self {
        self.window = window_of(bytes);
        self
    }

    async fn make(self) -> Result<R::Ok, CallError<R::Err>> {
        let mut tally = self.call.tally();
        let answered = self.ask().await;
        tally.count_answered(&answered);
        answered
    }

    async fn ask(self) -> Result<R::Ok, CallError<R::Err>> {
        let (client, mut request) = self.call.prepare(Verb::Call, When::Now)?;
        request.window = self.window;
        let info = request.info();
        let feeder = Feeder {
            bus: client.bus().inner(),
            call: info.clone(),
            content_type: request.content_type,
            window: self.window,
            signatures: client.bus().inner().signatures.of_stream(&request),
        };
        let Some(mut feeding) = (self.begin)(&feeder) else {
            let failure = info.failure(FailureKind::Overloaded);
            let text = format!("{STREAMS_MAX} streams are being sent");
            return Err(failure.with_cause(text).into());
        };
        let answered = tokio::select! {
            biased;
            // Dropped, the call is cancelled. Before an answer: what is wrong here says more than
            // what a handler makes of it.
            reason = feeding.failed() => {
                Err(info.failure(FailureKind::Interrupted).with_cause(reason).into())
            }
            answered = answered::<R>(client, request) => answered,
        };
        answered.map_err(|error| match error {
            // Whichever run says so: a handler was called, or may have been.
            CallError::Bus(failure) => failure.of_one_copy(feeding.has_begun()).into(),
            error @ CallError::Handler(_) => error,
        })
    }
}

impl Feeder {
    fn begin<T: Serialize + Send + 'static>(&self, items: Items<T, Never>) -> Option<Feeding> {
        let items = EncodedItems {
            items,
            content_type: self.content_type,
        };
        let (bus, call) = (Arc::clone(&self.bus), self.call.clone());
        Feeding::begin(bus, call, items, self.window, self.signatures.clone())
    }
}

impl<R: Outcome> IntoFuture for FeedCall<R> {
    type Output = Result<R::Ok, CallError<R::Err>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Makes the call, sends its stream, and waits for its reply.
    ///
    /// Dropped, it cancels the call, as [that of a `Call`](Call::into_future) does, and ends the
    /// stream: a handler that reads it gets a failure as its last item.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.make())
    }
}

impl<R> fmt::Debug for FeedCall<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedCall")
            .field("call", &self.call)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
