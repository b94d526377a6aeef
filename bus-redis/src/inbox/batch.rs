//! What a read of an inbox says: where it ends, and the replies in it.

use crate::{error::Failure, group};
use bytes::Bytes;
use deadpool_redis::redis::Value;
use replybus::CallId;
use std::{fmt, str::FromStr};

/// Field names of an entry: of one reply, or of several. One that has none of them is a mark of ours
/// and is passed over.
pub(super) const ID: &str = "id";
pub(super) const FRAME: &str = "frame";
pub(super) const GROUP: &str = "group";

/// The position of an entry in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct EntryId {
    milliseconds: u64,
    sequence: u64,
}

/// A read of a stream: the entry it ends at, and the replies.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) last: Option<EntryId>,
    pub(crate) entries: usize,
    pub(crate) replies: Vec<(CallId, Bytes)>,
}

impl Batch {
    /// Takes the answer to `XREAD` of one stream apart without copying a frame.
    pub(crate) fn read(answer: Value) -> Result<Self, Failure> {
        let streams = match answer {
            Value::Nil => return Ok(Self::default()),
            Value::Array(streams) => streams,
            _ => return Err(Failure::Unexpected),
        };
        let Some(Value::Array(stream)) = streams.into_iter().next() else {
            return Err(Failure::Unexpected);
        };
        let Some(Value::Array(entries)) = stream.into_iter().nth(1) else {
            return Err(Failure::Unexpected);
        };
        let mut batch = Self {
            entries: entries.len(),
            ..Self::default()
        };
        for entry in entries {
            let Value::Array(entry) = entry else {
                return Err(Failure::Unexpected);
            };
            let mut entry = entry.into_iter();
            let (Some(Value::BulkString(at)), Some(Value::Array(fields))) =
                (entry.next(), entry.next())
            else {
                return Err(Failure::Unexpected);
            };
            batch.last = Some(EntryId::read(&at).ok_or(Failure::Unexpected)?);
            parse_replies(fields, &mut batch.replies);
        }
        Ok(batch)
    }
}

/// Anybody who may write to the stream can write anything: what is no reply is passed over.
fn parse_replies(fields: Vec<Value>, replies: &mut Vec<(CallId, Bytes)>) {
    let (mut id, mut frame) = (None, None);
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) =
        (fields.next(), fields.next())
    {
        if name == ID.as_bytes() {
            id = std::str::from_utf8(&value)
                .ok()
                .and_then(|text| text.parse().ok());
        } else if name == FRAME.as_bytes() {
            frame = Some(Bytes::from(value));
        } else if name == GROUP.as_bytes() {
            replies.extend(group::decode(&value.into()));
        }
    }
    replies.extend(id.zip(frame));
}

impl EntryId {
    /// The position of an entry as the server writes it.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        std::str::from_utf8(text).ok()?.parse().ok()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.sequence)
    }
}

impl FromStr for EntryId {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (milliseconds, sequence) = text.split_once('-').ok_or(Failure::Unexpected)?;
        Ok(Self {
            milliseconds: milliseconds.parse().map_err(|_| Failure::Unexpected)?,
            sequence: sequence.parse().map_err(|_| Failure::Unexpected)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn answer(entries: Vec<(&str, Vec<&str>)>) -> Value {
        let entries = entries.into_iter();
        answer_of(entries.map(|(id, fields)| (id, fields.into_iter().map(text).collect())))
    }

    fn answer_of<'a>(entries: impl Iterator<Item = (&'a str, Vec<Value>)>) -> Value {
        let entries =
            entries.map(|(id, fields)| Value::Array(vec![text(id), Value::Array(fields)]));
        Value::Array(vec![Value::Array(vec![
            text("inbox"),
            Value::Array(entries.collect()),
        ])])
    }

    #[test]
    fn passes_over_what_is_no_reply() {
        let id = CallId::new();
        let name = id.to_string();
        let batch = Batch::read(answer(vec![
            ("1-0", vec!["mark", "1"]),
            ("1-1", vec!["id", &name, "frame", "body"]),
            ("1-2", vec!["id", "no call id", "frame", "body"]),
            ("1-3", vec!["id", &name]),
            ("1-4", vec!["frame", "body"]),
            (
                "2-0",
                vec!["later field", "x", "frame", "second", "id", &name],
            ),
        ]))
        .unwrap();
        assert_eq!(batch.last, "2-0".parse().ok());
        let (body, second) = (Bytes::from_static(b"body"), Bytes::from_static(b"second"));
        assert_eq!(batch.replies, [(id, body), (id, second)]);
    }

    #[test]
    fn reads_replies_of_both_forms() {
        let (one, two, three) = (CallId::new(), CallId::new(), CallId::new());
        let frame = Bytes::from_static(b"body");
        let pairs = [(one, &frame), (two, &frame)];
        let group = Value::BulkString(group::encode(pairs.into_iter()).unwrap());
        let broken = Value::BulkString(vec![0x92, 0x92, 0xc4]);
        let single = ["id", &three.to_string(), "frame", "body"].map(text);
        let entries = answer_of(
            [
                ("1-0", vec![text("group"), broken]),
                ("1-1", vec![text("group"), group]),
                ("1-2", single.to_vec()),
            ]
            .into_iter(),
        );
        let batch = Batch::read(entries).unwrap();
        let expected = [one, two, three].map(|id| (id, frame.clone()));
        assert_eq!(batch.replies, expected);
    }

    #[test]
    fn survives_any_shape() {
        assert!(Batch::read(Value::Nil).unwrap().last.is_none());
        for shape in [
            Value::Okay,
            Value::Array(vec![]),
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![Value::Array(vec![text("inbox")])]),
            answer(vec![("x", vec![])]),
            answer(vec![("1-99999999999999999999", vec![])]),
        ] {
            assert!(Batch::read(shape).is_err());
        }
    }

    #[test]
    fn places_sort_as_in_redis() {
        let position = |text: &str| text.parse::<EntryId>().unwrap();
        assert!(position("9-5") < position("10-0"));
        assert!(position("10-2") < position("10-10"));
        assert_eq!(EntryId::default().to_string(), "0-0");
    }
}
