//! A reply as it is handed to a store, and what became of it there.

use super::Claim;
#[cfg(doc)]
use super::ReplyStore;
use crate::{call_id::CallId, limits::REPLY_TTL, message::Text};
use bytes::Bytes;
use std::{fmt, time::Duration};

/// A reply on its way to a caller.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The call it answers.
    pub id: CallId,
    /// The place where the caller looks for it.
    pub target: ReplyTarget,
    /// The encoded reply.
    pub frame: Bytes,
    /// The time it is kept under the call's own key.
    pub ttl: Duration,
    /// The claim this outcome ends. Written only while the claim is this owner's.
    pub record: Option<Claim>,
    /// Its caller has said that it reads groups: the store may put this reply into one entry of the
    /// inbox with others. Without an inbox it makes no difference.
    pub groupable: bool,
}

impl Reply {
    /// A reply that is kept for [`REPLY_TTL`], ends no claim and has an entry to itself.
    #[must_use]
    pub fn new(id: CallId, target: ReplyTarget, frame: Bytes) -> Self {
        Self {
            id,
            target,
            frame,
            ttl: REPLY_TTL,
            record: None,
            groupable: false,
        }
    }

    /// Sets the time it is kept under the call's own key.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    /// Sets the claim this outcome ends.
    #[must_use]
    pub fn record(self, claim: Claim) -> Self {
        let record = Some(claim);
        Self { record, ..self }
    }

    /// Sets whether its caller reads groups, which a caller must have said of itself: one that does
    /// not know them would pass over the entry, and wait in vain.
    ///
    /// A group spares the store work when many replies to one inbox are ready together. None waits
    /// for another: one that is alone is written alone, at once. Whoever stores a reply of a group
    /// is told of that reply, as without one.
    ///
    /// ```
    /// use replybus::{Bytes, CallId, reply::{Reply, ReplyTarget}};
    ///
    /// let inbox = ReplyTarget::Inbox("replybus:inbox:{..}".into());
    /// let reply = Reply::new(CallId::new(), inbox, Bytes::from("ok"));
    /// assert!(!reply.groupable);
    /// assert!(reply.groupable(true).groupable);
    /// ```
    #[must_use]
    pub fn groupable(self, groupable: bool) -> Self {
        Self { groupable, ..self }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("id", &self.id)
            .field("target", &self.target)
            .field("frame_bytes", &self.frame.len())
            .field("ttl", &self.ttl)
            .field("record", &self.record)
            .field("groupable", &self.groupable)
            .finish()
    }
}

/// The place that a reply came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stored {
    /// The place that it was for, as far as the store knows.
    AsAsked,
    /// The call's own key: the store has no such inbox. If its caller still waits, the caller uses
    /// another store, or has just ended.
    InboxAbsent,
    /// Nowhere, and nothing is recorded: another owner runs the command by now, and its outcome is
    /// still to come. That owner answers the request that it has itself, which may be another one
    /// under the same idempotency key: who stored this still owes an answer.
    TakenOver,
}

/// The place a reply goes to.
///
/// These are all there are: a store that knew less could only lose the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyTarget {
    /// An inbox, which [`ReplyStore::is_inbox`] accepted.
    Inbox(Text),
    /// The call's own key, for callers without an inbox and for submitted calls.
    Key,
    /// Nowhere: the message was one-way. Only the claim's outcome is stored.
    None,
}
