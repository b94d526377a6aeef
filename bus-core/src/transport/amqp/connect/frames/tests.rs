//! The guard against lapin's own parser: whatever a broker sends, what passes can be read.

mod properties;

use super::*;
use amq_protocol::frame::{AMQPFrame, parse_frame};

fn marker() -> Marker {
    Marker::new("c0ffee")
}

/// The bytes that a reader is given of `bytes`, which arrive cut at `cuts`, and the end of it.
fn given(bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<BrokenFrame>) {
    let mut guard = FrameGuard::new(Notices::new("c0ffee"));
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let (mut given, mut waiting, mut from) = (Vec::new(), Vec::new(), 0);
    for cut in cuts {
        waiting.extend_from_slice(&bytes[from..cut]);
        from = cut;
        loop {
            let Looked { pass, then } = guard.look(&mut waiting);
            given.extend(waiting.drain(..pass));
            match then {
                Then::Nothing => break,
                Then::Wait(missing) => {
                    assert!(missing > 0);
                    assert!(!waiting.is_empty());
                    break;
                }
                Then::Replace(count, with) => {
                    assert!(count > 0);
                    drop(waiting.drain(..count));
                    given.extend(with);
                }
                Then::Broken(why) => return (given, Some(why)),
            }
        }
    }
    (given, None)
}

/// The frames in `bytes`; what is left must be the beginning of another.
fn parsed(mut bytes: &[u8]) -> Vec<AMQPFrame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        match parse_frame(bytes) {
            Ok((rest, frame)) => {
                frames.push(frame);
                bytes = rest;
            }
            Err(error) => {
                assert!(error.is_incomplete(), "{error}: {bytes:?}");
                break;
            }
        }
    }
    frames
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend(channel.to_be_bytes());
    frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend(payload);
    frame.push(END);
    frame
}

fn short(text: &[u8]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(text.len()).unwrap()];
    bytes.extend(text);
    bytes
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let mut long = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    long.extend(bytes);
    long
}

/// The payload of a content header for a body of 5 bytes.
fn header(flags: u16, properties: &[&[u8]]) -> Vec<u8> {
    let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
    payload.extend(flags.to_be_bytes());
    payload.extend(properties.concat());
    payload
}

const HEADERS: u16 = 1 << 13;
const MESSAGE_ID: u16 = 1 << 7;
const APP_ID: u16 = 1 << 3;

/// A header's name and value: arrays in each other.
fn nested_arrays(levels: usize) -> Vec<u8> {
    let mut value = vec![b'V'];
    for _ in 0..levels {
        value = [vec![b'A'], long(&value)].concat();
    }
    [short(b"deep"), value].concat()
}

/// A header's name and value: tables in each other.
fn nested_tables(levels: usize) -> Vec<u8> {
    let mut value = vec![b'V'];
    for _ in 0..levels {
        value = [vec![b'F'], long(&[short(b"k"), value].concat())].concat();
    }
    [short(b"deep"), value].concat()
}

