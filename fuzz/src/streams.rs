//! What travels of streams: frames in an inbox, and the credit of both kinds of reader. Whatever it
//! is, it is read or passed over, what is read says the same when it is written, and items come out
//! as many as were counted.

use crate::arbitrary;
use arbitrary::Arbitrary;
use bytes::Bytes;
use feed::FeedCredit;
use replybus::message::{Message, Properties};
use stream::{Content, Credit, End, StreamFrame};

// Private to the crate, and as they are there.
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-core/src/wire/feed.rs"]
mod feed;
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-core/src/wire/stream.rs"]
mod stream;

/// An entry of an inbox, or a message in a control queue.
#[derive(Debug, Arbitrary)]
enum Came {
    Bytes(Vec<u8>),
    /// A frame of some kind, so that the rest is looked at.
    Frame(u8, Vec<u8>),
    /// Items, of which the last is said to be so much longer.
    Items(u32, u64, Vec<Vec<u8>>, u8),
    Credits(Vec<u8>),
}

impl Came {
    fn into_bytes(self) -> Bytes {
        match self {
            Self::Bytes(bytes) | Self::Credits(bytes) => bytes.into(),
            Self::Frame(kind, rest) => [&[stream::MARK, kind % 8][..], &rest].concat().into(),
            Self::Items(producer, first, items, longer) => {
                let mut frame = Vec::new();
                stream::begin_items(producer, first, &mut frame);
                for item in items {
                    let start = frame.len();
                    frame.extend_from_slice(&[0; stream::ITEM_HEAD_BYTES]);
                    frame.extend_from_slice(&item);
                    frame.extend(vec![0; longer.into()]);
                    stream::close_item(&mut frame, start);
                    frame.truncate(start + stream::ITEM_HEAD_BYTES + item.len());
                }
                frame.into()
            }
        }
    }
}

fn read_frame(bytes: &Bytes) {
    let Some(frame) = StreamFrame::read(bytes) else {
        return;
    };
    let StreamFrame {
        producer,
        first,
        content,
    } = frame;
    let written = match content {
        Content::Items { count, mut items } => {
            let mut written = Vec::new();
            stream::begin_items(producer, first, &mut written);
            let mut read = 0;
            while let Some(item) = stream::split_item(&mut items) {
                let start = written.len();
                written.extend_from_slice(&[0; stream::ITEM_HEAD_BYTES]);
                written.extend_from_slice(&item);
                stream::close_item(&mut written, start);
                read += 1;
            }
            assert_eq!(read, count);
            assert!(items.is_empty());
            written.into()
        }
        Content::End(end @ (End::Handler(_) | End::Fault(_))) => stream::end(producer, first, &end),
        // What is behind these is passed over.
        Content::End(End::Complete) | Content::Wait => return,
    };
    assert_eq!(written, *bytes);
}

fn read_credit(bytes: &Bytes) {
    if let Some(said) = FeedCredit::read(bytes) {
        assert_eq!(StreamFrame::read(bytes), None);
        assert_eq!(FeedCredit::read(&said.frame()), Some(said));
    }
}

fn read_credits(body: Bytes) {
    let message = Message {
        properties: Properties {
            kind: Some("stream".into()),
            ..Properties::default()
        },
        body: body.clone(),
        ..Message::default()
    };
    let mut read = 0;
    for credit in Credit::read(&message) {
        let again = credit.message(&"control".into());
        assert!(Credit::read(&again).eq([credit]));
        read += 1;
    }
    assert!(read == 0 || read * 29 == body.len());
}

pub(crate) fn run(data: &[u8]) {
    let Some(came) = arbitrary::<Came>(data) else {
        return;
    };
    let is_credits = matches!(came, Came::Credits(_));
    let bytes = came.into_bytes();
    if is_credits {
        read_credits(bytes);
    } else {
        read_frame(&bytes);
        read_credit(&bytes);
    }
}
