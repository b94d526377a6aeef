//! The inbox of one process: a Redis stream that lives as long as its owner does.
//!
//! It is made with an expiry that the owner puts off for as long as it lives. Nobody else makes it:
//! `NOMKSTREAM` keeps a reply to a dead caller from making a stream that would never expire.

mod batch;

pub(crate) use batch::{Batch, EntryId};

use crate::{connection::Link, error::Failure};
use batch::{FRAME, GROUP, ID};
use bytes::Bytes;
use deadpool_redis::redis::{self, Cmd, RedisError, Value};
use replybus::limits;
use std::time::Duration;

/// The time an inbox outlives a sign of life of its owner: as long as a call may wait, so that the
/// replies to one that is cut off are there when it is back.
const INBOX_TTL: Duration = limits::CALL_TIMEOUT_MAX;
/// Entries kept in an inbox (`XADD MAXLEN ~`): twice as many as calls may wait, so that none is
/// trimmed unread.
pub(crate) const ENTRIES_MAX: usize = 2 * limits::WAITING_MAX;

/// The field of an entry that is no reply.
const MARK: &str = "mark";

/// Commands on one inbox.
#[derive(Debug, Clone)]
pub(crate) struct Inbox {
    key: String,
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
                        EntryId::read(id)
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
        Batch::read(read.query_async(link).await?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_never_zero_milliseconds() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_micros(1500)), 1);
        assert_eq!(millis(Duration::from_secs(2)), 2000);
        assert_eq!(millis(Duration::MAX), i64::MAX.unsigned_abs());
    }
}
