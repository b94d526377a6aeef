//! What a broker sends, looked at frame by frame before lapin's parser sees it.
//!
//! A publisher decides what is in a content header, and RabbitMQ passes on much that lapin can't
//! read: nested headers overflow the stack of its thread, which ends the process; a text that is
//! not UTF-8 ends the connection, and the same message ends the next one. So each content header is
//! read here first, in a loop that needs no stack. One that lapin can't read is replaced by one
//! that it can, of the same class and for the same body, which says why and carries all that was
//! readable; the delivery goes on to its consumer, as malformed. Texts in other frames are mended.
//!
//! What passes is not copied, and not changed by a byte.

mod closes;
mod fields;
mod header;
mod marker;
mod method;
#[cfg(test)]
mod tests;

pub(crate) use closes::{ChannelClose, ChannelCloses};
pub(crate) use marker::Marker;

use self::{marker::Notes, method::Method};
use std::{collections::BTreeMap, mem};

/// Bytes of the largest frame this end takes, ends included: RabbitMQ's own default. lapin holds 32
/// of them, and without a limit of its own would ask for 128 GiB where the broker has none.
pub(crate) const FRAME_BYTES_MAX: u32 = 128 * 1024;

/// Bytes of the smallest limit that AMQP knows.
const FRAME_BYTES_MAX_MIN: u32 = 4096;

/// Bytes of a content header that are kept until all of it is there. One that its publisher wrote
/// as large as the broker allows grows by what RabbitMQ adds when it moves it to another queue.
const HEADER_BYTES_MAX: usize = 2 * 128 * 1024;

/// Bytes before a frame's payload: type, channel, size.
const HEAD: usize = 7;

/// The byte after a frame's payload.
const END: u8 = 0xce;

const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// The greeting of a broker that speaks another version of AMQP.
const GREETING: &[u8] = b"AMQP\0";
const GREETING_BYTES: usize = 8;

/// The bytes are no AMQP 0-9-1 that lapin could read, and not for a message's sake: there is
/// nothing to go on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenFrame {
    #[error("the broker sent a frame of the unknown type {0}")]
    Type(u8),
    #[error("the broker sent a frame of {0} bytes, more than was agreed on")]
    TooLarge(usize),
    #[error("the broker sent a frame that does not end where it should")]
    End,
    #[error("the broker sent a method that can't be read")]
    Method,
    #[error("the broker sent a content header without the size of its body")]
    Header,
}

/// The ways in which the guard speaks to those who work on the connection.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    pub(crate) marker: Marker,
    pub(crate) closes: ChannelCloses,
}

/// Looks at all bytes of one connection, in order.
#[derive(Debug)]
pub(crate) struct FrameGuard {
    notices: Notices,
    frame_max: usize,
    /// Nothing but a greeting can come before the first frame.
    greeted: bool,
    /// The rest of the frame that was looked at last.
    rest: Rest,
    /// The channels whose next content header is to be replaced, with the reason.
    mended: BTreeMap<u16, Notes>,
}

/// The bytes to come of a frame that was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// So many pass, of which the last ends the frame.
    Passes(usize),
    /// So many don't.
    Dropped(usize),
}

/// The bytes at the front of a read that pass as they are, and what comes after them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) pass: usize,
    pub(crate) then: Then,
}

/// The bytes after those that pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// There are none.
    Nothing,
    /// They are the beginning of a frame that can't be decided on before this many more are there.
    Wait(usize),
    /// This many of them are to be replaced.
    Replace(usize, Vec<u8>),
    /// Nothing that comes can be read.
    Broken(BrokenFrame),
}

impl Notices {
    /// Those of a new connection; `random` is text of 40 bytes at most that nobody can know.
    pub(crate) fn new(random: &str) -> Self {
        Self {
            marker: Marker::new(random),
            closes: ChannelCloses::default(),
        }
    }
}

/// The decision on the frame at the front.
enum Decision {
    /// So many bytes pass.
    Pass(usize),
    Then(Then),
}

impl FrameGuard {
    pub(crate) fn new(notices: Notices) -> Self {
        Self {
            notices,
            frame_max: usize_of(FRAME_BYTES_MAX),
            greeted: false,
            rest: Rest::Passes(0),
            mended: BTreeMap::new(),
        }
    }

    /// Looks at the bytes that follow those that passed, were replaced or were to wait for more.
    /// Those that wait must be at the front again.
    pub(crate) fn look(&mut self, bytes: &mut [u8]) -> Looked {
        let mut pass = 0;
        while let Some(left) = bytes.get_mut(pass..).filter(|left| !left.is_empty()) {
            match self.decide(left) {
                Decision::Pass(count) => pass += count,
                Decision::Then(then) => return Looked { pass, then },
            }
        }
        Looked {
            pass,
            then: Then::Nothing,
        }
    }

    fn decide(&mut self, left: &mut [u8]) -> Decision {
        match self.rest {
            Rest::Passes(0) | Rest::Dropped(0) => self.decide_on_frame(left),
            Rest::Passes(count) => {
                if count <= left.len() && left.get(count - 1) != Some(&END) {
                    return Decision::Then(Then::Broken(BrokenFrame::End));
                }
                let now = count.min(left.len());
                self.rest = Rest::Passes(count - now);
                Decision::Pass(now)
            }
            Rest::Dropped(count) => {
                let now = count.min(left.len());
                self.rest = Rest::Dropped(count - now);
                Decision::Then(Then::Replace(now, Vec::new()))
            }
        }
    }

