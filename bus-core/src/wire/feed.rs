//! What the reader of a stream of arguments says to its producer, the caller: credit, and where its
//! frames are to go, as a frame in the caller's inbox.

use super::stream::{AGAIN, Credit, GONE, MARK};
use crate::{call_id::CallId, message::Text};
use bytes::{Buf, BufMut, Bytes};

/// Which of the frames that begin with [`MARK`] it is.
const CREDIT: u8 = 4;

/// Of one in its signature; see `signed_frame`.
pub(super) const SIGNED_CREDIT: u8 = 7;

/// Bytes before the name of the inbox: the mark, the kind, the reader, what was taken, flags, the id
/// of the stream.
const HEAD_BYTES: usize = 1 + 1 + 4 + 8 + 1 + 16;

/// Bytes of the name of an inbox, which is an AMQP short string where it is named in a request.
const INBOX_BYTES_MAX: usize = 255;

/// This run holds the claim of its call, and no other does.
const HOLDS_CLAIM: u8 = 4;

/// Only signed frames are believed.
const CHECKS: u8 = 8;

/// The word of one reader. All of it is in each, so that one that is lost is made good by the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FeedCredit {
    /// Under the id that the reader gave the stream, and with its own number for its producer's.
    pub(crate) credit: Credit,
    /// Its run holds the claim of the call: any other reader's has lost it, and comes to nothing.
    pub(crate) holds_claim: bool,
    /// Its reader believes signed frames only.
    pub(crate) checks: bool,
    /// Where its frames go.
    pub(crate) inbox: Text,
}

impl FeedCredit {
    /// `true` of a frame that is to be read as one.
    pub(crate) fn is_one(frame: &[u8]) -> bool {
        frame.starts_with(&[MARK, CREDIT])
    }

    /// The same of a frame that may be in its signature.
    pub(crate) fn is_in(frame: &[u8]) -> bool {
        matches!(frame, [MARK, CREDIT | SIGNED_CREDIT, ..])
    }

    /// The frame that says so.
    pub(crate) fn frame(&self) -> Bytes {
        let Self {
            credit,
            holds_claim,
            checks,
            inbox,
        } = self;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let mut frame = Vec::with_capacity(HEAD_BYTES + inbox.len());
        frame.put_slice(&[MARK, CREDIT]);
        frame.put_u32(credit.producer);
        frame.put_u64(credit.taken);
        frame.put_u8(
            flag(credit.again, AGAIN)
                | flag(credit.gone, GONE)
                | flag(*holds_claim, HOLDS_CLAIM)
                | flag(*checks, CHECKS),
        );
        frame.put_slice(credit.id.as_bytes());
        frame.put_slice(inbox.as_bytes());
        frame.into()
    }

    /// Reads a frame, which may be anything; `None` if it is no credit. Of the inbox only the length
    /// is looked at.
    pub(crate) fn read(frame: &Bytes) -> Option<Self> {
        let bytes = HEAD_BYTES..=HEAD_BYTES + INBOX_BYTES_MAX;
        if !Self::is_one(frame) || !bytes.contains(&frame.len()) {
            return None;
        }
        let mut body = frame.slice(2..);
        let (producer, taken, flags) = (body.get_u32(), body.get_u64(), body.get_u8());
        let mut id = [0; 16];
        body.copy_to_slice(&mut id);
        Some(Self {
            credit: Credit {
                id: CallId::from_bytes(id),
                producer,
                taken,
                again: flags & AGAIN != 0,
                gone: flags & GONE != 0,
            },
            holds_claim: flags & HOLDS_CLAIM != 0,
            checks: flags & CHECKS != 0,
            inbox: std::str::from_utf8(&body).ok()?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stream::StreamFrame;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn golden_bytes() {
        let said = FeedCredit {
            credit: Credit {
                id: CallId::from_bytes([0x11; 16]),
                producer: 0x0102_0304,
                taken: 5,
                again: true,
                gone: false,
            },
            holds_claim: true,
            checks: true,
            inbox: "inbox".into(),
        };
        let mut frame = b"\xc1\x04\x01\x02\x03\x04\0\0\0\0\0\0\0\x05\x0d".to_vec();
        frame.extend([0x11; 16]);
        frame.extend(*b"inbox");
        assert_eq!(said.frame(), frame);
        // Whoever reads an answer passes it over.
        assert_eq!(StreamFrame::read(&said.frame()), None);
    }

    proptest! {
        #[test]
        fn what_was_said_is_read(
            id: [u8; 16], producer: u32, taken: u64, flags: [bool; 4], inbox in "[a-z{}:.]{0,200}",
        ) {
            let [again, gone, holds_claim, checks] = flags;
            let id = CallId::from_bytes(id);
            let credit = Credit { id, producer, taken, again, gone };
            let said = FeedCredit { credit, holds_claim, checks, inbox: inbox.as_str().into() };
            prop_assert_eq!(FeedCredit::read(&said.frame()), Some(said));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400), marked: bool) {
            let mut bytes = bytes;
            if marked {
                bytes.splice(0..0, [MARK, CREDIT]);
            }
            let bytes = Bytes::from(bytes);
            if let Some(read) = FeedCredit::read(&bytes) {
                prop_assert!(read.inbox.len() <= INBOX_BYTES_MAX);
                prop_assert_eq!(FeedCredit::read(&read.frame()), Some(read));
            }
        }
    }
}
