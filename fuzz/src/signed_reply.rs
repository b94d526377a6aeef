//! Signed replies, as they are taken apart before anybody is believed: what is read says the same when
//! it is written, and the frame is a part of the bytes.

use bytes::Bytes;
use wire::{SignedReply, frame_of};

// Private to the crate, and as it is there.
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-core/src/wire/signed_reply.rs"]
mod wire;

/// What is before the frame, beside the name.
const HEAD_BYTES: usize = 3 + 32 + 64;

pub(crate) fn run(data: &[u8]) {
    let reply = Bytes::copy_from_slice(data);
    let frame = frame_of(&reply);
    match SignedReply::decode(&reply) {
        Some(signed) => {
            assert!(SignedReply::is(&reply));
            assert_eq!(signed.encode(), reply);
            assert_eq!(
                signed.frame.len() + signed.key.len() + HEAD_BYTES,
                reply.len()
            );
            assert_eq!(signed.frame, frame);
        }
        None if SignedReply::is(&reply) => assert!(frame.is_empty()),
        None => assert_eq!(frame, reply),
    }
}
