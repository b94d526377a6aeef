//! Requests that travel as one message: a bundle. Its properties are those that its entries share,
//! and its body is the entries, one after the other, each behind its length.

use crate::{
    call_id::CallId,
    limits::{BUNDLE_ENTRIES_READ_MAX, REQUEST_BYTES_MAX},
    message::{Headers, Text},
};
use bytes::{Buf, Bytes};
use std::time::Duration;

/// The property `type` of a bundle. No method can have it for a name.
pub(crate) const BUNDLE: &str = "replybus/bundle";

/// The flag of an entry that repeats an earlier copy of its request.
const REPEATED: u8 = 1;

/// The flag of an entry whose trace begins with it, and is not recorded.
const UNRECORDED: u8 = 2;

/// Bytes before an entry's flags: its length, and how much sooner its deadline is.
const PREFIX: usize = 8;

/// A request, as it is put into a bundle.
#[derive(Debug)]
pub(crate) struct NewEntry<'a> {
    pub(crate) id: CallId,
    pub(crate) repeated: bool,
    pub(crate) unrecorded: bool,
    pub(crate) method: &'a str,
    pub(crate) headers: &'a [(Text, Text)],
    pub(crate) body: &'a [u8],
}

/// A request out of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: CallId,
    /// How much sooner its deadline is than that of the bundle, which is the latest.
    pub(crate) sooner: Duration,
    pub(crate) repeated: bool,
    pub(crate) unrecorded: bool,
    pub(crate) method: Text,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

/// An entry that can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadEntry {
    /// The call it is, if that much can be read.
    pub(crate) id: Option<CallId>,
    pub(crate) reason: &'static str,
    /// All of it, for whoever looks into it.
    pub(crate) bytes: Bytes,
}

/// A body that does not come apart into entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bundle can't be taken apart: {0}")]
pub(crate) struct NoBundle(&'static str);

impl NewEntry<'_> {
    /// The entry without its prefix; `None` if a part of it is longer than its length can say.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| 3 + name.len() + value.len())
            .sum();
        let mut to = Vec::with_capacity(19 + self.method.len() + headers + self.body.len());
        to.push(flag(self.repeated, REPEATED) | flag(self.unrecorded, UNRECORDED));
        to.extend_from_slice(self.id.as_bytes());
        put_short(&mut to, self.method)?;
        to.push(self.headers.len().try_into().ok()?);
        for (name, value) in self.headers {
            put_short(&mut to, name)?;
            let length: u16 = value.len().try_into().ok()?;
            to.extend_from_slice(&length.to_be_bytes());
            to.extend_from_slice(value.as_bytes());
        }
        to.extend_from_slice(self.body);
        Some(to)
    }
}

const fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set { flag } else { 0 }
}

fn put_short(to: &mut Vec<u8>, text: &str) -> Option<()> {
    to.push(text.len().try_into().ok()?);
    to.extend_from_slice(text.as_bytes());
    Some(())
}

/// Bytes that an entry takes in a bundle.
pub(crate) const fn entry_bytes(encoded: &[u8]) -> usize {
    PREFIX + encoded.len()
}

/// Appends an entry to the body of a bundle.
pub(crate) fn append(body: &mut Vec<u8>, sooner: Duration, encoded: &[u8]) {
    let sooner = u32::try_from(sooner.as_millis()).unwrap_or(u32::MAX);
    // Entries are far smaller than that, see `limits`.
    let length = u32::try_from(4 + encoded.len()).unwrap_or(u32::MAX);
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(&sooner.to_be_bytes());
    body.extend_from_slice(encoded);
}

