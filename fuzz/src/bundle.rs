//! Several requests in one message: what comes apart says the same when it is put together, and a bad
//! entry spoils nobody but itself.

use crate::limits::{BUNDLE_ENTRIES_READ_MAX, REQUEST_BYTES_MAX};
use bytes::Bytes;
use replybus::CallId;
use std::time::Duration;
use wire::{Entry, NewEntry, append, entry_bytes, take_apart};

// Private to the crate, and as it is there.
#[allow(dead_code, unreachable_pub)]
#[path = "../../bus-core/src/wire/bundle.rs"]
mod wire;

pub(crate) fn run(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    match take_apart(body) {
        Ok(entries) => {
            assert!((1..=BUNDLE_ENTRIES_READ_MAX).contains(&entries.len()));
            let mut again = Vec::new();
            for entry in &entries {
                match entry {
                    Ok(entry) => put(&mut again, entry),
                    Err(bad) => {
                        assert!(!bad.reason.is_empty());
                        let length = u32::try_from(bad.bytes.len()).unwrap();
                        again.extend_from_slice(&length.to_be_bytes());
                        again.extend_from_slice(&bad.bytes);
                    }
                }
            }
            assert_eq!(again, data);
        }
        Err(refused) => {
            assert!(refused.to_string().len() > "the bundle can't be taken apart: ".len())
        }
    }
    between_neighbours(data);
}

fn put(body: &mut Vec<u8>, entry: &Entry) {
    let new = NewEntry {
        id: entry.id,
        repeated: entry.repeated,
        unrecorded: entry.unrecorded,
        method: &entry.method,
        headers: &entry.headers,
        body: &entry.body,
    };
    let (before, encoded) = (body.len(), new.encode().unwrap());
    append(body, entry.sooner, &encoded);
    assert_eq!(body.len() - before, entry_bytes(&encoded));
}

fn neighbour(id: u8) -> Entry {
    Entry {
        id: CallId::from_bytes([id; 16]),
        sooner: Duration::from_millis(7),
        repeated: true,
        unrecorded: false,
        method: "balance".into(),
        headers: [("tenant".into(), "b".into())].into(),
        body: Bytes::from_static(b"\x80"),
    }
}

/// Any bytes as one entry among good ones.
fn between_neighbours(data: &[u8]) {
    let mut body = Vec::new();
    put(&mut body, &neighbour(1));
    append(&mut body, Duration::ZERO, data);
    put(&mut body, &neighbour(2));
    if body.len() > REQUEST_BYTES_MAX {
        return;
    }
    let mut read = take_apart(body.into()).unwrap().into_iter();
    assert_eq!(read.next().unwrap().unwrap(), neighbour(1));
    if let Err(bad) = read.next().unwrap() {
        let id = data
            .get(1..17)
            .map(|id| CallId::from_bytes(id.try_into().unwrap()));
        assert_eq!(bad.id, id, "who can be told is told");
    }
    assert_eq!(read.next().unwrap().unwrap(), neighbour(2));
    assert!(read.next().is_none());
}
