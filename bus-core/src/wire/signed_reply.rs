//! A reply in its signature: `53 01`, the length and the name of a key, 32 bytes that name the request,
//! 64 of the signature, and the frame of the reply.

use bytes::{Buf as _, Bytes};

/// What a signed reply begins with, and no other frame does: `S`.
const MARK: u8 = 0x53;
const VERSION: u8 = 1;

/// A signed reply, taken apart.
#[cfg_attr(
    not(feature = "signed"),
    allow(dead_code, reason = "only the frame is read then")
)]
pub(crate) struct SignedReply<'a> {
    /// The name of the key.
    pub(crate) key: &'a str,
    /// The SHA-256 of the body of the request.
    pub(crate) request: [u8; 32],
    pub(crate) signature: [u8; 64],
    pub(crate) frame: Bytes,
}

impl<'a> SignedReply<'a> {
    /// `true` of bytes that say that they are one.
    pub(crate) fn is(reply: &Bytes) -> bool {
        reply.first() == Some(&MARK)
    }

    pub(crate) fn decode(reply: &'a Bytes) -> Option<Self> {
        let mut rest: &'a [u8] = reply;
        let head = [rest.try_get_u8().ok()?, rest.try_get_u8().ok()?];
        (head == [MARK, VERSION]).then_some(())?;
        let length = usize::from(rest.try_get_u8().ok()?);
        let (key, after) = rest.split_at_checked(length)?;
        rest = after;
        let key = std::str::from_utf8(key).ok()?;
        let (mut request, mut signature) = ([0; 32], [0; 64]);
        rest.try_copy_to_slice(&mut request).ok()?;
        rest.try_copy_to_slice(&mut signature).ok()?;
        Some(Self {
            key,
            request,
            signature,
            frame: reply.slice_ref(rest),
        })
    }

    #[cfg(feature = "signed")]
    pub(crate) fn encode(&self) -> Bytes {
        let mut reply = Vec::with_capacity(3 + self.key.len() + 96 + self.frame.len());
        // Names are far shorter, see `signature::key`.
        let length = u8::try_from(self.key.len()).unwrap_or(u8::MAX);
        reply.extend_from_slice(&[MARK, VERSION, length]);
        reply.extend_from_slice(self.key.as_bytes());
        reply.extend_from_slice(&self.request);
        reply.extend_from_slice(&self.signature);
        reply.extend_from_slice(&self.frame);
        reply.into()
    }
}

/// The frame of a reply, signed or not: who reads it here asks nobody's word for it.
pub(crate) fn frame_of(reply: &Bytes) -> Bytes {
    match SignedReply::is(reply) {
        true => SignedReply::decode(reply).map_or_else(Bytes::new, |signed| signed.frame),
        false => reply.clone(),
    }
}
