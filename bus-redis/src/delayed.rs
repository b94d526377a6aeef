//! Notes of what waits on the broker: for each queue a sorted set of ids, by when they are due, and a
//! hash of their records. Those that are due by the server's clock are passed over.

use crate::{connection::Link, error::Failure, keys::Keys, presences::needing};
use bytes::Bytes;
use deadpool_redis::redis::Script;
use replybus::{
    CallId,
    limits::{DELAYED_LISTED_MAX, DELAYED_RECORD_BYTES_MAX},
    reply::DelayedNote,
};

/// The scripts, hashed once.
pub(crate) struct Delayed {
    note: Script,
    forget: Script,
    list: Script,
}

impl Delayed {
    pub(crate) fn new() -> Self {
        Self {
            note: Script::new(include_str!("scripts/note_delayed.lua")),
            forget: Script::new(include_str!("scripts/forget_delayed.lua")),
            // Records whose moment is ahead, as those of instances.
            list: Script::new(include_str!("scripts/instances.lua")),
        }
    }

    pub(crate) async fn note(
        &self,
        link: &mut Link,
        keys: &Keys,
        note: &DelayedNote,
    ) -> Result<(), Failure> {
        let [due, records] = keys.delayed(&note.place);
        let mut asked = self.note.key(due);
        asked.key(records).arg(note.id.to_string());
        asked.arg(crate::inbox::millis(note.due)).arg(&*note.record);
        asked.arg(DELAYED_LISTED_MAX);
        let noted: Result<u64, _> = asked.invoke_async(link).await;
        noted.map(drop).map_err(|error| needing(keys, error))
    }

    pub(crate) async fn forget(
        &self,
        link: &mut Link,
        keys: &Keys,
        place: &str,
        id: CallId,
    ) -> Result<(), Failure> {
        let [due, records] = keys.delayed(place);
        let mut asked = self.forget.key(due);
        asked.key(records).arg(id.to_string());
        let forgotten = asked.invoke_async(link).await;
        forgotten.map_err(|error| needing(keys, error))
    }

    pub(crate) async fn list(
        &self,
        link: &mut Link,
        keys: &Keys,
        place: &str,
    ) -> Result<Vec<Bytes>, Failure> {
        let [due, records] = keys.delayed(place);
        let mut asked = self.list.key(due);
        asked.key(records).arg(DELAYED_LISTED_MAX);
        asked.arg(DELAYED_RECORD_BYTES_MAX);
        let listed: Result<Vec<Vec<u8>>, _> = asked.invoke_async(link).await;
        let listed = listed.map_err(|error| needing(keys, error))?;
        Ok(listed.into_iter().map(Bytes::from).collect())
    }
}
