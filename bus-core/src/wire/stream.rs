//! What travels of a stream: its frames, in the reader's inbox, and the credit that the reader gives
//! its producer.

use crate::{
    call_id::CallId,
    message::{Message, Properties, Text},
};
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The first byte of a frame. No reply begins with it: MessagePack has no value for it, and JSON
/// begins with `{`.
pub(crate) const MARK: u8 = 0xc1;

/// Bytes before the body of a frame.
pub(crate) const HEAD_BYTES: usize = 1 + 1 + 4 + 8;

/// Bytes before an item in the body of a frame: its length.
pub(crate) const ITEM_HEAD_BYTES: usize = 4;

const ITEMS: u8 = 0;
const END: u8 = 1;
const HANDLER: u8 = 2;
const FAULT: u8 = 3;
// 4 is what a reader says; see `feed`.
const WAIT: u8 = 5;
/// Of a frame in its signature. 7 is what a reader says in one; see `signed_frame`.
#[cfg(feature = "signed")]
pub(super) const SIGNED: u8 = 6;

/// A frame of a stream, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamFrame {
    /// Which producer it is of: two copies of a call have two.
    pub(crate) producer: u32,
    /// The number of its first item, counted from 0. An end has a number as well.
    pub(crate) first: u64,
    pub(crate) content: Content,
}

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// So many items, each behind its length. None is a sign of life.
    Items { count: u64, items: Bytes },
    /// There are no more.
    End(End),
    /// Of a stream of arguments: another has it, and for as long as that may be so this one waits.
    Wait,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It is complete.
    Complete,
    /// With the handler's own error, encoded.
    Handler(Bytes),
    /// With a fault: the frame of a reply.
    Fault(Bytes),
}

impl End {
    fn kind(&self) -> u8 {
        match self {
            Self::Complete => END,
            Self::Handler(_) => HANDLER,
            Self::Fault(_) => FAULT,
        }
    }
}

/// A frame of items that are still to come.
pub(crate) fn begin_items(producer: u32, first: u64, frame: &mut Vec<u8>) {
    head(ITEMS, producer, first, frame);
}

/// The frame of an end.
pub(crate) fn end(producer: u32, number: u64, end: &End) -> Bytes {
    let mut frame = Vec::with_capacity(HEAD_BYTES);
    head(end.kind(), producer, number, &mut frame);
    match end {
        End::Complete => {}
        End::Handler(body) | End::Fault(body) => frame.extend_from_slice(body),
    }
    frame.into()
}

/// The frame for one who does not have the stream, yet.
pub(crate) fn wait(producer: u32) -> Bytes {
    let mut frame = Vec::with_capacity(HEAD_BYTES);
    head(WAIT, producer, 0, &mut frame);
    frame.into()
}

fn head(kind: u8, producer: u32, first: u64, frame: &mut Vec<u8>) {
    frame.put_u8(MARK);
    frame.put_u8(kind);
    frame.put_u32(producer);
    frame.put_u64(first);
}

/// Writes the length of the item that was appended to `frame` at `start`, behind the room for it.
pub(crate) fn close_item(frame: &mut [u8], start: usize) {
    let bytes = frame.len().saturating_sub(start + ITEM_HEAD_BYTES);
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    if let Some(room) = frame.get_mut(start..start + ITEM_HEAD_BYTES) {
        room.copy_from_slice(&bytes.to_be_bytes());
    }
}

/// The first of some items, which is taken off them. `None` if there is none, or it is cut short.
pub(crate) fn split_item(items: &mut Bytes) -> Option<Bytes> {
    let bytes = items.first_chunk().copied().map(u32::from_be_bytes)?;
    let end = usize::try_from(bytes).ok()?.checked_add(ITEM_HEAD_BYTES)?;
    if items.len() < end {
        return None;
    }
    let mut item = items.split_to(end);
    item.advance(ITEM_HEAD_BYTES);
    Some(item)
}

impl StreamFrame {
    /// Reads a frame, which may be anything; `None` if it is no frame of a stream.
    pub(crate) fn read(frame: &Bytes) -> Option<Self> {
        let mut body = frame.clone();
        if body.len() < HEAD_BYTES || body.get_u8() != MARK {
            return None;
        }
        let (kind, producer, first) = (body.get_u8(), body.get_u32(), body.get_u64());
        let content = match kind {
            ITEMS => Content::Items {
                count: count(&body)?,
                items: body,
            },
            END => Content::End(End::Complete),
            HANDLER => Content::End(End::Handler(body)),
            FAULT => Content::End(End::Fault(body)),
            WAIT => Content::Wait,
            _ => return None,
        };
        Some(Self {
            producer,
            first,
            content,
        })
    }
}

/// The number of items; `None` if they do not come out even.
fn count(items: &Bytes) -> Option<u64> {
    let (mut rest, mut count) = (&items[..], 0);
    while !rest.is_empty() {
        let (bytes, after) = rest.split_first_chunk()?;
        let bytes = usize::try_from(u32::from_be_bytes(*bytes)).ok()?;
        rest = after.get(bytes..)?;
        count += 1;
    }
    Some(count)
}

/// The type of a message of credit.
pub(crate) const CREDIT: &str = "stream";

/// Bytes of one credit: the call's id, the producer, what was taken, flags.
const CREDIT_BYTES: usize = 16 + 4 + 8 + 1;

/// Credits that are read of one message.
const CREDITS_READ_MAX: usize = 1_000;

pub(super) const AGAIN: u8 = 1;
pub(super) const GONE: u8 = 2;

