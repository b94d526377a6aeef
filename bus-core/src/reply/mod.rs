//! How replies get back, and how a command's outcome is remembered: the seam between calls and a
//! store.
//!
//! Two implementations, [`memory`] and the crate `replybus-redis`, obey one contract, and one
//! conformance suite holds them to it. A bus user meets neither: these traits are for stores.

pub mod memory;

use crate::{call_id::CallId, error::SetupError};
use async_trait::async_trait;
use bytes::Bytes;
use std::{fmt, sync::Arc, time::Duration};

/// Opens a reply store; what [`Bus::connect`](crate::Bus::connect) takes.
#[async_trait]
pub trait ReplyBackend: Send + 'static {
    /// Connects and creates this process's inbox.
    ///
    /// `namespace` keeps the keys of buses apart that share a server; empty for none.
    ///
    /// # Errors
    /// The settings make no sense, or the server can't be reached within the bound.
    async fn open(
        self: Box<Self>,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError>;
}

/// Takes the replies that arrive in this process's inbox.
pub trait Arrivals: Send + Sync + 'static {
    /// A reply frame for the call `id`. Called again for the same call, or for one nobody waits
    /// for, it does nothing.
    fn arrived(&self, id: CallId, frame: Bytes);

    /// The calls that still wait, so that after a gap the store can look for their replies.
    fn waiting(&self) -> Vec<CallId>;
}

/// Stores replies and claims.
#[async_trait]
pub trait ReplyStore: fmt::Debug + Send + Sync + 'static {
    /// This process's inbox, sent as `reply_to`.
    fn inbox(&self) -> &str;

    /// Whether `reply_to`, which comes from the network, names an inbox and nothing else.
    fn is_inbox(&self, reply_to: &str) -> bool;

    /// Stores a reply, and with it the outcome of a claimed command, in one step.
    ///
    /// Once stored the reply survives this process. A reply to a call that has one is discarded:
    /// the first write wins. A reply whose inbox is gone goes under the call's own key.
    ///
    /// Callers of one command get one outcome: if the claim has one already, that is sent instead
    /// of this, and if another owner is running the command by now, nothing is.
    ///
    /// # Errors
    /// The store can't be reached or refuses; nothing is known to be stored, and storing the same
    /// again is safe.
    async fn store(&self, reply: Reply) -> Result<(), StoreError>;

    /// The reply stored under the call's own key, if it is there and has not expired.
    ///
    /// # Errors
    /// The store can't be reached.
    async fn fetch(&self, id: CallId) -> Result<Option<Bytes>, StoreError>;

    /// Asks for the right to run a command. Atomic: of many that ask at once one may run.
    ///
    /// # Errors
    /// The store can't be reached; whether the claim was taken is not known, and the same `owner`
    /// asking again gets the same answer.
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError>;

    /// Keeps a running claim from lapsing for another `lease`. `false` if it belongs to another
    /// owner by now.
    ///
    /// # Errors
    /// The store can't be reached.
    async fn renew(&self, claim: &Claim) -> Result<bool, StoreError>;

    /// Gives up a claim whose command did not start, did nothing, or is to be run again, so that
    /// another may run it at once. The attempt does not count. Does nothing if it has an outcome or
    /// belongs to another owner by now.
    ///
    /// # Errors
    /// The store can't be reached; the claim lapses by itself.
    async fn release(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Ends the lease of a run that came to no outcome, such as one that panicked, so that another
    /// may run it at once. Unlike with [`release`](Self::release) the attempt counts.
    ///
    /// # Errors
    /// The store can't be reached; the claim lapses by itself.
    async fn lapse(&self, claim: &Claim) -> Result<(), StoreError>;

    /// Whether replies can be stored and heard right now.
    fn health(&self) -> StoreHealth;

    /// Stops listening and ends the connections.
    async fn close(&self);
}

/// A reply on its way to a caller.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The call it answers.
    pub id: CallId,
    /// Where the caller looks for it.
    pub target: ReplyTarget,
    /// The encoded reply.
    pub frame: Bytes,
    /// How long it is kept under the call's own key.
    pub ttl: Duration,
    /// The claim this outcome ends. Written only while the claim is this owner's.
    pub record: Option<Claim>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("id", &self.id)
            .field("target", &self.target)
            .field("frame_bytes", &self.frame.len())
            .field("ttl", &self.ttl)
            .field("record", &self.record)
            .finish()
    }
}

/// Where a reply goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyTarget {
    /// An inbox, which [`ReplyStore::is_inbox`] accepted.
    Inbox(String),
    /// The call's own key, for callers without an inbox and for submitted calls.
    Key,
    /// Nowhere: the message was one-way. Only the claim's outcome is stored.
    None,
}

/// What is asked of the store before a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Queue, method and idempotency key (or call id).
    pub key: String,
    /// Tells requests under one key apart: a digest of the encoded arguments and their encoding.
    pub fingerprint: [u8; 16],
    /// Names this run of this process, so that a run that was given up can't overwrite its successor.
    pub owner: String,
    /// How long the claim holds without being renewed.
    pub lease: Duration,
    /// How long the outcome is remembered.
    pub retention: Duration,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Run it. `attempt` is 1 the first time, and higher after runs that did not end.
    Run {
        /// Counts the runs that were started.
        attempt: u32,
    },
    /// It ran before; this is the encoded reply.
    Done(Bytes),
    /// It is running now; ask again in a while.
    Running,
    /// The key was used for a request with another fingerprint.
    Conflict,
}

/// Whether a store can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreHealth {
    /// Replies can be stored and heard.
    Up,
    /// One of them can't; the text says which and why.
    Down(String),
}

/// The store failed.
#[derive(Debug, thiserror::Error)]
#[error("the reply store failed to {action}")]
pub struct StoreError {
    /// What was tried, such as "store a reply".
    pub action: &'static str,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
