//! The pace that the other side of a connection has to keep: the headers of a request come within a
//! few seconds of their first byte, and what is written is taken. While others wait for a connection
//! to end, the next request has to begin as soon, too.
//!
//! hyper's own timeout for headers also runs while a connection that is kept waits for its next
//! request, and so has to be long.

use super::ConnectionLimits;
use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, interval},
};

/// Looks at a connection are this far apart, unless it is given less time than that.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The progress of a connection. Clones are of the same one.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Mutex<Moments>>);

#[derive(Debug)]
struct Moments {
    /// Since when headers are awaited: from the beginning, or the first byte of the next request.
    headers_since: Option<Instant>,
    /// `true` while a request is answered. What comes then is its body.
    answering: bool,
    /// Since when nothing is asked and nothing is taken.
    idle_since: Option<Instant>,
    /// Since when the other side takes nothing of what is written.
    stuck_since: Option<Instant>,
}

impl Pace {
    /// That of a connection that was just opened.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Moments {
            headers_since: Some(Instant::now()),
            answering: false,
            idle_since: None,
            stuck_since: None,
        })))
    }

    /// The headers of a request are there. What is returned lives until it is answered.
    pub(super) fn begin_answer(&self) -> Answering {
        let mut moments = self.moments();
        moments.headers_since = None;
        moments.idle_since = None;
        moments.answering = true;
        Answering(self.clone())
    }

    /// Is ready when the other side is too slow, or idle while others are kept waiting.
    pub(super) async fn lost(&self, limits: &ConnectionLimits, is_full: impl Fn() -> bool) {
        let shortest = limits.header_read.min(limits.write) / 4;
        let mut look = interval(shortest.clamp(Duration::from_millis(10), LOOK_EVERY));
        loop {
            look.tick().await;
            let moments = self.moments();
            let is_over = |since: Option<Instant>, within| {
                since.is_some_and(|since| since.elapsed() >= within)
            };
            if is_over(moments.headers_since, limits.header_read)
                || is_over(moments.stuck_since, limits.write)
                || is_over(moments.idle_since, limits.header_read) && is_full()
            {
                return;
            }
        }
    }

    fn read(&self) {
        let mut moments = self.moments();
        if !moments.answering && moments.headers_since.is_none() {
            moments.headers_since = Some(Instant::now());
            moments.idle_since = None;
        }
    }

    fn wrote<T>(&self, written: &Poll<io::Result<T>>) {
        let mut moments = self.moments();
        match written {
            Poll::Ready(_) => {
                moments.stuck_since = None;
                // The end of an answer is written when it is no longer answered.
                if moments.idle_since.is_some() {
                    moments.idle_since = Some(Instant::now());
                }
            }
            Poll::Pending => {
                moments.stuck_since.get_or_insert_with(Instant::now);
            }
        }
    }

    fn moments(&self) -> MutexGuard<'_, Moments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered. Dropped, it is, and the next may come.
#[derive(Debug)]
pub(super) struct Answering(Pace);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut moments = self.0.moments();
        moments.answering = false;
        moments.idle_since = Some(Instant::now());
    }
}

/// The body of an answer, which may take its time: a request is answered when it is written.
#[derive(Debug)]
pub(super) struct AnswerBody {
    pub(super) body: axum::body::Body,
    pub(super) _answering: Answering,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose pace is noted.
#[derive(Debug)]
pub(super) struct Paced<S> {
    pub(super) stream: S,
    pub(super) pace: Pace,
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pace.read();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.pace.wrote(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.pace.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