/// The entries of a bundle, in their order, each by itself good or bad.
pub(crate) fn take_apart(mut body: Bytes) -> Result<Vec<Result<Entry, BadEntry>>, NoBundle> {
    if body.len() > REQUEST_BYTES_MAX {
        return Err(NoBundle("it is larger than a request may be"));
    }
    if body.is_empty() {
        return Err(NoBundle("it has no entries"));
    }
    let mut entries = Vec::new();
    while !body.is_empty() {
        if entries.len() >= BUNDLE_ENTRIES_READ_MAX {
            return Err(NoBundle("it has too many entries"));
        }
        let length = body.try_get_u32().ok();
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= body.len());
        let length = length.ok_or(NoBundle("an entry is cut short"))?;
        let bytes = body.split_to(length);
        entries.push(read(bytes.clone()).map_err(|bad| BadEntry {
            id: bad.id,
            reason: bad.reason,
            bytes,
        }));
    }
    Ok(entries)
}

struct Bad {
    id: Option<CallId>,
    reason: &'static str,
}

fn read(mut from: Bytes) -> Result<Entry, Bad> {
    const CUT: &str = "it is cut short";
    let unnamed = |reason| Bad { id: None, reason };
    let sooner = from.try_get_u32().map_err(|_| unnamed(CUT))?;
    let flags = from.try_get_u8().map_err(|_| unnamed(CUT))?;
    let mut id = [0; 16];
    from.try_copy_to_slice(&mut id).map_err(|_| unnamed(CUT))?;
    let id = CallId::from_bytes(id);
    let bad = |reason| Bad {
        id: Some(id),
        reason,
    };
    if flags & !(REPEATED | UNRECORDED) != 0 {
        return Err(bad("it has flags that are not known"));
    }
    let short = |from: &mut Bytes| {
        let length = from.try_get_u8().map_err(|_| bad(CUT))?;
        text(from, length.into()).map_err(bad)
    };
    let method = short(&mut from)?;
    let count = from.try_get_u8().map_err(|_| bad(CUT))?;
    let mut headers = Headers::default();
    for _ in 0..count {
        let name = short(&mut from)?;
        let length = from.try_get_u16().map_err(|_| bad(CUT))?;
        headers.push((name, text(&mut from, length.into()).map_err(bad)?));
    }
    Ok(Entry {
        id,
        sooner: Duration::from_millis(sooner.into()),
        repeated: flags & REPEATED != 0,
        unrecorded: flags & UNRECORDED != 0,
        method,
        headers,
        body: from,
    })
}

