//! The signatures of the frames of one stream, and of what its reader says to a caller.

use super::{
    content::Content,
    key::SigningKey,
    reply::Answered,
    ring::{KeyRing, Refusal},
};
use crate::{call_id::CallId, wire::signed_frame::SignedFrame};
use bytes::Bytes;
use std::{fmt, sync::Arc};

/// What the content of a frame begins with.
const KIND: &str = "replybus frame 1";

/// What one end of a stream signs, and what it believes of the other end. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct FrameSignatures(Option<Arc<Frames>>);

/// One end of a stream.
struct Frames {
    stream: Stream,
    /// What is said here is signed by it.
    key: Option<SigningKey>,
    believed: Believed,
}

/// What a stream is of.
#[derive(Clone)]
pub(super) struct Stream {
    pub(super) namespace: Arc<str>,
    /// Without the namespace.
    pub(super) queue: Box<str>,
    pub(super) method: Box<str>,
    pub(super) call: CallId,
    /// The SHA-256 of the body of the request.
    pub(super) request: [u8; 32],
}

/// Whose frames are believed.
pub(super) enum Believed {
    Anybodys,
    /// Those that a key of the ring signed.
    OfRing(Arc<KeyRing>),
    /// Those of the key that signed the request, which is in the ring.
    OfCaller(Arc<KeyRing>, Box<str>),
}

impl FrameSignatures {
    /// Those of an end that signs with a key, if it does, and believes some; what it is of is asked
    /// for only then.
    pub(super) fn of(
        key: Option<SigningKey>,
        believed: Believed,
        stream: impl FnOnce() -> Stream,
    ) -> Self {
        match (&key, &believed) {
            (None, Believed::Anybodys) => Self::default(),
            _ => Self(Some(Arc::new(Frames {
                stream: stream(),
                key,
                believed,
            }))),
        }
    }

    /// `true` if only signed frames are believed.
    pub(crate) fn checks(&self) -> bool {
        self.0.as_deref().and_then(Frames::ring).is_some()
    }

    /// A frame that goes under an id, signed if this end signs.
    pub(crate) fn sign(&self, id: CallId, frame: Bytes) -> Bytes {
        let Some(frames) = self.0.as_deref() else {
            return frame;
        };
        let Some(key) = &frames.key else {
            return frame;
        };
        let content = frames.stream.content(key.name(), id, &frame);
        SignedFrame {
            key: key.name(),
            signature: key.sign(content.as_bytes()),
            frame,
        }
        .encode()
    }

    /// What is in a frame that came under an id, if it may be believed; one that may not is counted.
    pub(crate) fn believed(&self, id: CallId, frame: &Bytes) -> Result<Bytes, Refusal> {
        self.check(id, frame).inspect_err(|_| {
            metrics::counter!("replybus_stream_frames_refused_total").increment(1);
        })
    }

    fn check(&self, id: CallId, frame: &Bytes) -> Result<Bytes, Refusal> {
        let signed = match SignedFrame::is(frame) {
            true => Some(SignedFrame::decode(frame).ok_or(Refusal::Unreadable)?),
            false => None,
        };
        let checks = self.0.as_deref().and_then(Frames::ring);
        let Some((frames, ring)) = checks else {
            return Ok(signed.map_or_else(|| frame.clone(), |signed| signed.frame));
        };
        let signed = signed.ok_or(Refusal::Unsigned)?;
        if let Believed::OfCaller(_, key) = &frames.believed
            && **key != *signed.key
        {
            return Err(Refusal::NotAllowed);
        }
        let stream = &frames.stream;
        let content = stream.content(signed.key, id, &signed.frame);
        let place = (&*stream.queue, &*stream.method);
        ring.check(signed.key, content.as_bytes(), &signed.signature, place)?;
        Ok(signed.frame)
    }
}

impl Frames {
    /// The keys that are believed, if not everybody is.
    fn ring(&self) -> Option<(&Self, &KeyRing)> {
        match &self.believed {
            Believed::Anybodys => None,
            Believed::OfRing(ring) | Believed::OfCaller(ring, _) => Some((self, ring)),
        }
    }
}

