//! The way of replies back to their callers, and the memory of what commands did: the seam between
//! calls and a store.
//!
//! Two implementations, [`memory`] and the crate `replybus-redis`, obey one contract, and one suite
//! holds them to it, the crate `replybus-conformance`, which has a test for each promise and is for
//! others as well. A bus user meets neither: these traits are for stores. What a store must do, method
//! by method, is in `docs/transports.md`.
//!
//! A store that keeps its state elsewhere implements [`ReplyBackend`], which opens it, and
//! [`ReplyStore`]. One that adds to another store, here a count of what is stored, wraps both:
//!
//! ```
//! use async_trait::async_trait;
//! use replybus::{
//!     Bytes, CallId, SetupError,
//!     message::Text,
//!     presence::InstanceId,
//!     reply::{
//!         Arrivals, CacheEntry, CacheFound, CacheLookup, Cancel, Cancelled, Claim, Claimed, CommandRecord,
//!         DelayedNote, FlightBatch, FlightCursor, FlightPage, Presence, Reply, ReplyBackend, ReplyStore, ReplyTarget, StoreError, StoreHealth, Stored, memory::MemoryReplies,
//!     },
//! };
//! use std::{
//!     sync::{
//!         Arc,
//!         atomic::{AtomicUsize, Ordering},
//!     },
//!     time::Duration,
//! };
//!
//! struct Counted<B> {
//!     replies: B,
//!     stored: Arc<AtomicUsize>,
//! }
//!
//! #[derive(Debug)]
//! struct CountedStore {
//!     store: Arc<dyn ReplyStore>,
//!     stored: Arc<AtomicUsize>,
//! }
//!
//! #[async_trait]
//! impl<B: ReplyBackend> ReplyBackend for Counted<B> {
//!     async fn open(
//!         self: Box<Self>,
//!         namespace: &str,
//!         arrivals: Arc<dyn Arrivals>,
//!     ) -> Result<Arc<dyn ReplyStore>, SetupError> {
//!         let store = Box::new(self.replies).open(namespace, arrivals).await?;
//!         Ok(Arc::new(CountedStore { store, stored: self.stored }))
//!     }
//! }
//!
//! #[async_trait]
//! impl ReplyStore for CountedStore {
//!     async fn store(&self, reply: Reply) -> Result<Stored, StoreError> {
//!         self.stored.fetch_add(1, Ordering::Relaxed);
//!         self.store.store(reply).await
//!     }
//!     // The rest is the other store's.
//! #    fn inbox(&self) -> &str {
//! #        self.store.inbox()
//! #    }
//! #    fn is_inbox(&self, reply_to: &str) -> bool {
//! #        self.store.is_inbox(reply_to)
//! #    }
//! #    async fn fetch(&self, id: CallId) -> Result<Option<Bytes>, StoreError> {
//! #        self.store.fetch(id).await
//! #    }
//! #    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
//! #        self.store.claim(claim).await
//! #    }
//! #    async fn renew(&self, claim: &Claim) -> Result<bool, StoreError> {
//! #        self.store.renew(claim).await
//! #    }
//! #    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
//! #        self.store.release(claim).await
//! #    }
//! #    async fn lapse(&self, claim: &Claim) -> Result<(), StoreError> {
//! #        self.store.lapse(claim).await
//! #    }
//! #    async fn cancel(&self, cancel: &Cancel) -> Result<Cancelled, StoreError> {
//! #        self.store.cancel(cancel).await
//! #    }
//! #    async fn note(&self, claim: &Claim, progress: Bytes) -> Result<(), StoreError> {
//! #        self.store.note(claim, progress).await
//! #    }
//! #    async fn record(&self, key: &str) -> Result<Option<CommandRecord>, StoreError> {
//! #        self.store.record(key).await
//! #    }
//! #    async fn announce(&self, presence: &Presence) -> Result<(), StoreError> {
//! #        self.store.announce(presence).await
//! #    }
//! #    async fn withdraw(&self, queue: &str, instance: InstanceId) -> Result<(), StoreError> {
//! #        self.store.withdraw(queue, instance).await
//! #    }
//! #    async fn present(&self, queue: &str) -> Result<Vec<Bytes>, StoreError> {
//! #        self.store.present(queue).await
//! #    }
//! #    async fn one_present(&self, queue: &str) -> Result<Option<Bytes>, StoreError> {
//! #        self.store.one_present(queue).await
//! #    }
//! #    async fn present_queues(&self) -> Result<Vec<String>, StoreError> {
//! #        self.store.present_queues().await
//! #    }
//! #    async fn give_up(&self, queue: &str, id: CallId, within: Duration) -> Result<bool, StoreError> {
//! #        self.store.give_up(queue, id, within).await
//! #    }
//! #    async fn given_up(&self, queue: &str) -> Result<Vec<(CallId, Duration)>, StoreError> {
//! #        self.store.given_up(queue).await
//! #    }
//! #    async fn note_delayed(&self, note: &DelayedNote) -> Result<(), StoreError> {
//! #        self.store.note_delayed(note).await
//! #    }
//! #    async fn forget_delayed(&self, place: &str, id: CallId) -> Result<(), StoreError> {
//! #        self.store.forget_delayed(place, id).await
//! #    }
//! #    async fn delayed(&self, place: &str) -> Result<Vec<Bytes>, StoreError> {
//! #        self.store.delayed(place).await
//! #    }
//! #    async fn record_flight(&self, batch: &FlightBatch) -> Result<(), StoreError> {
//! #        self.store.record_flight(batch).await
//! #    }
//! #    async fn flight_page(&self, from: &FlightCursor) -> Result<FlightPage, StoreError> {
//! #        self.store.flight_page(from).await
//! #    }
//! #    async fn look_up(&self, lookup: &CacheLookup) -> Result<CacheFound, StoreError> {
//! #        self.store.look_up(lookup).await
//! #    }
//! #    async fn hold_turn(&self, lookup: &CacheLookup) -> Result<(), StoreError> {
//! #        self.store.hold_turn(lookup).await
//! #    }
//! #    async fn end_turn(&self, entry: &CacheEntry) -> Result<bool, StoreError> {
//! #        self.store.end_turn(entry).await
//! #    }
//! #    async fn invalidate(&self, queue: &str, tags: &[Text]) -> Result<(), StoreError> {
//! #        self.store.invalidate(queue, tags).await
//! #    }
//! #    fn health(&self) -> StoreHealth {
//! #        self.store.health()
//! #    }
//! #    async fn close(&self) {
//! #        self.store.close().await;
//! #    }
//! }
//! #
//! # struct Nobody;
//! #
//! # impl Arrivals for Nobody {
//! #     fn arrived(&self, _: CallId, _: Bytes) {}
//! #     fn waiting(&self) -> Vec<CallId> {
//! #         Vec::new()
//! #     }
//! # }
//! #
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let stored = Arc::new(AtomicUsize::new(0));
//! # let counted = Counted { replies: MemoryReplies::new(), stored: stored.clone() };
//! # let store = Box::new(counted).open("", Arc::new(Nobody)).await?;
//! # let id = CallId::new();
//! # store.store(Reply::new(id, ReplyTarget::Key, Bytes::from("ok"))).await?;
//! # assert_eq!(store.fetch(id).await?, Some("ok".into()));
//! # assert_eq!(stored.load(Ordering::Relaxed), 1);
//! # Ok(())
//! # }
//! ```