fn text(from: &mut Bytes, length: usize) -> Result<Text, &'static str> {
    if length > from.len() {
        return Err("it is cut short");
    }
    let text = from.split_to(length);
    let text = std::str::from_utf8(&text).map_err(|_| "a text in it is not UTF-8")?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (
            any::<[u8; 16]>(),
            any::<u32>(),
            any::<[bool; 2]>(),
            ".{0,20}",
            prop::collection::vec((".{0,12}", ".{0,40}"), 0..5),
            prop::collection::vec(any::<u8>(), 0..200),
        )
            .prop_map(|(id, sooner, flags, method, headers, body)| Entry {
                id: CallId::from_bytes(id),
                sooner: Duration::from_millis(sooner.into()),
                repeated: flags[0],
                unrecorded: flags[1],
                method: method.into(),
                headers: headers
                    .into_iter()
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
                body: body.into(),
            })
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
        let before = body.len();
        let encoded = new.encode().unwrap();
        append(body, entry.sooner, &encoded);
        assert_eq!(body.len() - before, entry_bytes(&encoded));
    }

    /// Those in the documentation of the wire protocol.
    #[test]
    fn golden_bytes() {
        let mut body = Vec::new();
        let entry = Entry {
            id: "018f6d1c-5e7a-7b3c-8d9e-0f1a2b3c4d5e".parse().unwrap(),
            sooner: Duration::from_secs(1),
            repeated: false,
            unrecorded: false,
            method: "balance".into(),
            headers: [("tenant".into(), "b".into())].into(),
            body: Bytes::from_static(b"\x81\xa7account\xa1a"),
        };
        put(&mut body, &entry);
        let expected = [
            &b"\x00\x00\x00\x33\x00\x00\x03\xe8\x00"[..],
            b"\x01\x8f\x6d\x1c\x5e\x7a\x7b\x3c\x8d\x9e\x0f\x1a\x2b\x3c\x4d\x5e",
            b"\x07balance\x01\x06tenant\x00\x01b\x81\xa7account\xa1a",
        ];
        assert_eq!(body, expected.concat());
        for (repeated, unrecorded, flags) in [(true, false, 1), (false, true, 2), (true, true, 3)] {
            body.clear();
            let entry = Entry {
                repeated,
                unrecorded,
                headers: entry.headers.clone(),
                method: entry.method.clone(),
                body: entry.body.clone(),
                ..entry
            };
            put(&mut body, &entry);
            assert_eq!(body.get(8), Some(&flags));
        }
    }

    #[test]
    fn what_is_too_long_for_its_length_is_not_put_in() {
        let long = "m".repeat(256);
        let headers = vec![("k".into(), "v".repeat(65_536).into())];
        let many = vec![(Text::default(), Text::default()); 256];
        for (method, headers) in [(long.as_str(), &[][..]), ("m", &headers), ("m", &many)] {
            let new = NewEntry {
                id: CallId::new(),
                repeated: false,
                unrecorded: false,
                method,
                headers,
                body: &[],
            };
            assert_eq!(new.encode(), None);
        }
    }

    #[test]
    fn what_is_read_is_bounded() {
        let mut body = Vec::new();
        for _ in 0..BUNDLE_ENTRIES_READ_MAX {
            append(&mut body, Duration::ZERO, &[]);
        }
        assert!(take_apart(body.clone().into()).is_ok());
        append(&mut body, Duration::ZERO, &[]);
        assert!(take_apart(body.into()).is_err());
        assert!(take_apart(Bytes::new()).is_err());
        assert!(take_apart(vec![0; REQUEST_BYTES_MAX + 1].into()).is_err());
    }

    proptest! {
        #[test]
        fn any_mix_of_entries_comes_apart_as_it_was(
            entries in prop::collection::vec(entry(), 1..20),
        ) {
            let mut body = Vec::new();
            entries.iter().for_each(|entry| put(&mut body, entry));
            let read = take_apart(body.into()).unwrap();
            let read: Vec<Entry> = read.into_iter().map(Result::unwrap).collect();
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn a_bad_entry_leaves_its_neighbours_good(
            before in entry(),
            bad in prop::collection::vec(any::<u8>(), 0..60),
            after in entry(),
        ) {
            let mut body = Vec::new();
            put(&mut body, &before);
            append(&mut body, Duration::ZERO, &bad);
            put(&mut body, &after);
            let mut read = take_apart(body.into()).unwrap();
            prop_assert_eq!(read.len(), 3);
            prop_assert_eq!(read.pop().unwrap().unwrap(), after);
            if let Err(read) = read.pop().unwrap() {
                prop_assert_eq!(read.bytes.len(), 4 + bad.len());
                let id = bad.get(1..17).map(|id| CallId::from_bytes(id.try_into().unwrap()));
                prop_assert_eq!(read.id, id);
            }
            prop_assert_eq!(read.pop().unwrap().unwrap(), before);
        }

        #[test]
        fn a_bundle_that_is_cut_is_none_or_one_of_fewer_entries(
            entries in prop::collection::vec(entry(), 1..5),
            at in any::<prop::sample::Index>(),
        ) {
            let mut body = Vec::new();
            entries.iter().for_each(|entry| put(&mut body, entry));
            body.truncate(at.index(body.len()));
            if let Ok(read) = take_apart(body.into()) {
                prop_assert!(read.len() < entries.len());
                for (read, entry) in read.into_iter().zip(entries) {
                    prop_assert_eq!(read.unwrap(), entry);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            body in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = take_apart(body.into());
        }
    }
}
