//! The in-memory store, which fails when a test says so.

use async_trait::async_trait;
use bytes::Bytes;
use replybus::{
    CallId, SetupError,
    message::Text,
    reply::{
        Arrivals, CacheEntry, CacheFound, CacheLookup, Cancel, Cancelled, Claim, Claimed,
        CommandRecord, FlightBatch, FlightCursor, FlightPage, Presence, Reply, ReplyBackend,
        ReplyStore, StoreError, StoreHealth, Stored, memory::MemoryReplies,
    },
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{advance, sleep};

/// What is wrong with the store now.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Claims can't be asked for.
    pub(crate) no_claims: AtomicBool,
    /// Replies and outcomes can't be stored.
    pub(crate) no_replies: AtomicBool,
    /// It knows of no record: its data are lost, and whoever runs has not told it again yet.
    pub(crate) no_records: AtomicBool,
    /// Of every claim it says that another has it by now.
    pub(crate) taken_over: AtomicBool,
    /// Kept answers can't be looked for.
    pub(crate) no_cache: AtomicBool,
    /// Kept answers can't be invalidated.
    pub(crate) no_invalidation: AtomicBool,
    /// The looks for kept answers.
    pub(crate) looks: AtomicU32,
    /// What is recorded of calls does not come back.
    pub(crate) flights_hang: AtomicBool,
    /// Nor does it want it.
    pub(crate) no_flights: AtomicBool,
    /// It hears nothing more of the process that uses it: that is dead.
    pub(crate) silent: AtomicBool,
    /// The records that were asked for.
    pub(crate) records: AtomicU32,
    /// The claims that were asked for.
    pub(crate) claims: AtomicU32,
    /// The replies that may be grouped with others.
    pub(crate) groupable: AtomicU32,
    /// The answer to a claim is read so long after it was given.
    pub(crate) claims_answered_after: Mutex<Option<Duration>>,
    /// Instances can't be announced.
    pub(crate) no_presence: AtomicBool,
    /// The next time that an instance is announced, its process stands still for so long.
    pub(crate) stands_still: Mutex<Option<Duration>>,
}

impl Faults {
    async fn alive(&self) {
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending().await
        }
    }
}

/// Opens the store.
pub(crate) struct FaultyReplies {
    replies: MemoryReplies,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct FaultyStore {
    store: Arc<dyn ReplyStore>,
    faults: Arc<Faults>,
}

impl FaultyReplies {
    pub(crate) fn new(faults: &Arc<Faults>) -> Self {
        Self::over(&MemoryReplies::new(), faults)
    }

    /// One process's way to what others use, too.
    pub(crate) fn over(replies: &MemoryReplies, faults: &Arc<Faults>) -> Self {
        Self {
            replies: replies.clone(),
            faults: Arc::clone(faults),
        }
    }
}

fn check(fault: &AtomicBool) -> Result<(), StoreError> {
    if fault.load(Ordering::SeqCst) {
        return Err(StoreError::new("do what was asked", "on purpose"));
    }
    Ok(())
}

#[async_trait]
impl ReplyBackend for FaultyReplies {
    async fn open(
        self: Box<Self>,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        Ok(Arc::new(FaultyStore {
            store: Box::new(self.replies).open(namespace, arrivals).await?,
            faults: self.faults,
        }))
    }
}

#[async_trait]
impl ReplyStore for FaultyStore {
    fn inbox(&self) -> &str {
        self.store.inbox()
    }

    fn is_inbox(&self, reply_to: &str) -> bool {
        self.store.is_inbox(reply_to)
    }

    async fn store(&self, reply: Reply) -> Result<Stored, StoreError> {
        self.faults.alive().await;
        check(&self.faults.no_replies)?;
        let groupable = u32::from(reply.groupable);
        self.faults.groupable.fetch_add(groupable, Ordering::SeqCst);
        self.store.store(reply).await
    }

    async fn fetch(&self, id: CallId) -> Result<Option<Bytes>, StoreError> {
        self.faults.alive().await;
        self.store.fetch(id).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        self.faults.alive().await;
        self.faults.claims.fetch_add(1, Ordering::SeqCst);
        check(&self.faults.no_claims)?;
        let answered_after = *self.faults.claims_answered_after.lock().unwrap();
        let claimed = self.store.claim(claim).await;
        if let Some(after) = answered_after {
            sleep(after).await;
        }
        claimed
    }

    async fn renew(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.faults.alive().await;
        if self.faults.taken_over.load(Ordering::SeqCst) {
            return Ok(false);
        }
        self.store.renew(claim).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.faults.alive().await;
        self.store.release(claim).await
    }

    async fn lapse(&self, claim: &Claim) -> Result<(), StoreError> {
        self.faults.alive().await;
        self.store.lapse(claim).await
    }

    async fn announce(&self, presence: &Presence) -> Result<(), StoreError> {
        check(&self.faults.no_presence)?;
        let stands_still = self.faults.stands_still.lock().unwrap().take();
        if let Some(time) = stands_still {
            advance(time).await;
        }
        self.store.announce(presence).await
    }

    async fn look_up(&self, lookup: &CacheLookup) -> Result<CacheFound, StoreError> {
        self.faults.looks.fetch_add(1, Ordering::SeqCst);
        check(&self.faults.no_cache)?;
        self.store.look_up(lookup).await
    }

    async fn hold_turn(&self, lookup: &CacheLookup) -> Result<(), StoreError> {
        check(&self.faults.no_cache)?;
        self.store.hold_turn(lookup).await
    }

    async fn end_turn(&self, entry: &CacheEntry) -> Result<bool, StoreError> {
        check(&self.faults.no_cache)?;
        self.store.end_turn(entry).await
    }

    async fn invalidate(&self, queue: &str, tags: &[Text]) -> Result<(), StoreError> {
        check(&self.faults.no_invalidation)?;
        self.store.invalidate(queue, tags).await
    }

    async fn record_flight(&self, batch: &FlightBatch) -> Result<(), StoreError> {
        if self.faults.flights_hang.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        check(&self.faults.no_flights)?;
        self.store.record_flight(batch).await
    }

    async fn flight_page(&self, from: &FlightCursor) -> Result<FlightPage, StoreError> {
        self.store.flight_page(from).await
    }

    async fn cancel(&self, cancel: &Cancel) -> Result<Cancelled, StoreError> {
        self.faults.alive().await;
        check(&self.faults.no_claims)?;
        self.store.cancel(cancel).await
    }

    async fn note(&self, claim: &Claim, progress: Bytes) -> Result<(), StoreError> {
        self.faults.alive().await;
        check(&self.faults.no_claims)?;
        self.store.note(claim, progress).await
    }

    async fn record(&self, key: &str) -> Result<Option<CommandRecord>, StoreError> {
        self.faults.alive().await;
        self.faults.records.fetch_add(1, Ordering::SeqCst);
        check(&self.faults.no_claims)?;
        if self.faults.no_records.load(Ordering::SeqCst) {
            return Ok(None);
        }
        self.store.record(key).await
    }

    fn health(&self) -> StoreHealth {
        self.store.health()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