    fn decide_on_frame(&mut self, left: &mut [u8]) -> Decision {
        let then = Decision::Then;
        if !mem::replace(&mut self.greeted, true) && left.first() == GREETING.first() {
            return self.decide_on_greeting(left);
        }
        let Some((kind, channel, size)) = head(left) else {
            return then(Then::Wait(HEAD - left.len()));
        };
        let total = HEAD.saturating_add(size).saturating_add(1);
        match kind {
            BODY | HEARTBEAT if total <= self.frame_max => {
                // All but the head is the rest.
                self.rest = Rest::Passes(size + 1);
                Decision::Pass(HEAD)
            }
            METHOD if total <= self.frame_max => match left.get_mut(..total) {
                Some(frame) => self.decide_on_method(channel, frame),
                None => then(Then::Wait(total - left.len())),
            },
            CONTENT_HEADER => match left.get(..total.min(HEADER_BYTES_MAX)) {
                Some(frame) => self.decide_on_header(channel, frame, total),
                None => then(Then::Wait(total.min(HEADER_BYTES_MAX) - left.len())),
            },
            BODY | HEARTBEAT | METHOD => then(Then::Broken(BrokenFrame::TooLarge(total))),
            _ => then(Then::Broken(BrokenFrame::Type(kind))),
        }
    }

    fn decide_on_greeting(&mut self, left: &[u8]) -> Decision {
        let known = left.get(..GREETING.len()).unwrap_or(left);
        if !GREETING.starts_with(known) {
            return Decision::Then(Then::Broken(BrokenFrame::Type(b'A')));
        }
        if left.len() < GREETING_BYTES {
            self.greeted = false;
            return Decision::Then(Then::Wait(GREETING_BYTES - left.len()));
        }
        Decision::Pass(GREETING_BYTES)
    }

    fn decide_on_method(&mut self, channel: u16, frame: &mut [u8]) -> Decision {
        let broken = |why| Decision::Then(Then::Broken(why));
        let total = frame.len();
        let Some((payload, [END])) = frame
            .get_mut(HEAD..)
            .and_then(|rest| rest.split_last_chunk_mut::<1>())
        else {
            return broken(BrokenFrame::End);
        };
        if !self.mended.is_empty() {
            // The content header that it waited for did not come.
            self.mended.remove(&channel);
        }
        match method::mend(payload) {
            Ok(Method::Tune { frame_max }) => {
                let frame_max = if frame_max == 0 {
                    FRAME_BYTES_MAX
                } else {
                    frame_max
                };
                let frame_max = frame_max.clamp(FRAME_BYTES_MAX_MIN, FRAME_BYTES_MAX);
                self.frame_max = usize_of(frame_max);
            }
            Ok(Method::Content { mended: true }) => {
                let reason = Notes::of("the exchange or routing key is not UTF-8");
                self.mended.insert(channel, reason);
            }
            Ok(Method::ChannelOpened) => self.notices.closes.forget(channel),
            Ok(Method::ChannelClosed(close)) => self.notices.closes.note(channel, close),
            Ok(Method::Content { mended: false } | Method::Other) => {}
            Err(_) => return broken(BrokenFrame::Method),
        }
        Decision::Pass(total)
    }

    /// Decides on a content header of `total` bytes, of which there are as many as are kept at
    /// most.
    fn decide_on_header(&mut self, channel: u16, frame: &[u8], total: usize) -> Decision {
        let broken = |why| Decision::Then(Then::Broken(why));
        let payload = frame.get(HEAD..).unwrap_or_default();
        let is_whole = frame.len() == total;
        let payload = match payload.split_last() {
            Some((&END, payload)) if is_whole => payload,
            _ if is_whole => return broken(BrokenFrame::End),
            _ => payload,
        };
        let mut notes = match self.mended.is_empty() {
            true => Notes::default(),
            false => self.mended.remove(&channel).unwrap_or_default(),
        };
        if is_whole && total <= self.frame_max && notes.is_empty() && header::is_readable(payload) {
            return Decision::Pass(total);
        }
        if !is_whole {
            notes.add(format_args!(
                "it has {total} bytes of properties and headers"
            ));
            self.rest = Rest::Dropped(total - frame.len());
        }
        let payload_max = self.frame_max - HEAD - 1;
        let header = header::replacement(payload, &self.notices.marker, notes, payload_max);
        match header.and_then(|payload| encode(channel, &payload)) {
            Some(replacement) => Decision::Then(Then::Replace(frame.len(), replacement)),
            None => broken(BrokenFrame::Header),
        }
    }
}

/// Type, channel and size of the payload of the frame at the front.
fn head(bytes: &[u8]) -> Option<(u8, u16, usize)> {
    let ([kind, c0, c1, s0, s1, s2, s3], _) = bytes.split_first_chunk::<HEAD>()?;
    let size = u32::from_be_bytes([*s0, *s1, *s2, *s3]);
    Some((*kind, u16::from_be_bytes([*c0, *c1]), usize_of(size)))
}

/// The frame of a content header.
fn encode(channel: u16, payload: &[u8]) -> Option<Vec<u8>> {
    let mut frame = Vec::with_capacity(HEAD + payload.len() + 1);
    frame.push(CONTENT_HEADER);
    frame.extend_from_slice(&channel.to_be_bytes());
    frame.extend_from_slice(&u32::try_from(payload.len()).ok()?.to_be_bytes());
    frame.extend_from_slice(payload);
    frame.push(END);
    Some(frame)
}

fn usize_of(size: u32) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}
