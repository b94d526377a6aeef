//! Answers that are kept for others. All keys of one service are in one slot of a cluster, so that an
//! answer is looked for together with its tags, in one step.
//!
//! A tag is invalidated by deleting it: the next who looks gives it a version that it never had, so
//! that whatever was computed before is never given to anybody, even if it is kept only afterwards.
//! A server that loses keys loses answers, and makes none true that were not.

use crate::{connection::Link, error::Failure, inbox::millis, keys::Keys};
use bytes::Bytes;
use deadpool_redis::redis::{self, Script, ScriptInvocation};
use replybus::{
    message::Text,
    reply::{CacheEntry, CacheFound, CacheKey, CacheLookup},
};

/// What a user of the server needs.
const NEEDED: &str = "+evalsha +script|load +time +hmget +hget +hset +pexpire +set +get +del";

/// The scripts, hashed once.
pub(crate) struct Cache {
    look_up: Script,
    hold_turn: Script,
    end_turn: Script,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            look_up: Script::new(include_str!("scripts/look_up.lua")),
            hold_turn: Script::new(include_str!("scripts/hold_turn.lua")),
            end_turn: Script::new(include_str!("scripts/end_turn.lua")),
        }
    }

    pub(crate) async fn look_up(
        &self,
        link: &mut Link,
        keys: &Keys,
        lookup: &CacheLookup,
    ) -> Result<CacheFound, Failure> {
        let mut asked = on_all_keys(&self.look_up, keys, &lookup.key);
        asked.arg(&*lookup.owner).arg(millis(lookup.lease));
        asked.arg(millis(lookup.ttl)).arg(u8::from(lookup.anew));
        let found: Result<Vec<Vec<u8>>, _> = asked.invoke_async(link).await;
        let found = found.map_err(|error| needing(keys, error))?;
        let mut found = found.into_iter().map(Bytes::from);
        match (found.next().as_deref(), found.next()) {
            (Some(b"answer"), Some(answer)) => Ok(CacheFound::Answer(answer)),
            (Some(b"missing"), Some(versions)) => Ok(CacheFound::Missing { versions }),
            (Some(b"awaited"), None) => Ok(CacheFound::Awaited),
            _ => Err(Failure::Unexpected),
        }
    }

    pub(crate) async fn hold_turn(
        &self,
        link: &mut Link,
        keys: &Keys,
        lookup: &CacheLookup,
    ) -> Result<(), Failure> {
        let [_, turn] = keys.cached(&lookup.key.queue, &lookup.key.name);
        let mut asked = self.hold_turn.key(turn);
        asked.arg(&*lookup.owner).arg(millis(lookup.lease));
        let held: Result<u64, _> = asked.invoke_async(link).await;
        held.map(drop).map_err(|error| needing(keys, error))
    }

    pub(crate) async fn end_turn(
        &self,
        link: &mut Link,
        keys: &Keys,
        entry: &CacheEntry,
    ) -> Result<bool, Failure> {
        let mut asked = on_all_keys(&self.end_turn, keys, &entry.key);
        asked.arg(&*entry.owner).arg(&*entry.versions);
        asked.arg(millis(entry.ttl));
        if let Some(answer) = &entry.answer {
            asked.arg(&**answer);
        }
        let ended = asked.invoke_async(link).await;
        ended.map_err(|error| needing(keys, error))
    }

    pub(crate) async fn invalidate(
        &self,
        link: &mut Link,
        keys: &Keys,
        queue: &str,
        tags: &[Text],
    ) -> Result<(), Failure> {
        if tags.is_empty() {
            return Ok(());
        }
        let mut delete = redis::cmd("DEL");
        for tag in tags {
            delete.arg(keys.cache_tag(queue, tag));
        }
        let deleted: Result<u64, _> = delete.query_async(link).await;
        deleted.map(drop).map_err(|error| needing(keys, error))
    }
}

fn on_all_keys<'a>(script: &'a Script, keys: &Keys, key: &CacheKey) -> ScriptInvocation<'a> {
    let mut asked = script.prepare_invoke();
    for place in keys.cached(&key.queue, &key.name) {
        asked.key(place);
    }
    for tag in &key.tags {
        asked.key(keys.cache_tag(&key.queue, tag));
    }
    asked
}

fn needing(keys: &Keys, error: impl Into<Failure>) -> Failure {
    let failure: Failure = error.into();
    failure.needing(&format!("~{}", keys.all_in_scope()), NEEDED)
}