/// The message id, the names of the headers and the reason of a content header that was replaced.
fn replaced(payload: &[u8]) -> (Option<String>, Vec<String>, String) {
    let (given, broken) = given(&frame(CONTENT_HEADER, 7, payload), &[]);
    assert_eq!(broken, None);
    let frames = parsed(&given);
    let [AMQPFrame::Header(7, header)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    assert_eq!((header.class_id, header.body_size), (60, 5));
    let properties = &header.properties;
    let names = properties
        .headers()
        .iter()
        .flat_map(|headers| headers.inner().keys());
    let note = properties.cluster_id().as_ref().expect("replaced");
    (
        properties.message_id().as_ref().map(ToString::to_string),
        names.map(ToString::to_string).collect(),
        marker().reason_in(note.as_str()).expect("ours").to_owned(),
    )
}

#[test]
fn what_lapin_cannot_read_is_replaced_by_what_it_can() {
    let id = short(b"m1");
    let good = [short(b"good"), b"t\x01".to_vec()].concat();
    let with = |entry: &[u8]| {
        let table = long(&[&good, entry].concat());
        header(HEADERS | MESSAGE_ID, &[&table, &id])
    };
    for (payload, names, reason) in [
        (
            with(&nested_arrays(2000)),
            vec!["good"],
            "header \"deep\" nests more than 32 levels",
        ),
        (
            with(&nested_tables(5000)),
            vec!["good"],
            "header \"deep\" nests more than 32 levels",
        ),
        (
            with(&nested_arrays(32)),
            vec!["good"],
            "header \"deep\" nests more than 32 levels",
        ),
        (
            with(&[short(b"caf\xe9"), b"V".to_vec()].concat()),
            vec!["good"],
            "the name of header \"caf\u{fffd}\" is not UTF-8",
        ),
        (
            with(
                &[
                    short(b"in"),
                    b"F".to_vec(),
                    long(&[short(b"\xff"), b"V".to_vec()].concat()),
                ]
                .concat(),
            ),
            vec!["good"],
            "header \"in\" is not UTF-8",
        ),
        (
            with(&[short(b"odd"), b"Zabc".to_vec()].concat()),
            vec!["good"],
            "header \"odd\" has a value of the unknown type 0x5a",
        ),
        (
            with(&[short(b"cut"), b"S\0\0\x01\0".to_vec()].concat()),
            vec!["good"],
            "header \"cut\" ends before its length",
        ),
        (
            with(b"\x09nam"),
            vec!["good"],
            "headers: the name of one ends before its length",
        ),
        (
            header(MESSAGE_ID | APP_ID, &[&id, &short(b"caf\xe9")]),
            vec![],
            "app_id is not UTF-8",
        ),
        (
            header(MESSAGE_ID, &[&id, b"more"]),
            vec![],
            "bytes follow the last property",
        ),
        (
            header(MESSAGE_ID | 1, &[&[0, 0], &id]),
            vec![],
            "it has flags of unknown properties",
        ),
        (
            header(MESSAGE_ID | APP_ID, &[&id]),
            vec![],
            "app_id ends before its length",
        ),
    ] {
        let (message_id, headers, said) = replaced(&payload);
        assert_eq!(message_id.as_deref(), Some("m1"), "{reason}");
        assert_eq!(headers, names, "{reason}");
        assert_eq!(said, reason);
    }
}

#[test]
fn every_text_among_the_properties_is_read() {
    for position in [0, 1, 5, 6, 7, 8, 10, 11, 12, 13] {
        let (_, _, reason) = replaced(&header((1 << 15) >> position, &[&short(b"\xff")]));
        assert!(reason.ends_with("is not UTF-8"), "{reason}");
    }
}

#[test]
fn headers_nest_as_deep_as_is_allowed() {
    for entry in [nested_arrays(31), nested_tables(31)] {
        let frame = frame(CONTENT_HEADER, 1, &header(HEADERS, &[&long(&entry)]));
        assert_eq!(given(&frame, &[]), (frame.clone(), None));
    }
}

#[test]
fn headers_larger_than_a_frame_are_left_out_until_the_rest_fits() {
    let many: Vec<u8> = (0..200)
        .flat_map(|n| {
            let name = format!("h{n:03}");
            [short(name.as_bytes()), b"S".to_vec(), long(&[b'x'; 1000])].concat()
        })
        .collect();
    let (id, headers, reason) = replaced(&header(
        HEADERS | MESSAGE_ID,
        &[&long(&many), &short(b"m1")],
    ));
    assert_eq!(id.as_deref(), Some("m1"));
    assert!((100..200).contains(&headers.len()), "{}", headers.len());
    assert_eq!(
        reason,
        format!("{} headers too large to read", 200 - headers.len())
    );
}

#[test]
fn a_content_header_of_any_size_is_replaced_without_being_kept() {
    let huge = [short(b"huge"), b"S".to_vec(), long(&vec![b'x'; 3_000_000])].concat();
    let payload = header(HEADERS | MESSAGE_ID, &[&long(&huge), &short(b"m1")]);
    let after = frame(BODY, 7, b"hello");
    let bytes = [frame(CONTENT_HEADER, 7, &payload), after.clone()].concat();
    for cuts in [vec![], vec![9, 300_000], vec![20, 2_999_999]] {
        let (given, broken) = given(&bytes, &cuts);
        assert_eq!(broken, None);
        let frames = parsed(&given);
        assert!(
            matches!(frames.as_slice(), [AMQPFrame::Header(7, header), AMQPFrame::Body(7, _)] if header.body_size == 5)
        );
        assert!(given.len() < 1000 && given.ends_with(&after));
    }
}

fn deliver(channel: u16, routing_key: &[u8]) -> Vec<u8> {
    let arguments = [
        vec![0, 60, 0, 60],
        short(b"ctag"),
        vec![0; 9],
        short(b"amq.topic"),
        short(routing_key),
    ];
    frame(METHOD, channel, &arguments.concat())
}

#[test]
fn a_routing_key_that_is_no_text_makes_its_message_malformed_and_no_other() {
    let plain = frame(CONTENT_HEADER, 1, &header(0, &[]));
    let other = frame(CONTENT_HEADER, 2, &header(0, &[]));
    let bytes = [
        deliver(1, b"a\xff\xe2\x82.b"),
        deliver(2, b"plain"),
        other.clone(),
        plain.clone(),
        deliver(1, b"plain"),
        plain.clone(),
    ];
    let (given, broken) = given(&bytes.concat(), &[11, 60, 90]);
    assert_eq!(broken, None);
    let expected = [deliver(1, b"a???.b"), deliver(2, b"plain"), other].concat();
    let rest = given.strip_prefix(expected.as_slice()).unwrap();
    let rest = rest
        .strip_suffix([deliver(1, b"plain"), plain].concat().as_slice())
        .unwrap();
    let frames = parsed(rest);
    let [AMQPFrame::Header(1, header)] = frames.as_slice() else {
        panic!("{frames:?}");
    };
    let note = header.properties.cluster_id().as_ref().unwrap();
    assert_eq!(
        marker().reason_in(note.as_str()),
        Some("the exchange or routing key is not UTF-8")
    );
}

#[test]
fn a_mended_message_that_never_came_is_forgotten() {
    let closed = frame(METHOD, 1, &[0, 20, 0, 41]);
    let plain = frame(CONTENT_HEADER, 1, &header(0, &[]));
    let rest = [closed, deliver(1, b"plain"), plain].concat();
    let (given, _) = given(&[deliver(1, b"\xff"), rest.clone()].concat(), &[]);
    assert!(given.ends_with(&rest));
}

/// RabbitMQ cuts long texts in the middle of a character.
#[test]
fn a_text_of_the_broker_is_mended_in_its_place() {
    let close = |text: &[u8]| {
        let arguments = [vec![0, 20, 0, 40, 1, 0x94], short(text), vec![0, 50, 0, 10]];
        frame(METHOD, 3, &arguments.concat())
    };
    let cut = [&[b'x'; 250][..], "ö".as_bytes().split_at(1).0, b"..."].concat();
    let mended = [&[b'x'; 250][..], b"?..."].concat();
    assert_eq!(given(&close(&cut), &[40]), (close(&mended), None));
}

#[test]
fn the_reason_of_a_closed_channel_is_known_until_it_is_opened_again() {
    let notices = Notices::new("c0ffee");
    let mut guard = FrameGuard::new(notices.clone());
    let mut look = |arguments: &[&[u8]]| {
        let mut bytes = frame(METHOD, 3, &arguments.concat());
        guard.look(&mut bytes);
    };
    look(&[
        &[0, 20, 0, 40, 1, 0x93],
        &short(b"no \xff"),
        &[0, 60, 0, 40],
    ]);
    let close = ChannelClose {
        code: 403,
        text: "no ?".to_owned(),
        method: (60, 40),
    };
    assert_eq!(notices.closes.of(3), Some(close));
    assert_eq!(notices.closes.of(2), None);
    look(&[&[0, 20, 0, 11], &long(b"")]);
    assert_eq!(notices.closes.of(3), None);
}

#[test]
fn the_largest_frame_is_what_the_broker_says() {
    let tune = |frame_max: u32| {
        let arguments = [&[0, 10, 0, 30, 0, 0][..], &frame_max.to_be_bytes(), &[0, 5]];
        frame(METHOD, 0, &arguments.concat())
    };
    let body = |size: usize| frame(BODY, 1, &vec![0; size - HEAD - 1]);
    for (said, largest) in [(0, 131_072), (8192, 8192), (1_000_000, 131_072), (1, 4096)] {
        let good = [tune(said), body(largest)].concat();
        assert_eq!(given(&good, &[]), (good.clone(), None));
        let (_, broken) = given(&[tune(said), body(largest + 1)].concat(), &[]);
        assert_eq!(broken, Some(BrokenFrame::TooLarge(largest + 1)));
    }
}

#[test]
fn a_broker_of_another_version_is_heard() {
    let greeting = b"AMQP\0\0\x09\x01";
    assert_eq!(given(greeting, &[1, 2, 7]), (greeting.to_vec(), None));
    let late = [frame(HEARTBEAT, 0, b""), greeting.to_vec()].concat();
    assert_eq!(given(&late, &[]).1, Some(BrokenFrame::Type(b'A')));
}

#[test]
fn a_broken_frame_is_the_end_of_what_is_read() {
    let mut unended = frame(BODY, 1, b"12345");
    unended.pop();
    unended.push(0);
    let mut method = frame(METHOD, 1, &[0, 20, 0, 41]);
    method.pop();
    method.push(0);
    for (bytes, why) in [
        (frame(9, 1, b""), BrokenFrame::Type(9)),
        (unended, BrokenFrame::End),
        (method, BrokenFrame::End),
        (frame(METHOD, 1, &[0, 50, 0, 10]), BrokenFrame::Method),
        (frame(METHOD, 1, &[0, 20, 0, 41, 0]), BrokenFrame::Method),
        (frame(METHOD, 1, &[0]), BrokenFrame::Method),
        (
            frame(CONTENT_HEADER, 1, &[0, 60, 0, 0]),
            BrokenFrame::Header,
        ),
    ] {
        let before = frame(HEARTBEAT, 0, b"");
        let (given, broken) = given(&[before.clone(), bytes].concat(), &[]);
        assert_eq!(broken, Some(why));
        assert!(given.starts_with(&before));
        parsed(&given);
    }
}
