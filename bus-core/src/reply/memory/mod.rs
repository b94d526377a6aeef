//! Replies and claims inside one process, by the rules of the Redis store and without one.
//!
//! Nothing survives the process, and nothing is lost while it lives.

mod cache;
mod claims;
mod delayed;
mod expiring;
mod flight;
mod given_up;
mod presences;

use self::{
    cache::Cache, claims::Claims, delayed::Delayed, expiring::Expiring, flight::Flight,
    given_up::GivenUp, presences::Presences,
};
use super::{
    Arrivals, CacheEntry, CacheFound, CacheLookup, Cancel, Cancelled, Claim, Claimed,
    CommandRecord, DelayedNote, FlightBatch, FlightCursor, FlightPage, Presence, Reply,
    ReplyBackend, ReplyStore, ReplyTarget, StoreError, StoreHealth, Stored,
};
use crate::{
    call_id::CallId, contract::random_id, error::SetupError, message::Text, presence::InstanceId,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

/// The time for which an instance counts as serving; its store ends with it.
const PRESENCE_TTL_HERE: Duration = Duration::from_secs(24 * 60 * 60);

/// A reply store that lives in this process. Its clones are the same store: buses that were given
/// one answer each other.
///
/// [`Bus::in_memory`](crate::Bus::in_memory) has one of its own. To be given to a bus beside a
/// transport, such as RabbitMQ for programs that only send and subscribe, and call nobody else:
///
/// ```no_run
/// # #[cfg(feature = "amqp")]
/// use replybus::{Amqp, Bus, reply::memory::MemoryReplies};
///
/// # #[cfg(feature = "amqp")]
/// # async fn connect() -> Result<(), replybus::SetupError> {
/// let amqp = Amqp::new("amqp://guest:guest@127.0.0.1:5672/%2f");
/// let bus = Bus::connect(amqp, MemoryReplies::new()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryReplies {
    namespaces: Arc<Mutex<HashMap<String, Arc<Namespace>>>>,
}

/// The part of the store that the buses of one namespace share.
struct Namespace {
    inbox_prefix: String,
    inboxes: Mutex<HashMap<String, Arc<dyn Arrivals>>>,
    replies: Mutex<Expiring<CallId, Bytes>>,
    claims: Mutex<Claims>,
    presences: Mutex<Presences>,
    given_up: Mutex<GivenUp>,
    delayed: Mutex<Delayed>,
    cache: Mutex<Cache>,
    flight: Mutex<Flight>,
}

/// One bus's end of the store.
struct MemoryStore {
    namespace: Arc<Namespace>,
    inbox: String,
    closed: AtomicBool,
}

impl MemoryReplies {
    /// A new, empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One bus's end of the store, at once.
    pub(crate) fn attach(
        &self,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Arc<dyn ReplyStore> {
        let namespace = self.namespace(namespace);
        let inbox = format!("{}{}", namespace.inbox_prefix, random_id());
        lock(&namespace.inboxes).insert(inbox.clone(), arrivals);
        Arc::new(MemoryStore {
            namespace,
            inbox,
            closed: AtomicBool::new(false),
        })
    }

    /// Forgets all that is stored, as a server does that restarts without its data: replies, records
    /// of commands and instances, kept answers. Whoever is connected still is.
    #[cfg(feature = "simulation")]
    pub fn lose_data(&self) {
        for namespace in lock(&self.namespaces).values() {
            *lock(&namespace.replies) = Expiring::default();
            *lock(&namespace.claims) = Claims::default();
            *lock(&namespace.presences) = Presences::default();
            *lock(&namespace.given_up) = GivenUp::default();
            *lock(&namespace.delayed) = Delayed::default();
            *lock(&namespace.cache) = Cache::default();
            *lock(&namespace.flight) = Flight::default();
        }
    }

    fn namespace(&self, name: &str) -> Arc<Namespace> {
        let mut namespaces = lock(&self.namespaces);
        let namespace = namespaces.entry(name.to_owned()).or_insert_with(|| {
            let dot = if name.is_empty() { "" } else { "." };
            Arc::new(Namespace {
                inbox_prefix: format!("{name}{dot}inbox:"),
                inboxes: Mutex::default(),
                replies: Mutex::default(),
                claims: Mutex::default(),
                presences: Mutex::default(),
                given_up: Mutex::default(),
                delayed: Mutex::default(),
                cache: Mutex::default(),
                flight: Mutex::default(),
            })
        });
        Arc::clone(namespace)
    }
}

#[async_trait]
impl ReplyBackend for MemoryReplies {
    async fn open(
        self: Box<Self>,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        Ok(self.attach(namespace, arrivals))
    }
}

impl Namespace {
    fn deliver(&self, reply: Reply) -> Stored {
        match &reply.target {
            ReplyTarget::Inbox(inbox) => {
                // Taken out of the lock: what arrives may answer with a store of its own.
                let arrivals = lock(&self.inboxes).get(&**inbox).cloned();
                match arrivals {
                    Some(arrivals) => arrivals.arrived(reply.id, reply.frame),
                    None => {
                        self.keep(reply);
                        return Stored::InboxAbsent;
                    }
                }
            }
            ReplyTarget::Key => self.keep(reply),
            ReplyTarget::None => {}
        }
        Stored::AsAsked
    }