/// What a reader says to the producer of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Credit {
    pub(crate) id: CallId,
    pub(crate) producer: u32,
    /// All below this number was taken, and need not be kept.
    pub(crate) taken: u64,
    /// Something is missing: all from `taken` on is to be sent again.
    pub(crate) again: bool,
    /// Nobody reads any more.
    pub(crate) gone: bool,
}

impl Credit {
    /// The message that says so to the control queue of the producer's service.
    pub(crate) fn message(&self, queue: &Text) -> Message {
        let mut body = BytesMut::with_capacity(CREDIT_BYTES);
        body.put_slice(self.id.as_bytes());
        body.put_u32(self.producer);
        body.put_u64(self.taken);
        let again = if self.again { AGAIN } else { 0 };
        let gone = if self.gone { GONE } else { 0 };
        body.put_u8(again | gone);
        Message {
            exchange: Text::default(),
            routing_key: queue.clone(),
            properties: Properties {
                kind: Some(Text::from_static(CREDIT)),
                ..Properties::default()
            },
            body: body.freeze(),
        }
    }

    /// The credits in a message; none if it is another, or can't be read.
    pub(crate) fn read(message: &Message) -> impl Iterator<Item = Self> {
        let is_one = message.properties.kind.as_deref() == Some(CREDIT)
            && message.body.len().is_multiple_of(CREDIT_BYTES)
            && message.body.len() <= CREDITS_READ_MAX * CREDIT_BYTES;
        let body = if is_one { &message.body[..] } else { &[] };
        body.chunks_exact(CREDIT_BYTES).map(|mut entry| {
            let mut id = [0; 16];
            entry.copy_to_slice(&mut id);
            let (producer, taken, flags) = (entry.get_u32(), entry.get_u64(), entry.get_u8());
            Self {
                id: CallId::from_bytes(id),
                producer,
                taken,
                again: flags & AGAIN != 0,
                gone: flags & GONE != 0,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn items(producer: u32, first: u64, items: &[Vec<u8>]) -> Bytes {
        let mut frame = Vec::new();
        begin_items(producer, first, &mut frame);
        for item in items {
            let start = frame.len();
            frame.extend_from_slice(&[0; ITEM_HEAD_BYTES]);
            frame.extend_from_slice(item);
            close_item(&mut frame, start);
        }
        frame.into()
    }

    #[test]
    fn golden_bytes() {
        let frame = items(0x0102_0304, 5, &[b"a".to_vec(), vec![]]);
        assert_eq!(
            frame,
            &b"\xc1\x00\x01\x02\x03\x04\0\0\0\0\0\0\0\x05\0\0\0\x01a\0\0\0\0"[..]
        );
        assert_eq!(
            end(0x0102_0304, 7, &End::Handler(Bytes::from_static(b"\xa2no"))),
            &b"\xc1\x02\x01\x02\x03\x04\0\0\0\0\0\0\0\x07\xa2no"[..]
        );
        let credit = Credit {
            id: CallId::from_bytes([0x11; 16]),
            producer: 0x0102_0304,
            taken: 5,
            again: true,
            gone: true,
        };
        let message = credit.message(&"control".into());
        let mut body = vec![0x11; 16];
        body.extend(*b"\x01\x02\x03\x04\0\0\0\0\0\0\0\x05\x03");
        assert_eq!(message.body, body);
        assert_eq!(message.properties.kind.as_deref(), Some("stream"));
        assert!(Credit::read(&message).eq([credit]));
    }

    #[test]
    fn ends_are_read_as_they_were_written() {
        let body = Bytes::from_static(b"body");
        for how in [
            End::Complete,
            End::Handler(body.clone()),
            End::Fault(body.clone()),
        ] {
            let read = StreamFrame::read(&end(1, 2, &how)).unwrap();
            assert_eq!((read.producer, read.first), (1, 2));
            assert_eq!(read.content, Content::End(how));
        }
    }

    #[test]
    fn what_is_no_credit_says_nothing() {
        let credit = Credit {
            id: CallId::new(),
            producer: 1,
            taken: 2,
            again: false,
            gone: false,
        };
        let message = credit.message(&"control".into());
        let mut cut = message.clone();
        cut.body.truncate(CREDIT_BYTES - 1);
        let mut other = message.clone();
        other.properties.kind = Some("cancel".into());
        let mut huge = message;
        huge.body = vec![0; (CREDITS_READ_MAX + 1) * CREDIT_BYTES].into();
        for message in [cut, other, huge, Message::default()] {
            assert_eq!(Credit::read(&message).count(), 0);
        }
    }

    proptest! {
        #[test]
        fn items_are_read_as_they_were_written(
            producer: u32, first: u64, written in vec(vec(any::<u8>(), 0..20), 0..20),
        ) {
            let frame = StreamFrame::read(&items(producer, first, &written)).unwrap();
            prop_assert_eq!((frame.producer, frame.first), (producer, first));
            let Content::Items { count, mut items } = frame.content else {
                panic!("items were written");
            };
            prop_assert_eq!(count, u64::try_from(written.len()).unwrap());
            let mut read = Vec::new();
            while let Some(item) = split_item(&mut items) {
                read.push(item.to_vec());
            }
            prop_assert_eq!(read, written);
            prop_assert!(items.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..100), marked: bool) {
            let mut bytes = bytes;
            if marked {
                bytes.splice(0..0, [MARK, ITEMS]);
            }
            if let Some(StreamFrame { content: Content::Items { count, mut items }, .. }) =
                StreamFrame::read(&bytes.into())
            {
                let mut read = 0;
                while split_item(&mut items).is_some() {
                    read += 1;
                }
                prop_assert_eq!(read, count);
            }
        }
    }
}