mod cache;
mod claim;
mod delayed;
mod flight;
mod health;
pub mod memory;
mod presence;
mod record;
mod stored;

pub use cache::{CacheEntry, CacheFound, CacheKey, CacheLookup};
pub use claim::{Cancel, Cancelled, Claim, Claimed};
pub use delayed::DelayedNote;
pub use flight::{FlightBatch, FlightCursor, FlightPage};
pub use health::{StoreError, StoreHealth};
pub use presence::Presence;
pub use record::CommandRecord;
pub use stored::{Reply, ReplyTarget, Stored};

use crate::{
    call_id::CallId, error::SetupError, limits::PRESENCE_TTL, message::Text, presence::InstanceId,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{fmt, sync::Arc, time::Duration};

/// A reply store that is not open yet; what [`Bus::connect`](crate::Bus::connect) takes.
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

/// The taker of the replies that arrive in this process's inbox.
pub trait Arrivals: Send + Sync + 'static {
    /// A reply frame for the call `id`. Called again for the same call, or for one nobody waits
    /// for, it does nothing.
    fn arrived(&self, id: CallId, frame: Bytes);

    /// The calls that still wait, so that after a gap the store can look for their replies.
    fn waiting(&self) -> Vec<CallId>;
}

/// An open store of replies and claims.
#[async_trait]
pub trait ReplyStore: fmt::Debug + Send + Sync + 'static {
    /// This process's inbox, sent as `reply_to`.
    fn inbox(&self) -> &str;

    /// True if `reply_to`, which comes from the network, names an inbox and nothing else.
    fn is_inbox(&self, reply_to: &str) -> bool;

    /// Stores a reply, and with it the outcome of a claimed command, in one step.
    ///
    /// Once stored the reply survives this process. A reply to a call that has one is discarded:
    /// the first write wins. A reply whose inbox is gone goes under the call's own key, and the
    /// answer says so.
    ///
    /// Callers of one command get one outcome: if the claim has one already, that is sent instead
    /// of this, and if another owner is running the command by now, nothing is:
    /// [`Stored::TakenOver`].
    ///
    /// # Errors
    /// The store can't be reached or refuses; nothing is known to be stored, and storing the same
    /// again is safe.
    async fn store(&self, reply: Reply) -> Result<Stored, StoreError>;

    /// Adds a frame of a stream to an inbox, behind all that this process has added to it for the
    /// same call. Unlike a reply it is one of many for its call, and if the inbox is gone it is
    /// stored nowhere: [`Stored::InboxAbsent`].
    ///
    /// # Errors
    /// The store can't be reached; it may or may not have been added, and adding it again is safe.
    /// A store that does not say how refuses, and no streams are served with it.
    async fn append(&self, inbox: &Text, id: CallId, frame: Bytes) -> Result<Stored, StoreError> {
        let _ = (inbox, id, frame);
        let reason = "this store carries no streams";
        Err(StoreError::new("add to a stream", reason))
    }

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
    /// If a handler blocks its runtime this is called on another one, on a thread of the bus's own.
    /// So it must not need what the runtime drives that the store was opened on, such as the
    /// connection that everything else goes over.
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

    /// Cancels a command in the record that its claim is asked of, so that it is never started
    /// unless it was: one step, against all claims. What was started and came to no outcome, and
    /// is held by nobody, is done as interrupted. What is running goes on; if its worker dies before
    /// it comes to an outcome, it is not begun anew either, and is done as interrupted.
    ///
    /// # Errors
    /// The store can't be reached; it may or may not have been cancelled.
    async fn cancel(&self, cancel: &Cancel) -> Result<Cancelled, StoreError>;

    /// Notes in a command's record how far its run is, in place of what was noted before. Does
    /// nothing if the claim has an outcome or belongs to another owner by now.
    ///
    /// # Errors
    /// The store can't be reached; it may or may not have been noted.
    async fn note(&self, claim: &Claim, progress: Bytes) -> Result<(), StoreError>;

    /// What is known of the command with this key of a claim; `None` if nothing is: it was not
    /// started, or is forgotten. Changes nothing, for the claim neither.
    ///
    /// # Errors
    /// The store can't be reached.
    async fn record(&self, key: &str) -> Result<Option<CommandRecord>, StoreError>;

    /// Keeps the record of a serving instance until its time to live is over, or it is announced
    /// again, or [withdrawn](Self::withdraw). Nothing depends on it: a store that does not say how
    /// keeps none.
    ///
    /// # Errors
    /// The store can't be reached or refuses.
    async fn announce(&self, presence: &Presence) -> Result<(), StoreError> {
        let _ = presence;
        Ok(())
    }

    /// The time after its last announcement for which an instance is to count as serving; it is
    /// announced three times in it.
    fn presence_ttl(&self) -> Duration {
        PRESENCE_TTL
    }

    /// Removes the record of an instance of the service of `queue`, if there is one.
    ///
    /// # Errors
    /// The store can't be reached or refuses; the record expires by itself.
    async fn withdraw(&self, queue: &str, instance: InstanceId) -> Result<(), StoreError> {
        let _ = (queue, instance);
        Ok(())
    }

    /// The records of the instances that serve `queue`, without the namespace; up to
    /// [`INSTANCES_LISTED_MAX`](crate::limits::INSTANCES_LISTED_MAX), and none that is larger than
    /// [`PRESENCE_RECORD_BYTES_MAX`](crate::limits::PRESENCE_RECORD_BYTES_MAX).
    ///
    /// # Errors
    /// The store can't be reached, or keeps no such records, which is all that it says if it does
    /// not say how.
    async fn present(&self, queue: &str) -> Result<Vec<Bytes>, StoreError> {
        let _ = queue;
        let reason = "this store keeps no records of instances";
        Err(StoreError::new("list instances", reason))
    }

    /// The record of one of these instances, if there are any. Callers that wait for a slow service
    /// ask for it once a second; by default it is the first of all.
    ///
    /// # Errors
    /// As of [`present`](Self::present).
    async fn one_present(&self, queue: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.present(queue).await?.into_iter().next())
    }

    /// The queues, without the namespace, that have records of instances, or had until the last of
    /// them expired, less than [`SERVICE_REMEMBERED`](crate::limits::SERVICE_REMEMBERED) ago; up to
    /// [`SERVICES_LISTED_MAX`](crate::limits::SERVICES_LISTED_MAX). One whose last record was
    /// [withdrawn](Self::withdraw) is not among them.
    ///
    /// # Errors
    /// As of [`present`](Self::present).
    async fn present_queues(&self) -> Result<Vec<String>, StoreError> {
        let reason = "this store keeps no records of instances";
        Err(StoreError::new("list services", reason))
    }

    /// Notes a call to `queue`, without the namespace, that its caller has given up because nobody
    /// serves it: whoever begins to serve it within this time does not start it. `false` if it is not
    /// noted, as there are [too many](crate::limits::GIVEN_UP_MAX); a store that does not say how
    /// notes none.
    ///
    /// # Errors
    /// The store can't be reached or refuses; it may or may not be noted.
    async fn give_up(&self, queue: &str, id: CallId, within: Duration) -> Result<bool, StoreError> {
        let _ = (queue, id, within);
        Ok(false)
    }

    /// The calls to `queue` that were given up, each with the time for which it is not to be started.
    ///
    /// # Errors
    /// The store can't be reached or refuses.
    async fn given_up(&self, queue: &str) -> Result<Vec<(CallId, Duration)>, StoreError> {
        let _ = queue;
        Ok(Vec::new())
    }

    /// Notes a message that waits on the broker, in place of an earlier note of it, until it is due;
    /// up to [`DELAYED_LISTED_MAX`](crate::limits::DELAYED_LISTED_MAX) for one place. Nothing depends
    /// on it: a store that does not say how notes none.
    ///
    /// # Errors
    /// The store can't be reached or refuses.
    async fn note_delayed(&self, note: &DelayedNote) -> Result<(), StoreError> {
        let _ = note;
        Ok(())
    }

    /// Forgets such a note, if there is one, and keeps one from being written for
    /// [`DELAYED_FORGOTTEN_FOR`](crate::limits::DELAYED_FORGOTTEN_FOR): whoever delayed the message may
    /// still be about to.
    ///
    /// # Errors
    /// The store can't be reached or refuses.
    async fn forget_delayed(&self, place: &str, id: CallId) -> Result<(), StoreError> {
        let _ = (place, id);
        Ok(())
    }

    /// The records of what waits for a place and is not due yet, none of them larger than
    /// [`DELAYED_RECORD_BYTES_MAX`](crate::limits::DELAYED_RECORD_BYTES_MAX).
    ///
    /// # Errors
    /// The store can't be reached, or keeps no such notes, which is all that it says if it does not
    /// say how.
    async fn delayed(&self, place: &str) -> Result<Vec<Bytes>, StoreError> {
        let _ = place;
        let reason = "this store keeps no notes of what is delayed";
        Err(StoreError::new("list what waits", reason))
    }

    /// Adds events to the [flight record](crate::flight) of the namespace, behind all that is there.
    /// Nothing depends on it. What can't be added is dropped and not tried again.
    ///
    /// # Errors
    /// The store can't be reached or refuses, or keeps no such record, which is all that it says if
    /// it does not say how; some of them may have been added.
    async fn record_flight(&self, batch: &FlightBatch) -> Result<(), StoreError> {
        let _ = batch;
        Err(StoreError::new("record events of calls", NoFlightRecord))
    }

    /// The events of the flight record from a place on, with the place of those that follow. Whoever
    /// reads it to the end has all that was there when the reading began and was not dropped since.
    ///
    /// # Errors
    /// As of [`record_flight`](Self::record_flight).
    async fn flight_page(&self, from: &FlightCursor) -> Result<FlightPage, StoreError> {
        let _ = from;
        Err(StoreError::new("read the flight record", NoFlightRecord))
    }

    /// Looks for an answer that was kept for others. Where there is none one of those who ask gets the
    /// turn to compute it: of many at once one, until it [ends](Self::end_turn) its turn or its lease
    /// is over. A store that does not say how keeps none: [`CacheFound::Unsupported`].
    ///
    /// The answer is one that was [kept](Self::end_turn), and none of whose tags was
    /// [invalidated](Self::invalidate) since it was looked for, whoever keeps what and when. So a tag
    /// of which the store knows nothing, because its time is over or the store lost it, makes an
    /// answer untrue, and never true again.
    ///
    /// # Errors
    /// The store can't be reached or refuses; the turn may or may not have been taken, and the same
    /// owner asking again gets it.
    async fn look_up(&self, lookup: &CacheLookup) -> Result<CacheFound, StoreError> {
        let _ = lookup;
        Ok(CacheFound::Unsupported)
    }

    /// Keeps the turn of this owner, if it has it, for another lease.
    ///
    /// # Errors
    /// The store can't be reached or refuses; the turn goes to the next who asks.
    async fn hold_turn(&self, lookup: &CacheLookup) -> Result<(), StoreError> {
        let _ = lookup;
        Ok(())
    }

    /// Ends the turn of this owner, if it has it, and keeps its answer, if it has one. Returns whether
    /// its tags still have the versions that they had when it was looked for; if not, nothing is kept.
    ///
    /// # Errors
    /// The store can't be reached or refuses; the answer may or may not be kept.
    async fn end_turn(&self, entry: &CacheEntry) -> Result<bool, StoreError> {
        let _ = entry;
        Ok(false)
    }

    /// Has no answer of the service of `queue` given to anybody that has one of these tags, and was
    /// looked for before this returns. A store that keeps none has nothing to do.
    ///
    /// # Errors
    /// The store can't be reached or refuses; it may or may not be done, and doing it again is safe.
    async fn invalidate(&self, queue: &str, tags: &[Text]) -> Result<(), StoreError> {
        let _ = (queue, tags);
        Ok(())
    }

    /// The state of the store: can replies be stored and heard right now.
    fn health(&self) -> StoreHealth;

    /// Stops listening and ends the connections.
    async fn close(&self);
}

/// The reason of a store that has no flight record.
#[derive(Debug, thiserror::Error)]
#[error("this store keeps no flight record")]
struct NoFlightRecord;