    /// Keeps a reply under the call's own key, unless there is one.
    fn keep(&self, reply: Reply) {
        let mut replies = lock(&self.replies);
        if replies.get(&reply.id).is_none() {
            replies.insert(reply.id, reply.frame, reply.ttl);
        }
    }
}

impl MemoryStore {
    fn open(&self, action: &'static str) -> Result<&Namespace, StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::new(action, Closed));
        }
        Ok(&self.namespace)
    }

    fn leave(&self) {
        self.closed.store(true, Ordering::Release);
        // Dropped after the lock: it may be the last handle of a bus.
        let arrivals = lock(&self.namespace.inboxes).remove(&self.inbox);
        drop(arrivals);
    }
}

#[async_trait]
impl ReplyStore for MemoryStore {
    fn inbox(&self) -> &str {
        &self.inbox
    }

    fn is_inbox(&self, reply_to: &str) -> bool {
        reply_to
            .strip_prefix(&self.namespace.inbox_prefix)
            .is_some_and(|id| {
                // One spelling per inbox.
                let mut spelt = Uuid::encode_buffer();
                Uuid::try_parse(id)
                    .is_ok_and(|uuid| *uuid.as_hyphenated().encode_lower(&mut spelt) == *id)
            })
    }

    async fn store(&self, mut reply: Reply) -> Result<Stored, StoreError> {
        let namespace = self.open("store a reply")?;
        if let Some(claim) = &reply.record {
            let counts = lock(&namespace.claims).finish(claim, reply.frame.clone());
            let Some(frame) = counts else {
                return Ok(Stored::TakenOver);
            };
            reply.frame = frame;
        }
        Ok(namespace.deliver(reply))
    }

    async fn append(&self, inbox: &Text, id: CallId, frame: Bytes) -> Result<Stored, StoreError> {
        let namespace = self.open("add to a stream")?;
        let arrivals = lock(&namespace.inboxes).get(&**inbox).cloned();
        Ok(match arrivals {
            Some(arrivals) => {
                arrivals.arrived(id, frame);
                Stored::AsAsked
            }
            None => Stored::InboxAbsent,
        })
    }

    async fn fetch(&self, id: CallId) -> Result<Option<Bytes>, StoreError> {
        let namespace = self.open("fetch a reply")?;
        Ok(lock(&namespace.replies).get(&id).cloned())
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let namespace = self.open("claim a command")?;
        Ok(lock(&namespace.claims).claim(claim))
    }

    async fn renew(&self, claim: &Claim) -> Result<bool, StoreError> {
        let namespace = self.open("renew a claim")?;
        Ok(lock(&namespace.claims).renew(claim))
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let namespace = self.open("release a claim")?;
        lock(&namespace.claims).release(claim);
        Ok(())
    }

    async fn lapse(&self, claim: &Claim) -> Result<(), StoreError> {
        let namespace = self.open("end a lease")?;
        lock(&namespace.claims).lapse(claim);
        Ok(())
    }