impl Stream {
    fn content(&self, key: &str, id: CallId, frame: &[u8]) -> Content {
        let answered = Answered {
            namespace: &self.namespace,
            queue: &self.queue,
            method: &self.method,
            id: self.call,
        };
        let mut content = answered.content(KIND, key, &self.request, frame);
        content.field(id.as_bytes());
        content
    }
}

impl fmt::Debug for FrameSignatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSignatures")
            .field("checks", &self.checks())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::reply::request_digest;
    use proptest::prelude::*;

    const CALL: CallId = CallId::from_bytes([9; 16]);
    const STREAM: CallId = CallId::from_bytes([10; 16]);
    const ITEMS: Bytes = Bytes::from_static(b"\xc1\x00\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\x05");

    fn key(name: &str) -> SigningKey {
        SigningKey::from_bytes(name, &[8; 32]).unwrap()
    }

    fn ring() -> Arc<KeyRing> {
        let public = key("vault-1").public_key();
        let ring = KeyRing::new().trust("vault-1", &public).unwrap();
        Arc::new(ring.trust("vault-2", &public).unwrap())
    }

    fn stream() -> Stream {
        Stream {
            namespace: "bank".into(),
            queue: "account.requests".into(),
            method: "statement".into(),
            call: CALL,
            request: request_digest(b"who"),
        }
    }

    fn end_of(stream: Stream) -> FrameSignatures {
        let key = Some(key("vault-1"));
        FrameSignatures::of(key, Believed::OfRing(ring()), || stream)
    }

    #[test]
    fn a_frame_is_of_its_stream_and_of_no_other() {
        let signatures = end_of(stream());
        let signed = signatures.sign(STREAM, ITEMS);
        assert_eq!(signatures.believed(STREAM, &signed), Ok(ITEMS));
        let (namespace, queue, method) = ("test".into(), "other.requests".into(), "balance".into());
        let (call, request) = (STREAM, request_digest(b"whom"));
        for other in [
            Stream {
                namespace,
                ..stream()
            },
            Stream { queue, ..stream() },
            Stream { method, ..stream() },
            Stream { call, ..stream() },
            Stream {
                request,
                ..stream()
            },
        ] {
            let refused = end_of(other).believed(STREAM, &signed);
            assert_eq!(refused, Err(Refusal::Altered));
        }
        assert_eq!(signatures.believed(CALL, &signed), Err(Refusal::Altered));
        assert_eq!(signatures.believed(STREAM, &ITEMS), Err(Refusal::Unsigned));
    }

    #[test]
    fn only_the_key_of_the_request_feeds_its_stream() {
        let fed_by = |name: &str| {
            let believed = Believed::OfCaller(ring(), name.into());
            FrameSignatures::of(None, believed, stream)
        };
        let signed = end_of(stream()).sign(STREAM, ITEMS);
        assert_eq!(fed_by("vault-1").believed(STREAM, &signed), Ok(ITEMS));
        let other = fed_by("vault-2").believed(STREAM, &signed);
        assert_eq!(other, Err(Refusal::NotAllowed));
    }

    #[test]
    fn who_asks_for_no_signature_reads_what_has_one() {
        let signed = end_of(stream()).sign(STREAM, ITEMS);
        let anybodys = FrameSignatures::default();
        assert_eq!(anybodys.believed(STREAM, &signed), Ok(ITEMS));
        assert_eq!(anybodys.believed(STREAM, &ITEMS), Ok(ITEMS));
        assert_eq!(anybodys.sign(STREAM, ITEMS), ITEMS);
        assert!(!anybodys.checks());
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(at in 0_usize..200, flip in 1_u8..) {
            let signatures = end_of(stream());
            let mut bytes = signatures.sign(STREAM, ITEMS).to_vec();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(signatures.believed(STREAM, &bytes.into()).is_err());
        }
    }
}
