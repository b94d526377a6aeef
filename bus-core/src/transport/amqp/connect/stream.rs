//! The stream that lapin reads: the socket, with TLS or without, and the guard over its frames.

use super::frames::{BrokenFrame, FrameGuard, Looked, Notices, Then};
use futures_io::{AsyncRead, AsyncWrite};
use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A stream whose reader is given frames that lapin can read, and nothing else. Written bytes pass.
#[derive(Debug)]
pub(super) struct GuardedStream<S> {
    inner: S,
    guard: FrameGuard,
    /// The beginning of a frame that is not decided on.
    waiting: Vec<u8>,
    /// Bytes that `waiting` is short of.
    missing: usize,
    /// Bytes that the reader is given next, from `given` on.
    ready: Vec<u8>,
    given: usize,
    /// The fault after `ready`: nothing follows it.
    broken: Option<BrokenFrame>,
}

impl<S: AsyncRead + Unpin> GuardedStream<S> {
    pub(super) fn new(inner: S, notices: Notices) -> Self {
        Self {
            inner,
            guard: FrameGuard::new(notices),
            waiting: Vec::new(),
            missing: 0,
            ready: Vec::new(),
            given: 0,
            broken: None,
        }
    }

    /// Reads until `waiting` can be looked at again; `false` at the end of the stream.
    fn poll_missing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        while self.missing > 0 {
            let before = self.waiting.len();
            self.waiting.resize(before + self.missing, 0);
            let room = self.waiting.get_mut(before..).unwrap_or_default();
            let read = Pin::new(&mut self.inner).poll_read(cx, room);
            let count = match &read {
                Poll::Ready(Ok(count)) => *count,
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            };
            self.waiting.truncate(before + count);
            self.missing = self.missing.saturating_sub(count);
            if ready!(read)? == 0 {
                return Poll::Ready(Ok(false));
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Looks at bytes that can't be given to the reader where they are.
    fn set_aside(&mut self, mut bytes: Vec<u8>) {
        let mut from = 0;
        loop {
            let left = bytes.get_mut(from..).unwrap_or_default();
            let Looked { pass, then } = self.guard.look(left);
            let (passes, left) = left.split_at_checked(pass).unwrap_or_default();
            self.ready.extend_from_slice(passes);
            from += pass;
            match then {
                Then::Replace(count, with) => {
                    self.ready.extend(with);
                    from += count;
                }
                then => return self.stop_at(left, then),
            }
        }
    }

    /// Takes note of what ends the bytes that pass.
    fn stop_at(&mut self, left: &[u8], then: Then) {
        match then {
            Then::Nothing => {}
            Then::Wait(missing) => {
                self.waiting = left.to_vec();
                self.missing = missing;
            }
            Then::Replace(count, with) => {
                self.ready.extend(with);
                self.set_aside(left.get(count..).unwrap_or_default().to_vec());
            }
            Then::Broken(why) => self.broken = Some(why),
        }
    }

    /// Gives the reader what is ready for it.
    fn give(&mut self, to: &mut [u8]) -> usize {
        let ready = self.ready.get(self.given..).unwrap_or_default();
        let count = ready.len().min(to.len());
        if let (Some(to), Some(ready)) = (to.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(ready);
        }
        self.given += count;
        if self.given == self.ready.len() {
            // Its memory is kept only as long as it is needed: few connections ever do.
            self.ready = Vec::new();
            self.given = 0;
        }
        count
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for GuardedStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if to.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            if !this.ready.is_empty() {
                return Poll::Ready(Ok(this.give(to)));
            }
            if let Some(why) = this.broken {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            if this.waiting.is_empty() {
                let count = ready!(Pin::new(&mut this.inner).poll_read(cx, to))?;
                let bytes = to.get_mut(..count).unwrap_or_default();
                if bytes.is_empty() {
                    return Poll::Ready(Ok(0));
                }
                let Looked { pass, then } = this.guard.look(bytes);
                this.stop_at(bytes.get(pass..).unwrap_or_default(), then);
                if pass > 0 {
                    return Poll::Ready(Ok(pass));
                }
            } else if ready!(this.poll_missing(cx))? {
                let waiting = mem::take(&mut this.waiting);
                this.set_aside(waiting);
            } else {
                return Poll::Ready(Ok(0));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GuardedStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// A socket whose bytes arrive in pieces, with nothing to read between some of them.
    struct Arriving(VecDeque<Option<Vec<u8>>>);

    impl AsyncRead for Arriving {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            to: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Some(next) = self.0.pop_front() else {
                return Poll::Ready(Ok(0));
            };
            let Some(mut piece) = next else {
                return Poll::Pending;
            };
            let rest = piece.split_off(piece.len().min(to.len()));
            to[..piece.len()].copy_from_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(Some(rest));
            }
            Poll::Ready(Ok(piece.len()))
        }
    }

    /// All that a reader with buffers of these sizes is given, and the fault at the end.
    fn read(arriving: Arriving, buffers: &[usize]) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut stream = GuardedStream::new(arriving, Notices::new("mark"));
        let waker = noop_waker();
        let mut cx = Context::from_waker(&waker);
        let mut given = Vec::new();
        for size in buffers.iter().cycle() {
            let mut buffer = vec![0; *size];
            match Pin::new(&mut stream).poll_read(&mut cx, &mut buffer) {
                Poll::Ready(Ok(0)) => return (given, None),
                Poll::Ready(Ok(count)) => given.extend(&buffer[..count]),
                Poll::Ready(Err(error)) => return (given, Some(error.kind())),
                Poll::Pending => {}
            }
        }
        unreachable!("the stream ends");
    }

    /// Frames of all kinds, whole, replaced and mended, and what each becomes.
    fn frames() -> (Vec<u8>, Vec<u8>) {
        let header = b"\x02\0\x01\0\0\0\x11\0\x3c\0\0\0\0\0\0\0\0\0\x05\0\x08\x02ok\xce";
        let body = b"\x03\0\x01\0\0\0\x05hello\xce";
        let bad = b"\x02\0\x01\0\0\0\x11\0\x3c\0\0\0\0\0\0\0\0\0\x05\0\x08\x02\xffk\xce";
        let replaced = [
            &b"\x02\0\x01\0\0\0\x27\0\x3c\0\0\0\0\0\0\0\0\0\x05\0\x04\x18"[..],
            b"mark app_id is not UTF-8\xce",
        ];
        let blocked = b"\x01\0\0\0\0\0\x07\0\x0a\0\x3c\x02\xe9y\xce";
        let mended = b"\x01\0\0\0\0\0\x07\0\x0a\0\x3c\x02?y\xce";
        let replaced = replaced.concat();
        let replaced = replaced.as_slice();
        let (header, body, bad) = (&header[..], &body[..], &bad[..]);
        let (blocked, mended) = (&blocked[..], &mended[..]);
        (
            [header, body, bad, body, bad, bad, blocked, header, body].concat(),
            [
                header, body, replaced, body, replaced, replaced, mended, header, body,
            ]
            .concat(),
        )
    }

    proptest! {
        #[test]
        fn a_reader_gets_the_same_frames_however_they_arrive(
            pieces in prop::collection::vec((1..60_usize, any::<bool>()), 1..40),
            buffers in prop::collection::vec(1..80_usize, 1..6),
            cut in 0..3_usize,
        ) {
            let (sent, expected) = frames();
            let (mut left, mut arriving) = (sent.as_slice(), VecDeque::new());
            for (size, waits) in pieces.iter().cycle() {
                let (piece, rest) = left.split_at((*size).min(left.len()));
                arriving.push_back(Some(piece.to_vec()));
                arriving.extend(waits.then_some(None));
                left = rest;
                if left.is_empty() {
                    break;
                }
            }
            // The end within a frame, and a frame that is none.
            let end = [&b""[..], b"\x02\0\x01\0\0", b"\x09\0\0\0\0\0\0\xce"][cut];
            if !end.is_empty() {
                arriving.push_back(Some(end.to_vec()));
            }
            let (given, fault) = read(Arriving(arriving), &buffers);
            prop_assert_eq!(given, expected);
            prop_assert_eq!(fault, (cut == 2).then_some(io::ErrorKind::InvalidData));
        }
    }
}
