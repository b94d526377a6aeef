//! Answers that are kept for others, by the rules of the Redis store: an answer counts while all of
//! its tags have the versions that they had before it was computed, and a tag that is invalidated
//! has none.

use super::{Expiring, expiring::after};
use crate::{
    message::Text,
    reply::{CacheEntry, CacheFound, CacheKey, CacheLookup},
};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// A queue, and a name in it.
type Place = (Text, Text);

#[derive(Default)]
pub(super) struct Cache {
    answers: Expiring<Place, Kept>,
    turns: Expiring<Place, Text>,
    tags: Expiring<Place, Tag>,
    /// Counts versions, so that none is used twice.
    versions: u64,
}

struct Kept {
    versions: Bytes,
    answer: Bytes,
}

#[derive(Clone, Copy)]
struct Tag {
    version: u64,
    until: Instant,
}

impl Cache {
    pub(super) fn look_up(&mut self, lookup: &CacheLookup) -> CacheFound {
        let place = place(&lookup.key);
        if !lookup.anew {
            let versions = self.versions_of(&lookup.key);
            if let (Some(kept), Some(versions)) = (self.answers.get(&place), versions)
                && kept.versions == versions
            {
                return CacheFound::Answer(kept.answer.clone());
            }
            match self.turns.get(&place) {
                Some(owner) if *owner != lookup.owner => return CacheFound::Awaited,
                _ => self.turns.insert(place, lookup.owner.clone(), lookup.lease),
            }
        }
        let until = after(Instant::now(), lookup.ttl);
        for tag in &lookup.key.tags {
            self.keep_tag(&lookup.key, tag, until, lookup.ttl);
        }
        let versions = self.versions_of(&lookup.key).unwrap_or_default();
        CacheFound::Missing { versions }
    }

    /// Has a tag a version for at least so long.
    fn keep_tag(&mut self, key: &CacheKey, tag: &Text, until: Instant, ttl: Duration) {
        let place = (key.queue.clone(), tag.clone());
        let version = match self.tags.get(&place) {
            Some(held) if held.until >= until => return,
            Some(held) => held.version,
            None => {
                self.versions += 1;
                self.versions
            }
        };
        self.tags.insert(place, Tag { version, until }, ttl);
    }

    /// The versions of the tags of an answer, if each has one.
    fn versions_of(&self, key: &CacheKey) -> Option<Bytes> {
        let mut versions = Vec::with_capacity(key.tags.len() * 8);
        for tag in &key.tags {
            let tag = self.tags.get(&(key.queue.clone(), tag.clone()))?;
            versions.extend(tag.version.to_be_bytes());
        }
        Some(versions.into())
    }

    pub(super) fn hold_turn(&mut self, lookup: &CacheLookup) {
        let place = place(&lookup.key);
        if self.turns.get(&place) == Some(&lookup.owner) {
            self.turns.insert(place, lookup.owner.clone(), lookup.lease);
        }
    }

    pub(super) fn end_turn(&mut self, entry: &CacheEntry) -> bool {
        let place = place(&entry.key);
        if self.turns.get(&place) == Some(&entry.owner) {
            self.turns.remove(&place);
        }
        if self.versions_of(&entry.key).as_ref() != Some(&entry.versions) {
            return false;
        }
        if let Some(answer) = &entry.answer {
            let kept = Kept {
                versions: entry.versions.clone(),
                answer: answer.clone(),
            };
            self.answers.insert(place, kept, entry.ttl);
        }
        true
    }

    pub(super) fn invalidate(&mut self, queue: &str, tags: &[Text]) {
        for tag in tags {
            self.tags.remove(&(Text::from(queue), tag.clone()));
        }
    }
}

fn place(key: &CacheKey) -> Place {
    (key.queue.clone(), key.name.clone())
}
