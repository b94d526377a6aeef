//! The signature of a reply, around its frame.

use super::{
    content::Content,
    key::SigningKey,
    ring::{KeyRing, Refusal},
};
use crate::{call_id::CallId, wire::signed_reply::SignedReply};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// What the content of a reply begins with.
const KIND: &str = "replybus reply 1";

/// The call that a reply answers.
#[derive(Clone, Copy)]
pub(super) struct Answered<'a> {
    pub(super) namespace: &'a str,
    /// Without the namespace.
    pub(super) queue: &'a str,
    pub(super) method: &'a str,
    pub(super) id: CallId,
}

impl Answered<'_> {
    /// What is signed of something that answers it, which ends with what it is.
    pub(super) fn content(
        &self,
        kind: &str,
        key: &str,
        request: &[u8; 32],
        frame: &[u8],
    ) -> Content {
        let mut content = Content::of(kind, frame.len());
        for text in [key, self.namespace, self.queue, self.method] {
            content.field(text.as_bytes());
        }
        content.field(self.id.as_bytes());
        content.field(request);
        content.field(frame);
        content
    }
}

/// Names the body of a request.
pub(crate) fn request_digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

pub(super) fn sign(
    key: &SigningKey,
    answered: Answered<'_>,
    request: [u8; 32],
    frame: &Bytes,
) -> Bytes {
    let content = answered.content(KIND, key.name(), &request, frame);
    let signature = key.sign(content.as_bytes());
    SignedReply {
        key: key.name(),
        request,
        signature,
        frame: frame.clone(),
    }
    .encode()
}

/// The frame in a signed reply, if it may be believed; of which request is told apart where that is
/// known.
pub(super) fn believed(
    ring: &KeyRing,
    answered: Answered<'_>,
    request: Option<[u8; 32]>,
    reply: &Bytes,
) -> Result<Bytes, Refusal> {
    if !SignedReply::is(reply) {
        return Err(Refusal::Unsigned);
    }
    let signed = SignedReply::decode(reply).ok_or(Refusal::Unreadable)?;
    let content = answered.content(KIND, signed.key, &signed.request, &signed.frame);
    let place = (answered.queue, answered.method);
    ring.check(signed.key, content.as_bytes(), &signed.signature, place)?;
    match request {
        Some(request) if request != signed.request => Err(Refusal::OtherRequest),
        _ => Ok(signed.frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: CallId = CallId::from_bytes([9; 16]);
    const ANSWERED: Answered<'_> = Answered {
        namespace: "bank",
        queue: "account.requests",
        method: "balance",
        id: ID,
    };

    fn key() -> SigningKey {
        SigningKey::from_bytes("account-1", &[8; 32]).unwrap()
    }

    fn reply(frame: &'static [u8]) -> Bytes {
        sign(
            &key(),
            ANSWERED,
            request_digest(b"who"),
            &Bytes::from_static(frame),
        )
    }

    fn open(answered: Answered<'_>, request: &[u8], reply: &Bytes) -> Result<Bytes, Refusal> {
        let ring = KeyRing::new().trust("account-1", &key().public_key());
        let request = Some(request_digest(request));
        believed(&ring.unwrap(), answered, request, reply)
    }

    #[test]
    fn a_reply_answers_its_call_and_no_other() {
        let signed = reply(b"\x82frame");
        assert_eq!(
            open(ANSWERED, b"who", &signed),
            Ok(Bytes::from_static(b"\x82frame"))
        );
        let id = CallId::from_bytes([10; 16]);
        let (queue, method, namespace) = ("other.requests", "deposit", "test");
        for other in [
            Answered { id, ..ANSWERED },
            Answered { queue, ..ANSWERED },
            Answered { method, ..ANSWERED },
            Answered {
                namespace,
                ..ANSWERED
            },
        ] {
            assert_eq!(open(other, b"who", &signed), Err(Refusal::Altered));
        }
        assert_eq!(open(ANSWERED, b"whom", &signed), Err(Refusal::OtherRequest));
        let unsigned = Bytes::from_static(b"\x82frame");
        assert_eq!(open(ANSWERED, b"who", &unsigned), Err(Refusal::Unsigned));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(at in 0_usize..200, flip in 1_u8..) {
            let mut bytes = reply(b"\x82\xa6status\xa2ok\xa4body\x05").to_vec();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            prop_assert!(open(ANSWERED, b"who", &bytes.into()).is_err());
        }
    }
}
