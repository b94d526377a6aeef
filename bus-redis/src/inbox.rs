//! The inbox of one process: a Redis stream that lives as long as its owner does.
//!
//! It is made with an expiry that the owner puts off for as long as it lives. Nobody else makes it:
//! `NOMKSTREAM` keeps a reply to a dead caller from making a stream that would never expire.

use crate::{connection::Link, error::Failure, group};
use bytes::Bytes;
use deadpool_redis::redis::{self, Cmd, RedisError, Value};
use replybus::{CallId, limits};
use std::{fmt, str::FromStr, time::Duration};

/// The time an inbox outlives a sign of life of its owner.
const INBOX_TTL: Duration = Duration::from_secs(60);
/// Entries kept in an inbox (`XADD MAXLEN ~`): twice as many as calls may wait, so that none is
/// trimmed unread.
pub(crate) const ENTRIES_MAX: usize = 2 * limits::WAITING_MAX;

/// Field names of an entry: of one reply, or of several. One that has none of them is a mark of ours
/// and is passed over.
const ID: &str = "id";
const FRAME: &str = "frame";
const GROUP: &str = "group";
const MARK: &str = "mark";

/// Commands on one inbox.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    key: String,
}

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

impl Inbox {
    pub(crate) fn new(key: String) -> Self {
        Self { key }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Makes the stream, or puts a mark in it if it is there. Read it from the beginning.
    pub(crate) async fn create(&self, link: &mut Link) -> Result<(), Failure> {
        let mut both = redis::pipe();
        both.atomic()
            .cmd("XADD")
            .arg(&self.key)
            .arg("*")
            .arg(MARK)
            .arg(1)
            .ignore();
        both.cmd("PEXPIRE")
            .arg(&self.key)
            .arg(millis(INBOX_TTL))
            .ignore();
        Ok(both.query_async(link).await?)
    }

    /// Puts off the expiry and frees what was read. `false` if the stream is gone.
    pub(crate) async fn keep(&self, link: &mut Link, read: EntryId) -> Result<bool, Failure> {
        let mut both = redis::pipe();
        both.cmd("XTRIM")
            .arg(&self.key)
            .arg("MINID")
            .arg(read.to_string())
            .ignore();
        both.cmd("PEXPIRE").arg(&self.key).arg(millis(INBOX_TTL));
        let (kept,): (bool,) = both.query_async(link).await?;
        Ok(kept)
    }

    /// The position of the newest entry there ever was; `None` if the stream is gone.
    pub(crate) async fn newest(&self, link: &mut Link) -> Result<Option<EntryId>, Failure> {
        let mut info = redis::cmd("XINFO");
        match info
            .arg("STREAM")
            .arg(&self.key)
            .query_async::<Value>(link)
            .await
        {
            Ok(Value::Array(pairs)) => {
                let mut pairs = pairs.chunks_exact(2);
                let newest = pairs.find_map(|pair| match pair {
                    [Value::BulkString(name), Value::BulkString(id)]
                        if name == b"last-generated-id" =>
                    {
                        parse_id(id)
                    }
                    _ => None,
                });
                newest.map(Some).ok_or(Failure::Unexpected)
            }
            Ok(_) => Err(Failure::Unexpected),
            Err(error) if is_no_such_key(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads so many entries at most of what came after `last`, or waits for one for as long as
    /// `block`.
    pub(crate) async fn read(
        &self,
        link: &mut Link,
        last: EntryId,
        entries: usize,
        block: Duration,
    ) -> Result<Batch, Failure> {
        let mut read = redis::cmd("XREAD");
        read.arg("BLOCK")
            .arg(millis(block))
            .arg("COUNT")
            .arg(entries);
        read.arg("STREAMS").arg(&self.key).arg(last.to_string());
        parse_batch(read.query_async(link).await?)
    }

    /// Writes a mark, as a reply would be written, to learn whether that works.
    pub(crate) async fn probe(&self, link: &mut Link) -> Result<(), Failure> {
        Ok(append(&self.key).arg(MARK).arg(1).query_async(link).await?)
    }

    pub(crate) async fn delete(&self, link: &mut Link) -> Result<(), Failure> {
        Ok(redis::cmd("DEL").arg(&self.key).query_async(link).await?)
    }
}

/// Adds a reply to the inbox `key`, whoever owns it. `false` if it is gone.
pub(crate) async fn deliver(
    link: &mut Link,
    key: &str,
    id: &str,
    frame: &[u8],
) -> Result<bool, Failure> {
    let mut add = append(key);
    add.arg(ID).arg(id).arg(FRAME).arg(frame);
    let entry: Option<Bytes> = add.query_async(link).await?;
    Ok(entry.is_some())
}

/// Adds a [group](crate::group) of replies to the inbox `key`, as one entry. `false` if it is gone.
pub(crate) async fn deliver_group(
    link: &mut Link,
    key: &str,
    group: &[u8],
) -> Result<bool, Failure> {
    let mut add = append(key);
    add.arg(GROUP).arg(group);
    let entry: Option<Bytes> = add.query_async(link).await?;
    Ok(entry.is_some())
}

/// An `XADD` that lacks its fields.
fn append(key: &str) -> Cmd {
    let mut add = redis::cmd("XADD");
    add.arg(key)
        .arg("NOMKSTREAM")
        .arg("MAXLEN")
        .arg("~")
        .arg(ENTRIES_MAX)
        .arg("*");
    add
}

/// Takes the answer to `XREAD` of one stream apart without copying a frame.
fn parse_batch(answer: Value) -> Result<Batch, Failure> {
    let streams = match answer {
        Value::Nil => return Ok(Batch::default()),
        Value::Array(streams) => streams,
        _ => return Err(Failure::Unexpected),
    };
    let Some(Value::Array(stream)) = streams.into_iter().next() else {
        return Err(Failure::Unexpected);
    };
    let Some(Value::Array(entries)) = stream.into_iter().nth(1) else {
        return Err(Failure::Unexpected);
    };
    let mut batch = Batch {
        entries: entries.len(),
        ..Batch::default()
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
        batch.last = Some(parse_id(&at).ok_or(Failure::Unexpected)?);
        parse_replies(fields, &mut batch.replies);
    }
    Ok(batch)
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

fn parse_id(text: &[u8]) -> Option<EntryId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn is_no_such_key(error: &RedisError) -> bool {
    error
        .detail()
        .is_some_and(|detail| detail.contains("no such key"))
}

/// Whole milliseconds, at least one: Redis takes 0 as "for ever" or refuses it.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .clamp(1, i64::MAX.unsigned_abs())
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
        let batch = parse_batch(answer(vec![
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
        let batch = parse_batch(entries).unwrap();
        let expected = [one, two, three].map(|id| (id, frame.clone()));
        assert_eq!(batch.replies, expected);
    }

    #[test]
    fn survives_any_shape() {
        assert!(parse_batch(Value::Nil).unwrap().last.is_none());
        for shape in [
            Value::Okay,
            Value::Array(vec![]),
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![Value::Array(vec![text("inbox")])]),
            answer(vec![("x", vec![])]),
            answer(vec![("1-99999999999999999999", vec![])]),
        ] {
            assert!(parse_batch(shape).is_err());
        }
    }

    #[test]
    fn places_sort_as_in_redis() {
        let position = |text: &str| text.parse::<EntryId>().unwrap();
        assert!(position("9-5") < position("10-0"));
        assert!(position("10-2") < position("10-10"));
        assert_eq!(EntryId::default().to_string(), "0-0");
    }

    #[test]
    fn a_duration_is_never_zero_milliseconds() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_micros(1500)), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert_eq!(millis(Duration::MAX), i64::MAX.unsigned_abs());
    }
}
