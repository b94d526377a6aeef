//! The call that opens a stream.

use super::{Opened, StreamOutcome, Streaming, keeper::Towards, streaming::Slot, window_of};
use crate::{
    client::{Call, Verb, answered::answered},
    contract::{Never, Priority},
    error::CallError,
    limits::STREAM_WINDOW_BYTES,
    schedule::When,
};
use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};
use tokio::time::Instant;

type Opens<R> = Result<Opened, <R as StreamOutcome>::Err>;
type Read<R> = Streaming<<R as StreamOutcome>::Item, <R as StreamOutcome>::Err>;

/// A call of a `#[stream]` method that has not been made: set options, then await it for the
/// [`Streaming`] of its items.
///
/// A [`RetryLayer`](crate::client::RetryLayer) makes the opening again, and may ask for it twice: of the
/// copies one is read, and the others end by themselves within half a minute.
///
/// Its time is that of the opening: until the handler has returned its stream, or its error. What
/// the stream then takes is not bounded by it.
#[must_use = "a call does nothing until it is awaited"]
pub struct StreamCall<R> {
    /// Its error is `R`'s: of what is no outcome of a stream the compiler says so once, where it is
    /// served.
    call: Call<Result<Opened, Never>>,
    window: u32,
    outcome: PhantomData<fn() -> R>,
}

impl<R> StreamCall<R> {
    pub(crate) fn new(call: Call<Result<Opened, Never>>) -> Self {
        Self {
            call,
            window: STREAM_WINDOW_BYTES,
            outcome: PhantomData,
        }
    }

    /// Sets the time given to the opening; see [`Call::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call = self.call.timeout(timeout);
        self
    }

    /// Sets the moment by which it is open; see [`Call::deadline`].
    pub fn deadline(mut self, deadline: impl Into<Instant>) -> Self {
        self.call = self.call.deadline(deadline);
        self
    }

    /// Attaches metadata; see [`Call::metadata`].
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.call = self.call.metadata(name, value);
        self
    }

    /// Has the opening wait for its service; see [`Call::wait_for_service`].
    pub fn wait_for_service(mut self) -> Self {
        self.call = self.call.wait_for_service();
        self
    }

    /// Sets how much the opening matters beside other calls; see [`Call::priority`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.call = self.call.priority(priority);
        self
    }

    /// Sets the encoded bytes of items that the producer may be ahead of the reader, at most one
    /// item more: from 1, which is an item at a time, to [`STREAM_WINDOW_BYTES_MAX`](crate::limits::STREAM_WINDOW_BYTES_MAX);
    /// what is beyond counts as that. [`STREAM_WINDOW_BYTES`] unless set. Both ends keep as much.
    pub fn window_bytes(mut self, bytes: u32) -> Self {
        self.window = window_of(bytes);
        self
    }
}

impl<R: StreamOutcome> StreamCall<R> {
    async fn open(self) -> Result<Read<R>, CallError<R::Err>> {
        let mut tally = self.call.tally();
        let opened = self.ask().await;
        tally.count_answered(&opened);
        opened
    }

    async fn ask(self) -> Result<Read<R>, CallError<R::Err>> {
        let (client, mut request) = self.call.prepare(Verb::Call, When::Now)?;
        request.window = self.window;
        let bus = client.bus().inner();
        let signatures = bus.signatures.of_stream(&request);
        let slot = Slot::take(bus, request.id(), request.info(), self.window, signatures)?;
        let (content_type, copies) = (request.content_type, request.copies.clone());
        let Opened { queue, producer } = answered::<Opens<R>>(client, request).await?;
        copies.opened();
        Ok(slot.open(content_type, producer, Towards::Service(queue.into())))
    }
}

impl<R: StreamOutcome> IntoFuture for StreamCall<R> {
    type Output = Result<Read<R>, CallError<R::Err>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Makes the call and waits until its stream is open.
    ///
    /// Dropped, it cancels the call, as [that of a `Call`](Call::into_future) does.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.open())
    }
}

impl<R> fmt::Debug for StreamCall<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamCall")
            .field("call", &self.call)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
