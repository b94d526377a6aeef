//! A process's connection to the store: the contract of a store, over a way that breaks.

use crate::wire::{Lane, Lost, Wire};
use async_trait::async_trait;
use replybus::{
    Bytes, CallId, SetupError,
    message::Text,
    presence::InstanceId,
    reply::{
        Arrivals, CacheEntry, CacheFound, CacheLookup, Cancel, Cancelled, Claim, Claimed,
        CommandRecord, DelayedNote, FlightBatch, FlightCursor, FlightPage, Presence, Reply,
        ReplyBackend, ReplyStore, StoreError, StoreHealth, Stored,
    },
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// The time that the store is given for an answer, as with Redis.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// The pause before an inbox is asked for again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The store of a simulation as one process reaches it; what `Bus::connect` takes.
#[derive(Debug, Clone)]
pub struct SimulatedReplies {
    pub(crate) wire: Wire,
    pub(crate) number: u64,
}

#[async_trait]
impl ReplyBackend for SimulatedReplies {
    async fn open(
        self: Box<Self>,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        let number = self.number;
        let remote = loop {
            let (namespace, arrivals) = (namespace.to_owned(), Arc::clone(&arrivals));
            let opened = self
                .wire
                .ask(Lane::Store, "opens an inbox", "", move |session| {
                    session.open_store(number, namespace, arrivals)
                });
            match opened.await {
                Ok(opened) => break opened?,
                Err(Lost) => tokio::time::sleep(AGAIN_AFTER).await,
            }
        };
        Ok(Arc::new(SimulatedStore {
            inbox: remote.inbox().to_owned(),
            remote,
            wire: self.wire,
            number,
            is_down: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        }))
    }
}

struct SimulatedStore {
    inbox: String,
    /// What it is like: asked for nothing that a server would be asked for.
    remote: Arc<dyn ReplyStore>,
    wire: Wire,
    number: u64,
    is_down: AtomicBool,
    is_closed: AtomicBool,
}

impl SimulatedStore {
    async fn ask<T, F>(
        &self,
        what: &'static str,
        about: String,
        job: impl FnOnce(Arc<dyn ReplyStore>) -> F + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        if self.is_closed.load(Ordering::Relaxed) {
            return Err(StoreError::new(what, Closed));
        }
        let number = self.number;
        let answer = self
            .wire
            .ask(Lane::Store, what, &about, move |session| async move {
                match session.store(number) {
                    Some(store) => job(store).await,
                    None => Err(StoreError::new(what, Closed)),
                }
            });
        let answer = match timeout(ANSWERS_WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(lost)) => Err(StoreError::new(what, lost)),
            Err(elapsed) => Err(StoreError::new(what, elapsed)),
        };
        self.is_down.store(answer.is_err(), Ordering::Relaxed);
        answer
    }
}

/// What a method of the store asks of the server.
macro_rules! ask {
    (
        $store:ident, $what:literal, $about:expr, ($($owned:ident = $value:expr),*),
        $remote:ident => $asked:expr
    ) => {{
        let about = String::from($about);
        $(let $owned = $value;)*
        let job = move |$remote: Arc<dyn ReplyStore>| async move { $asked };
        $store.ask($what, about, job).await
    }};
}

#[async_trait]
impl ReplyStore for SimulatedStore {
    fn inbox(&self) -> &str {
        &self.inbox
    }

    fn is_inbox(&self, reply_to: &str) -> bool {
        self.remote.is_inbox(reply_to)
    }

    async fn store(&self, reply: Reply) -> Result<Stored, StoreError> {
        let about = reply.id.to_string();
        ask!(self, "store a reply", about, (), store => store.store(reply).await)
    }

    async fn append(&self, inbox: &Text, id: CallId, frame: Bytes) -> Result<Stored, StoreError> {
        ask!(self, "add to a stream", id.to_string(), (inbox = inbox.clone()),
            store => store.append(&inbox, id, frame).await)
    }

    async fn fetch(&self, id: CallId) -> Result<Option<Bytes>, StoreError> {
        ask!(self, "fetch a reply", id.to_string(), (), store => store.fetch(id).await)
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        ask!(self, "claim a command", &*claim.key, (claim = claim.clone()),
            store => store.claim(&claim).await)
    }

    async fn renew(&self, claim: &Claim) -> Result<bool, StoreError> {
        ask!(self, "renew a claim", &*claim.key, (claim = claim.clone()),
            store => store.renew(&claim).await)
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        ask!(self, "release a claim", &*claim.key, (claim = claim.clone()),
            store => store.release(&claim).await)
    }

    async fn lapse(&self, claim: &Claim) -> Result<(), StoreError> {
        ask!(self, "end a lease", &*claim.key, (claim = claim.clone()),
            store => store.lapse(&claim).await)
    }