    async fn cancel(&self, cancel: &Cancel) -> Result<Cancelled, StoreError> {
        let namespace = self.open("cancel a command")?;
        Ok(lock(&namespace.claims).cancel(cancel))
    }

    async fn note(&self, claim: &Claim, progress: Bytes) -> Result<(), StoreError> {
        let namespace = self.open("note the progress of a command")?;
        lock(&namespace.claims).note(claim, progress);
        Ok(())
    }

    async fn record(&self, key: &str) -> Result<Option<CommandRecord>, StoreError> {
        let namespace = self.open("look for the record of a command")?;
        Ok(lock(&namespace.claims).record(key))
    }

    async fn announce(&self, presence: &Presence) -> Result<(), StoreError> {
        let namespace = self.open("announce an instance")?;
        lock(&namespace.presences).announce(presence);
        Ok(())
    }

    /// In one process no instance dies alone. With a short one the clock of a test, which jumps to
    /// whatever is next, would take a million steps for a month.
    fn presence_ttl(&self) -> Duration {
        PRESENCE_TTL_HERE
    }

    async fn withdraw(&self, queue: &str, instance: InstanceId) -> Result<(), StoreError> {
        let namespace = self.open("withdraw an instance")?;
        lock(&namespace.presences).withdraw(queue, instance);
        Ok(())
    }

    async fn present(&self, queue: &str) -> Result<Vec<Bytes>, StoreError> {
        let namespace = self.open("list instances")?;
        Ok(lock(&namespace.presences).present(queue))
    }

    async fn present_queues(&self) -> Result<Vec<String>, StoreError> {
        let namespace = self.open("list services")?;
        Ok(lock(&namespace.presences).queues())
    }

    async fn give_up(&self, queue: &str, id: CallId, within: Duration) -> Result<bool, StoreError> {
        let namespace = self.open("give up a call")?;
        Ok(lock(&namespace.given_up).note(queue, id, within))
    }

    async fn given_up(&self, queue: &str) -> Result<Vec<(CallId, Duration)>, StoreError> {
        let namespace = self.open("list calls that were given up")?;
        Ok(lock(&namespace.given_up).of(queue))
    }

    async fn note_delayed(&self, note: &DelayedNote) -> Result<(), StoreError> {
        let namespace = self.open("note what waits")?;
        lock(&namespace.delayed).note(note);
        Ok(())
    }

    async fn forget_delayed(&self, place: &str, id: CallId) -> Result<(), StoreError> {
        let namespace = self.open("forget what waited")?;
        lock(&namespace.delayed).forget(place, id);
        Ok(())
    }

    async fn delayed(&self, place: &str) -> Result<Vec<Bytes>, StoreError> {
        let namespace = self.open("list what waits")?;
        Ok(lock(&namespace.delayed).of(place))
    }

    async fn record_flight(&self, batch: &FlightBatch) -> Result<(), StoreError> {
        let namespace = self.open("record events of calls")?;
        lock(&namespace.flight).add(batch);
        Ok(())
    }

    async fn flight_page(&self, from: &FlightCursor) -> Result<FlightPage, StoreError> {
        let namespace = self.open("read the flight record")?;
        Ok(lock(&namespace.flight).page(from))
    }

    async fn look_up(&self, lookup: &CacheLookup) -> Result<CacheFound, StoreError> {
        let namespace = self.open("look for an answer")?;
        Ok(lock(&namespace.cache).look_up(lookup))
    }

    async fn hold_turn(&self, lookup: &CacheLookup) -> Result<(), StoreError> {
        let namespace = self.open("hold a turn")?;
        lock(&namespace.cache).hold_turn(lookup);
        Ok(())
    }

    async fn end_turn(&self, entry: &CacheEntry) -> Result<bool, StoreError> {
        let namespace = self.open("keep an answer")?;
        Ok(lock(&namespace.cache).end_turn(entry))
    }

    async fn invalidate(&self, queue: &str, tags: &[Text]) -> Result<(), StoreError> {
        let namespace = self.open("invalidate answers")?;
        lock(&namespace.cache).invalidate(queue, tags);
        Ok(())
    }

