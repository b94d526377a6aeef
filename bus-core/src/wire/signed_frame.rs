//! A frame of a stream, or what its reader says to a caller, in its signature: `c1`, which of both it
//! is, the length and the name of a key, 64 bytes of the signature, and the frame.

use super::{
    feed::{FeedCredit, SIGNED_CREDIT},
    stream::{MARK, SIGNED},
};
use bytes::{Buf as _, Bytes};

/// A signed frame, taken apart.
pub(crate) struct SignedFrame<'a> {
    /// The name of the key.
    pub(crate) key: &'a str,
    pub(crate) signature: [u8; 64],
    pub(crate) frame: Bytes,
}

impl<'a> SignedFrame<'a> {
    /// `true` of bytes that say that they are one.
    pub(crate) fn is(frame: &[u8]) -> bool {
        matches!(frame, [MARK, SIGNED | SIGNED_CREDIT, ..])
    }

    pub(crate) fn decode(bytes: &'a Bytes) -> Option<Self> {
        let mut rest: &'a [u8] = bytes;
        (rest.try_get_u8().ok()? == MARK).then_some(())?;
        let says_credit = match rest.try_get_u8().ok()? {
            SIGNED => false,
            SIGNED_CREDIT => true,
            _ => return None,
        };
        let length = usize::from(rest.try_get_u8().ok()?);
        let (key, after) = rest.split_at_checked(length)?;
        rest = after;
        let mut signature = [0; 64];
        rest.try_copy_to_slice(&mut signature).ok()?;
        // By its first bytes it was brought to who reads it: they say what is in it.
        (FeedCredit::is_one(rest) == says_credit && !Self::is(rest)).then_some(())?;
        Some(Self {
            key: std::str::from_utf8(key).ok()?,
            signature,
            frame: bytes.slice_ref(rest),
        })
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(3 + self.key.len() + 64 + self.frame.len());
        let kind = match FeedCredit::is_one(&self.frame) {
            true => SIGNED_CREDIT,
            false => SIGNED,
        };
        // Names are far shorter, see `signature::key`.
        let length = u8::try_from(self.key.len()).unwrap_or(u8::MAX);
        bytes.extend_from_slice(&[MARK, kind, length]);
        bytes.extend_from_slice(self.key.as_bytes());
        bytes.extend_from_slice(&self.signature);
        bytes.extend_from_slice(&self.frame);
        bytes.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn golden_bytes() {
        let signed = |frame: &'static [u8]| {
            let frame = Bytes::from_static(frame);
            SignedFrame {
                key: "ab",
                signature: [0x77; 64],
                frame,
            }
            .encode()
        };
        let expected = |kind: u8, frame: &[u8]| {
            let mut bytes = vec![0xc1, kind, 2, b'a', b'b'];
            bytes.extend([0x77; 64]);
            bytes.extend(frame);
            bytes
        };
        let items = b"\xc1\x00rest";
        assert_eq!(signed(items), expected(6, items));
        let credit = b"\xc1\x04rest";
        assert_eq!(signed(credit), expected(7, credit));
        // What it says is in it has to be.
        for wrong in [expected(7, items), expected(6, credit)] {
            assert!(SignedFrame::decode(&wrong.into()).is_none());
        }
        let twice = expected(6, &expected(6, items));
        assert!(SignedFrame::decode(&twice.into()).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), kind in 6_u8..8) {
            let mut bytes = bytes;
            bytes.splice(0..0, [MARK, kind]);
            let bytes = Bytes::from(bytes);
            if let Some(signed) = SignedFrame::decode(&bytes) {
                prop_assert_eq!(signed.encode(), bytes.clone());
            }
        }
    }
}