    async fn cancel(&self, cancel: &Cancel) -> Result<Cancelled, StoreError> {
        ask!(self, "cancel a command", &*cancel.key, (cancel = cancel.clone()),
            store => store.cancel(&cancel).await)
    }

    async fn note(&self, claim: &Claim, progress: Bytes) -> Result<(), StoreError> {
        ask!(self, "note the progress of a command", &*claim.key, (claim = claim.clone()),
            store => store.note(&claim, progress).await)
    }

    async fn record(&self, key: &str) -> Result<Option<CommandRecord>, StoreError> {
        ask!(self, "look for the record of a command", key, (key = key.to_owned()),
            store => store.record(&key).await)
    }

    async fn announce(&self, presence: &Presence) -> Result<(), StoreError> {
        ask!(self, "announce an instance", &*presence.queue, (presence = presence.clone()),
            store => store.announce(&presence).await)
    }

    async fn withdraw(&self, queue: &str, instance: InstanceId) -> Result<(), StoreError> {
        ask!(self, "withdraw an instance", queue, (queue = queue.to_owned()),
            store => store.withdraw(&queue, instance).await)
    }

    async fn present(&self, queue: &str) -> Result<Vec<Bytes>, StoreError> {
        ask!(self, "list instances", queue, (queue = queue.to_owned()),
            store => store.present(&queue).await)
    }

    async fn present_queues(&self) -> Result<Vec<String>, StoreError> {
        ask!(self, "list services", "", (), store => store.present_queues().await)
    }

    async fn give_up(&self, queue: &str, id: CallId, within: Duration) -> Result<bool, StoreError> {
        ask!(self, "give up a call", queue, (queue = queue.to_owned()),
            store => store.give_up(&queue, id, within).await)
    }

    async fn given_up(&self, queue: &str) -> Result<Vec<(CallId, Duration)>, StoreError> {
        ask!(self, "list calls that were given up", queue, (queue = queue.to_owned()),
            store => store.given_up(&queue).await)
    }

    async fn note_delayed(&self, note: &DelayedNote) -> Result<(), StoreError> {
        ask!(self, "note what waits", "", (note = note.clone()),
            store => store.note_delayed(&note).await)
    }

    async fn forget_delayed(&self, place: &str, id: CallId) -> Result<(), StoreError> {
        ask!(self, "forget what waited", place, (place = place.to_owned()),
            store => store.forget_delayed(&place, id).await)
    }

    async fn delayed(&self, place: &str) -> Result<Vec<Bytes>, StoreError> {
        ask!(self, "list what waits", place, (place = place.to_owned()),
            store => store.delayed(&place).await)
    }

    async fn record_flight(&self, batch: &FlightBatch) -> Result<(), StoreError> {
        ask!(self, "record events of calls", "", (batch = batch.clone()),
            store => store.record_flight(&batch).await)
    }

    async fn flight_page(&self, from: &FlightCursor) -> Result<FlightPage, StoreError> {
        ask!(self, "read the flight record", "", (from = from.clone()),
            store => store.flight_page(&from).await)
    }

    async fn look_up(&self, lookup: &CacheLookup) -> Result<CacheFound, StoreError> {
        ask!(self, "look for an answer", "", (lookup = lookup.clone()),
            store => store.look_up(&lookup).await)
    }

    async fn hold_turn(&self, lookup: &CacheLookup) -> Result<(), StoreError> {
        ask!(self, "hold a turn", "", (lookup = lookup.clone()),
            store => store.hold_turn(&lookup).await)
    }

    async fn end_turn(&self, entry: &CacheEntry) -> Result<bool, StoreError> {
        ask!(self, "keep an answer", "", (entry = entry.clone()),
            store => store.end_turn(&entry).await)
    }

    async fn invalidate(&self, queue: &str, tags: &[Text]) -> Result<(), StoreError> {
        ask!(self, "invalidate answers", queue, (queue = queue.to_owned(), tags = tags.to_vec()),
            store => store.invalidate(&queue, &tags).await)
    }

    fn health(&self) -> StoreHealth {
        if self.is_closed.load(Ordering::Relaxed) {
            StoreHealth::Down(Closed.to_string())
        } else if self.is_down.load(Ordering::Relaxed) {
            StoreHealth::Down(Lost.to_string())
        } else {
            StoreHealth::Up
        }
    }

    async fn close(&self) {
        let closed = ask!(self, "close the inbox", "", (), store => {
            store.close().await;
            Ok(())
        });
        // It is closed whether the store heard of it or not.
        let _: Result<(), StoreError> = closed;
        self.is_closed.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for SimulatedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedStore")
            .field("inbox", &self.inbox)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
struct Closed;
