//! Frames and bytes of all kinds, good and bad, cut anywhere.

use super::{deliver, frame, given, header, long, marker, parsed, short};
use crate::transport::amqp::connect::frames::{BODY, CONTENT_HEADER, HEAD, HEARTBEAT, METHOD};
use amq_protocol::frame::{AMQPFrame, parse_frame};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A frame to compare with another: a number in it may be none, which equals nothing.
fn said(frame: &AMQPFrame) -> String {
    format!("{frame:?}")
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

/// The value of a header after its name: whole, or with a fault somewhere.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let scalar = prop_oneof![
        Just(b"V".to_vec()),
        any::<u8>().prop_map(|byte| vec![b'B', byte]),
        any::<u16>().prop_map(|n| [&b"u"[..], &n.to_be_bytes()].concat()),
        any::<u32>().prop_map(|n| [&b"I"[..], &n.to_be_bytes()].concat()),
        any::<u64>().prop_map(|n| [&b"T"[..], &n.to_be_bytes()].concat()),
        any::<[u8; 5]>().prop_map(|n| [&b"D"[..], &n].concat()),
        "[a-zß]{0,8}".prop_map(|text| [&b"S"[..], &long(text.as_bytes())].concat()),
        bytes(8).prop_map(|raw| [&b"x"[..], &long(&raw)].concat()),
    ];
    let inner = prop_oneof![16 => scalar, 1 => bytes(6)];
    inner.prop_recursive(24, 60, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|values| [
                &b"A"[..],
                &long(&values.concat())
            ]
            .concat()),
            prop::collection::vec((name(), inner), 0..3).prop_map(|entries| [
                &b"F"[..],
                &long(&table(entries))
            ]
            .concat()),
        ]
    })
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![12 => "[a-z]{0,5}".prop_map(String::into_bytes), 1 => bytes(5)]
}

fn table(entries: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let entries = entries.into_iter();
    entries
        .flat_map(|(name, value)| [short(&name), value].concat())
        .collect()
}

/// A content header, mostly a good one.
fn any_header() -> impl Strategy<Value = Vec<u8>> {
    let properties = (
        prop_oneof![8 => any::<u16>().prop_map(|flags| flags & !3), 1 => any::<u16>()],
        prop::collection::vec(name(), 14),
        prop::collection::vec((name(), value()), 0..4),
        prop_oneof![12 => Just(Vec::new()), 1 => bytes(4)],
    );
    properties.prop_map(|(flags, texts, headers, after)| {
        let mut payload = header(flags, &[]);
        for (position, text) in texts.iter().enumerate() {
            if flags & ((1 << 15) >> position) == 0 {
                continue;
            }
            payload.extend(match position {
                2 => long(&table(headers.clone())),
                3 | 4 => vec![2],
                9 => vec![0; 8],
                _ => short(text),
            });
        }
        payload.extend(after);
        payload
    })
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let channel = 1..4_u16;
    prop_oneof![
        4 => (channel.clone(), any_header()).prop_map(|(channel, header)| frame(CONTENT_HEADER, channel, &header)),
        2 => (channel.clone(), name()).prop_map(|(channel, key)| deliver(channel, &key)),
        2 => (channel, bytes(300)).prop_map(|(channel, body)| frame(BODY, channel, &body)),
        1 => Just(frame(HEARTBEAT, 0, b"")),
    ]
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(any::<usize>(), 0..12)
}

proptest! {
    /// The guard replaces exactly what lapin can't read, by what it can, wherever it is cut.
    #[test]
    fn frames_that_lapin_reads_pass_unchanged_and_others_are_replaced(
        frames in prop::collection::vec(any_frame(), 0..8),
        cuts in cuts(),
    ) {
        let bytes = frames.concat();
        let (given, broken) = given(&bytes, &cuts);
        prop_assert_eq!(broken, None);
        let passed = parsed(&given);
        prop_assert_eq!(passed.len(), frames.len());
        let mut mended = BTreeMap::new();
        for (sent, passed) in frames.iter().zip(passed) {
            let readable = parse_frame(sent.as_slice());
            match passed {
                AMQPFrame::Header(channel, header) => {
                    let note = header.properties.cluster_id().as_ref();
                    let is_replaced = note.is_some_and(|note| marker().reason_in(note.as_str()).is_some());
                    // lapin ignores that more flags follow: what it would make of them is chance.
                    let more_flags = sent[HEAD + 13] & 1 == 1;
                    // A note is for the first header after it, whatever that is.
                    let is_noted = mended.remove(&channel).is_some();
                    match readable {
                        Ok((_, whole)) if !is_noted && !more_flags => {
                            prop_assert!(!is_replaced);
                            prop_assert_eq!(said(&whole), said(&AMQPFrame::Header(channel, header)));
                        }
                        _ => prop_assert!(is_replaced),
                    }
                }
                AMQPFrame::Method(channel, method) => match readable {
                    Ok((_, whole)) => {
                        mended.remove(&channel);
                        prop_assert_eq!(said(&whole), said(&AMQPFrame::Method(channel, method)));
                    }
                    Err(_) => drop(mended.insert(channel, ())),
                },
                other => prop_assert_eq!(said(&readable.unwrap().1), said(&other)),
            }
        }
    }

    #[test]
    fn good_frames_pass_byte_for_byte(
        frames in prop::collection::vec(any_frame(), 0..8),
        cuts in cuts(),
    ) {
        let frames = frames.into_iter().filter(|frame| {
            let more_flags = frame[0] == CONTENT_HEADER && frame[HEAD + 13] & 1 == 1;
            !more_flags && parse_frame(frame.as_slice()).is_ok()
        });
        let bytes = frames.collect::<Vec<_>>().concat();
        prop_assert_eq!(given(&bytes, &cuts), (bytes, None));
    }

    #[test]
    fn no_bytes_reach_lapin_that_it_cannot_read(
        bytes in prop_oneof![
            bytes(200),
            (0..4_u8, any::<u16>(), bytes(60)).prop_map(|(kind, channel, payload)| frame(kind, channel, &payload)),
            (any::<[u8; 4]>(), bytes(40)).prop_map(|(method, rest)| frame(METHOD, 1, &[&[0, method[0] % 100, 0, method[1] % 130][..], &rest].concat())),
            (prop::collection::vec(any_frame(), 1..4), prop::collection::vec((any::<usize>(), any::<u8>()), 1..6))
                .prop_map(|(frames, flips)| {
                    let mut bytes = frames.concat();
                    let length = bytes.len();
                    flips.into_iter().for_each(|(at, byte)| bytes[at % length] = byte);
                    bytes
                }),
        ],
        cuts in cuts(),
    ) {
        parsed(&given(&bytes, &cuts).0);
    }
}
