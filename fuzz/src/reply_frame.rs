//! Replies out of the store: decoding one, whoever wrote it, gives a frame or an error.

use replybus::{Bytes, codec, wire::ReplyFrame};

pub(crate) fn run(data: &[u8]) {
    let frame = Bytes::copy_from_slice(data);
    let Ok((content_type, frame)) = ReplyFrame::decode(&frame) else {
        return;
    };
    match frame {
        ReplyFrame::Ok(body) | ReplyFrame::Handler(body) => {
            let _ = codec::decode::<String>(content_type, &body);
        }
        ReplyFrame::Fault(fault) => {
            let encoded = ReplyFrame::encode_fault(content_type, &fault);
            let (_, again) = ReplyFrame::decode(&encoded).expect("it was encoded");
            assert_eq!(again, ReplyFrame::Fault(fault));
        }
        // Frames of later versions.
        _ => {}
    }
}