    fn health(&self) -> StoreHealth {
        match self.open("") {
            Ok(_) => StoreHealth::Up,
            Err(_) => StoreHealth::Down(Closed.to_string()),
        }
    }

    async fn close(&self) {
        self.leave();
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("inbox", &self.inbox)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MemoryReplies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplies").finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the store is closed")]
struct Closed;

/// The lock of a mutex. What is behind them is changed in single steps: a panic elsewhere leaves it
/// sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Arrived(Mutex<Vec<(CallId, Bytes)>>);

    impl Arrivals for Arrived {
        fn arrived(&self, id: CallId, frame: Bytes) {
            lock(&self.0).push((id, frame));
        }

        fn waiting(&self) -> Vec<CallId> {
            Vec::new()
        }
    }

    fn reply(id: CallId, target: ReplyTarget, frame: &'static str) -> Reply {
        let frame = Bytes::from_static(frame.as_bytes());
        Reply::new(id, target, frame).ttl(Duration::from_secs(60))
    }

    async fn open(replies: &MemoryReplies, namespace: &str) -> (Arc<dyn ReplyStore>, Arc<Arrived>) {
        let arrived = Arc::new(Arrived::default());
        let arrivals: Arc<dyn Arrivals> = arrived.clone();
        let store = Box::new(replies.clone()).open(namespace, arrivals).await;
        (store.unwrap(), arrived)
    }

    #[tokio::test]
    async fn a_reply_reaches_the_inbox_it_names_and_no_other() {
        let replies = MemoryReplies::new();
        let (caller, arrived) = open(&replies, "").await;
        let (service, nothing) = open(&replies, "").await;
        let id = CallId::new();
        let target = ReplyTarget::Inbox(caller.inbox().into());
        service.store(reply(id, target, "ok")).await.unwrap();
        assert_eq!(*lock(&arrived.0), [(id, "ok".into())]);
        assert!(lock(&nothing.0).is_empty());
        assert_eq!(service.fetch(id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn namespaces_see_nothing_of_each_other() {
        let replies = MemoryReplies::new();
        let (ours, _) = open(&replies, "bank").await;
        let (theirs, _) = open(&replies, "shop").await;
        assert!(ours.is_inbox(ours.inbox()));
        assert!(!ours.is_inbox(theirs.inbox()));
        let id = CallId::new();
        ours.store(reply(id, ReplyTarget::Key, "ok")).await.unwrap();
        assert!(ours.fetch(id).await.unwrap().is_some());
        assert_eq!(theirs.fetch(id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_inbox_ends_with_its_store() {
        let replies = MemoryReplies::new();
        let (caller, arrived) = open(&replies, "").await;
        let (service, _) = open(&replies, "").await;
        let target = ReplyTarget::Inbox(caller.inbox().into());
        drop(caller);
        assert_eq!(Arc::strong_count(&arrived), 1);
        let id = CallId::new();
        service.store(reply(id, target, "ok")).await.unwrap();
        assert_eq!(service.fetch(id).await.unwrap(), Some("ok".into()));
    }

    #[tokio::test]
    async fn a_closed_store_says_so() {
        let (store, _) = open(&MemoryReplies::new(), "").await;
        assert_eq!(store.health(), StoreHealth::Up);
        store.close().await;
        assert!(matches!(store.health(), StoreHealth::Down(_)));
        let error = store.fetch(CallId::new()).await.unwrap_err();
        assert_eq!(error.to_string(), "the reply store failed to fetch a reply");
    }

    #[tokio::test(start_paused = true)]
    async fn many_replies_leave_no_trace() {
        let replies = MemoryReplies::new();
        let (store, _) = open(&replies, "").await;
        for number in 0..30_000 {
            let reply = reply(CallId::new(), ReplyTarget::Key, "ok");
            store.store(reply).await.unwrap();
            if number % 1_000 == 0 {
                tokio::time::advance(Duration::from_secs(60)).await;
            }
        }
        assert!(lock(&replies.namespace("").replies).len() <= 2_000);
    }
}
