//! Answers of queries that are kept for others: how they are looked for, and kept.

use crate::{limits::CACHE_LEASE, message::Text};
use bytes::Bytes;
use std::{fmt, time::Duration};

/// What an answer is kept under, and what makes it untrue.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct CacheKey {
    /// The queue of the service, without the namespace.
    pub queue: Text,
    /// The method, and a digest of all that its answer depends on.
    pub name: Text,
    /// Digests of the answer's tags.
    pub tags: Vec<Text>,
}

impl CacheKey {
    /// The answer called `name` of the service of `queue`, which these tags invalidate.
    #[must_use]
    pub fn new(queue: impl Into<Text>, name: impl Into<Text>, tags: Vec<Text>) -> Self {
        Self {
            queue: queue.into(),
            name: name.into(),
            tags,
        }
    }
}

// Its digests tell nobody anything.
impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheKey")
            .field("queue", &self.queue)
            .field("name", &self.name)
            .field("tags", &self.tags.len())
            .finish()
    }
}

/// A question for an answer, or for the turn to compute it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheLookup {
    /// What it is kept under.
    pub key: CacheKey,
    /// Who asks, and has the turn if there is no answer.
    pub owner: Text,
    /// The time for which its answer would be kept. What the versions of its tags are known by is
    /// kept for at least as long.
    pub ttl: Duration,
    /// The time a turn holds without being [held on to](super::ReplyStore::hold_turn).
    pub lease: Duration,
    /// An answer that there is, or a turn of another, is not heeded, and no turn is taken.
    pub anew: bool,
}

impl CacheLookup {
    /// A question by `owner`, with the lease [`CACHE_LEASE`].
    #[must_use]
    pub fn new(key: CacheKey, owner: impl Into<Text>, ttl: Duration) -> Self {
        Self {
            key,
            owner: owner.into(),
            ttl,
            lease: CACHE_LEASE,
            anew: false,
        }
    }

    /// Sets how long a turn holds.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Has the answer computed anew, whatever there is.
    #[must_use]
    pub fn anew(self) -> Self {
        Self { anew: true, ..self }
    }
}

/// What came of a [`CacheLookup`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheFound {
    /// This answer was kept, and none of its tags invalidated since.
    Answer(Bytes),
    /// There is none: the one who asks has the turn to compute it. The versions are those of its tags
    /// before it is computed, and go with the answer.
    Missing {
        /// To the store bytes that it wrote itself.
        versions: Bytes,
    },
    /// There is none yet: another computes it.
    Awaited,
    /// This store keeps no answers.
    Unsupported,
}

impl fmt::Debug for CacheFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(answer) => write!(f, "Answer({} bytes)", answer.len()),
            Self::Missing { .. } => f.write_str("Missing"),
            Self::Awaited => f.write_str("Awaited"),
            Self::Unsupported => f.write_str("Unsupported"),
        }
    }
}

/// The end of a turn: what was computed in it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheEntry {
    /// What it is kept under.
    pub key: CacheKey,
    /// Who computed it.
    pub owner: Text,
    /// The versions of its tags before it was computed.
    pub versions: Bytes,
    /// The answer; `None` if nothing is to be kept.
    pub answer: Option<Bytes>,
    /// The time for which it is kept from now on.
    pub ttl: Duration,
}

impl CacheEntry {
    /// The end of the turn of `lookup`, of whose tags these were the versions, with nothing to keep.
    #[must_use]
    pub fn ended(lookup: &CacheLookup, versions: Bytes) -> Self {
        Self {
            key: lookup.key.clone(),
            owner: lookup.owner.clone(),
            versions,
            answer: None,
            ttl: lookup.ttl,
        }
    }

    /// Has this answer kept for so long.
    #[must_use]
    pub fn keep(self, answer: Bytes, ttl: Duration) -> Self {
        let answer = Some(answer);
        Self {
            answer,
            ttl,
            ..self
        }
    }
}

impl fmt::Debug for CacheEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheEntry")
            .field("key", &self.key)
            .field("owner", &self.owner)
            .field("answer_bytes", &self.answer.as_ref().map(Bytes::len))
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
