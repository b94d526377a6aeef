//! What a broker sends: whatever it is, and wherever it is cut, what passes the guard can be read
//! by lapin's parser, on a stack of any size, and a good frame passes as it is.

use amq_protocol::frame::parse_frame;
use guard::{FrameGuard, Looked, Notices, Then};

// Private to the crate, and as it is there.
#[allow(dead_code, unreachable_pub, unused_imports)]
#[path = "../../bus-core/src/transport/amqp/connect/frames/mod.rs"]
mod guard;

/// What passes of `bytes`, of which so many arrive at a time.
fn given(bytes: &[u8], at_a_time: usize) -> Vec<u8> {
    let mut guard = FrameGuard::new(Notices::new("fuzz"));
    let (mut given, mut waiting) = (Vec::new(), Vec::new());
    for chunk in bytes.chunks(at_a_time) {
        waiting.extend_from_slice(chunk);
        loop {
            let Looked { pass, then } = guard.look(&mut waiting);
            given.extend(waiting.drain(..pass));
            match then {
                Then::Nothing => break,
                Then::Wait(missing) => {
                    assert!(missing > 0);
                    break;
                }
                Then::Replace(count, with) => {
                    assert!(count > 0);
                    waiting.drain(..count);
                    given.extend(with);
                }
                Then::Broken(_) => return given,
            }
        }
    }
    given
}

/// The frames in `bytes`; what is left must be the beginning of another.
fn parsed(mut bytes: &[u8]) -> Vec<String> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        match parse_frame(bytes) {
            Ok((rest, frame)) => {
                // To be compared: a number in it may be none, which equals nothing.
                frames.push(format!("{frame:?}"));
                bytes = rest;
            }
            Err(error) => {
                assert!(error.is_incomplete(), "lapin can't read it: {error}");
                break;
            }
        }
    }
    frames
}

pub(crate) fn run(data: &[u8]) {
    // The first byte says where it is cut.
    let Some((&at_a_time, bytes)) = data.split_first() else {
        return;
    };
    let whole = parsed(&given(bytes, bytes.len().max(1)));
    // A frame that is cut before it breaks may pass in part, but no frame passes otherwise.
    assert_eq!(parsed(&given(bytes, usize::from(at_a_time) + 1)), whole);
    // A content header by itself.
    let size = u32::try_from(bytes.len()).expect("libFuzzer's are small");
    let frame = [&[2, 0, 1][..], &size.to_be_bytes(), bytes, &[0xce]].concat();
    let passed = given(&frame, frame.len());
    assert!(parsed(&passed).len() == 1 || bytes.len() < 12);
    // Its guard's rules are stricter than lapin's in two: levels, and flags that go on.
    assert!(passed == frame || passed.is_empty() || !is_shallow(&frame));
}

/// `true` if lapin reads it, its headers are not nested at all, and no more flags follow.
fn is_shallow(frame: &[u8]) -> bool {
    let more_flags = frame.get(20).is_some_and(|flags| flags & 1 == 1);
    // No table or array but that of the headers: none of their types is among the bytes.
    let nests = frame.iter().skip(21).any(|byte| b"AF".contains(byte));
    !more_flags && !nests && parse_frame(frame).is_ok()
}
