//! Replies and claims in Redis.

use crate::{
    cache::Cache,
    claims::{Claims, Ended, Finished},
    commands::{Claiming, Finishing},
    delayed::Delayed,
    error::Failure,
    flight::{self, Flights},
    health::Health,
    inbox::{self, Inbox},
    keys::Keys,
    lanes::Lanes,
    presences::Presences,
    replies::Replies,
    writer::Writer,
};
use async_trait::async_trait;
use bytes::Bytes;
use deadpool_redis::redis;
use replybus::{
    CallId,
    limits::INSTANCES_LISTED_MAX,
    message::Text,
    presence::InstanceId,
    reply::{
        CacheEntry, CacheFound, CacheLookup, Cancel, Cancelled, Claim, Claimed, CommandRecord,
        DelayedNote, FlightBatch, FlightCursor, FlightPage, Presence, Reply, ReplyStore,
        ReplyTarget, StoreError, StoreHealth, Stored,
    },
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::runtime;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// The time a close waits for the tasks that it told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// An open store. Dropped without a close its tasks end and its inbox expires.
pub(crate) struct RedisStore {
    /// Host, port and database, for the log.
    pub(crate) place: String,
    pub(crate) keys: Keys,
    pub(crate) inbox: Inbox,
    pub(crate) writer: Arc<Writer>,
    /// The runtime that drives the writer's connections.
    pub(crate) home: runtime::Id,
    /// For what is asked on another runtime, while that one may be blocked.
    pub(crate) apart: Writer,
    pub(crate) replies: Replies,
    /// The same, for those who read groups.
    pub(crate) groups: Lanes<Replies>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) presences: Presences,
    pub(crate) delayed: Delayed,
    pub(crate) flights: Flights,
    pub(crate) cache: Cache,
    pub(crate) claiming: Lanes<Claiming>,
    pub(crate) finishing: Lanes<Finishing>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) _stop_on_drop: DropGuard,
}

#[async_trait]
impl ReplyStore for RedisStore {
    fn inbox(&self) -> &str {
        self.inbox.key()
    }

    fn is_inbox(&self, reply_to: &str) -> bool {
        self.keys.is_inbox(reply_to)
    }

    async fn store(&self, reply: Reply) -> Result<Stored, StoreError> {
        let stored = match reply.record.clone() {
            Some(claim) => self.finish(claim, reply).await,
            None => self.answer(reply).await,
        };
        stored.map_err(|failure| failure.store("store a reply"))
    }

    async fn append(&self, inbox: &Text, id: CallId, frame: Bytes) -> Result<Stored, StoreError> {
        let (name, frame) = (&id.to_string(), &frame);
        let added = self
            .writer
            .run(|mut link| async move { inbox::deliver(&mut link, inbox, name, frame).await });
        match added.await {
            Ok(true) => Ok(Stored::AsAsked),
            Ok(false) => Ok(Stored::InboxAbsent),
            Err(failure) => Err(failure.store("add to a stream")),
        }
    }

    async fn fetch(&self, id: CallId) -> Result<Option<Bytes>, StoreError> {
        let key = &self.keys.response(id);
        let fetched = self.writer.read(|mut link| async move {
            let frame: Option<Vec<u8>> = redis::cmd("GET").arg(key).query_async(&mut link).await?;
            Ok(frame.map(Bytes::from))
        });
        fetched
            .await
            .map_err(|failure| failure.store("fetch a reply"))
    }

    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        let asked = if self.replies.is_cluster {
            self.claiming.alone(&(), claim).await
        } else {
            self.claiming.run((), claim.clone()).await
        };
        asked.map_err(|failure| failure.store("claim a command"))
    }

    async fn renew(&self, claim: &Claim) -> Result<bool, StoreError> {
        let asked = self
            .writer_here()
            .run(|mut link| async move { self.claims.renew(&mut link, &self.keys, claim).await });
        asked
            .await
            .map_err(|failure| failure.store("renew a claim"))
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        let asked = self
            .writer
            .run(|mut link| async move { self.claims.release(&mut link, &self.keys, claim).await });
        asked
            .await
            .map_err(|failure| failure.store("release a claim"))
    }

    async fn lapse(&self, claim: &Claim) -> Result<(), StoreError> {
        let asked = self
            .writer
            .run(|mut link| async move { self.claims.lapse(&mut link, &self.keys, claim).await });
        asked.await.map_err(|failure| failure.store("end a lease"))
    }

    async fn cancel(&self, cancel: &Cancel) -> Result<Cancelled, StoreError> {
        let asked = self
            .writer
            .run(|mut link| async move { self.claims.cancel(&mut link, &self.keys, cancel).await });
        asked
            .await
            .map_err(|failure| failure.store("cancel a command"))
    }

    async fn note(&self, claim: &Claim, progress: Bytes) -> Result<(), StoreError> {
        let (claims, keys, progress) = (&self.claims, &self.keys, &progress);
        let asked = self
            .writer
            .run(|mut link| async move { claims.note(&mut link, keys, claim, progress).await });
        asked
            .await
            .map_err(|failure| failure.store("note the progress of a command"))
    }

    async fn record(&self, key: &str) -> Result<Option<CommandRecord>, StoreError> {
        let asked = self
            .writer
            .read(|mut link| async move { self.claims.record(&mut link, &self.keys, key).await });
        asked
            .await
            .map_err(|failure| failure.store("look for the record of a command"))
    }

    async fn announce(&self, presence: &Presence) -> Result<(), StoreError> {
        // As what only reads: whether replies can be stored is another question.
        let announced = self
            .writer
            .read(|mut link| async move {
                self.presences
                    .announce(&mut link, &self.keys, presence)
                    .await
            })
            .await;
        announced.map_err(|failure| failure.store("announce an instance"))
    }

    async fn withdraw(&self, queue: &str, instance: InstanceId) -> Result<(), StoreError> {
        let withdrawn = self
            .writer
            .read(|mut link| async move {
                self.presences
                    .withdraw(&mut link, &self.keys, queue, instance)
                    .await
            })
            .await;
        withdrawn.map_err(|failure| failure.store("withdraw an instance"))
    }

    async fn present(&self, queue: &str) -> Result<Vec<Bytes>, StoreError> {
        self.instances(queue, INSTANCES_LISTED_MAX).await
    }

    async fn one_present(&self, queue: &str) -> Result<Option<Bytes>, StoreError> {
        Ok(self.instances(queue, 1).await?.pop())
    }

    async fn present_queues(&self) -> Result<Vec<String>, StoreError> {
        let queues = self
            .writer
            .read(|mut link| async move { self.presences.queues(&mut link, &self.keys).await })
            .await;
        queues.map_err(|failure| failure.store("list services"))
    }

    async fn give_up(&self, queue: &str, id: CallId, within: Duration) -> Result<bool, StoreError> {
        let noted = self
            .writer
            .read(|mut link| async move {
                self.presences
                    .give_up(&mut link, &self.keys, queue, id, within)
                    .await
            })
            .await;
        noted.map_err(|failure| failure.store("give up a call"))
    }

    async fn given_up(&self, queue: &str) -> Result<Vec<(CallId, Duration)>, StoreError> {
        let calls =
            self.writer
                .read(|mut link| async move {
                    self.presences.given_up(&mut link, &self.keys, queue).await
                })
                .await;
        calls.map_err(|failure| failure.store("list calls that were given up"))
    }

    async fn note_delayed(&self, note: &DelayedNote) -> Result<(), StoreError> {
        let (delayed, keys) = (&self.delayed, &self.keys);
        let noted = self
            .writer
            .read(|mut link| async move { delayed.note(&mut link, keys, note).await })
            .await;
        noted.map_err(|failure| failure.store("note what waits"))
    }

    async fn forget_delayed(&self, place: &str, id: CallId) -> Result<(), StoreError> {
        let (delayed, keys) = (&self.delayed, &self.keys);
        let forgotten = self
            .writer
            .read(|mut link| async move { delayed.forget(&mut link, keys, place, id).await })
            .await;
        forgotten.map_err(|failure| failure.store("forget what waited"))
    }

    async fn delayed(&self, place: &str) -> Result<Vec<Bytes>, StoreError> {
        let (delayed, keys) = (&self.delayed, &self.keys);
        let listed = self
            .writer
            .read(|mut link| async move { delayed.list(&mut link, keys, place).await })
            .await;
        listed.map_err(|failure| failure.store("list what waits"))
    }

    // Whether replies can be stored is another question than what is recorded of calls, and what is
    // kept for others.
    async fn record_flight(&self, batch: &FlightBatch) -> Result<(), StoreError> {
        let keys = &self.keys;
        let recorded = self
            .writer
            .read(|mut link| async move { flight::record(&mut link, keys, batch).await })
            .await;
        recorded.map_err(|failure| failure.store("record events of calls"))
    }

    async fn flight_page(&self, from: &FlightCursor) -> Result<FlightPage, StoreError> {
        let (flights, keys) = (&self.flights, &self.keys);
        let page = self
            .writer
            .read(|mut link| async move { flights.page(&mut link, keys, from).await })
            .await;
        page.map_err(|failure| failure.store("read the flight record"))
    }

    async fn look_up(&self, lookup: &CacheLookup) -> Result<CacheFound, StoreError> {
        let (cache, keys) = (&self.cache, &self.keys);
        let found = self
            .writer
            .read(|mut link| async move { cache.look_up(&mut link, keys, lookup).await })
            .await;
        found.map_err(|failure| failure.store("look for an answer"))
    }

    async fn hold_turn(&self, lookup: &CacheLookup) -> Result<(), StoreError> {
        let (cache, keys) = (&self.cache, &self.keys);
        let held = self
            .writer
            .read(|mut link| async move { cache.hold_turn(&mut link, keys, lookup).await })
            .await;
        held.map_err(|failure| failure.store("hold a turn"))
    }

    async fn end_turn(&self, entry: &CacheEntry) -> Result<bool, StoreError> {
        let (cache, keys) = (&self.cache, &self.keys);
        let ended = self
            .writer
            .read(|mut link| async move { cache.end_turn(&mut link, keys, entry).await })
            .await;
        ended.map_err(|failure| failure.store("keep an answer"))
    }

    async fn invalidate(&self, queue: &str, tags: &[Text]) -> Result<(), StoreError> {
        let (cache, keys) = (&self.cache, &self.keys);
        let invalidated = self
            .writer
            .read(|mut link| async move { cache.invalidate(&mut link, keys, queue, tags).await })
            .await;
        invalidated.map_err(|failure| failure.store("invalidate answers"))
    }

    fn health(&self) -> StoreHealth {
        if self.stop.is_cancelled() {
            return StoreHealth::Down("closed".to_owned());
        }
        self.health.report()
    }

    async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        // A task that does not stop in time is cut off with its connection.
        let _ = tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await;
        let inbox = &self.inbox;
        let deleted = self
            .writer
            .run(|mut link| async move { inbox.delete(&mut link).await });
        if let Err(failure) = deleted.await {
            tracing::debug!(reason = failure.reason(), "the inbox is left to expire");
        }
        self.writer.close();
        self.apart.close();
    }
}

impl RedisStore {
    /// The writer whose connections move while this runtime does.
    fn writer_here(&self) -> &Writer {
        if runtime::Handle::current().id() == self.home {
            &self.writer
        } else {
            &self.apart
        }
    }

    /// The records of so many instances of a service.
    async fn instances(&self, queue: &str, most: usize) -> Result<Vec<Bytes>, StoreError> {
        let (presences, keys) = (&self.presences, &self.keys);
        let records = self
            .writer
            .read(|mut link| async move { presences.list(&mut link, keys, queue, most).await })
            .await;
        records.map_err(|failure| failure.store("list instances"))
    }

    /// Ends a claim with its outcome, and answers. On one server that is one step; in a cluster
    /// the keys may live apart, so the outcome comes first: after a crash in between the message
    /// comes again and is answered from the record.
    async fn finish(&self, claim: Claim, reply: Reply) -> Result<Stored, Failure> {
        let id = reply.id;
        if !self.replies.is_cluster {
            let ended = Ended {
                claim,
                reply,
                sends: true,
            };
            return Ok(match self.finishing.run((), ended).await? {
                Finished::Recorded | Finished::Before(_) => Stored::AsAsked,
                Finished::RecordedAndKept => Stored::InboxAbsent,
                Finished::TakenOver => was_taken_over(id),
            });
        }
        let ended = Ended {
            claim,
            reply: reply.clone(),
            sends: false,
        };
        let frame = match self.finishing.alone(&(), &ended).await? {
            Finished::Recorded | Finished::RecordedAndKept => reply.frame.clone(),
            Finished::Before(frame) => frame,
            Finished::TakenOver => return Ok(was_taken_over(id)),
        };
        let mut answer = reply;
        (answer.frame, answer.record) = (frame, None);
        self.answer(answer).await
    }

    /// Stores a reply that ends no claim.
    async fn answer(&self, reply: Reply) -> Result<Stored, Failure> {
        match &reply.target {
            ReplyTarget::Inbox(inbox) if reply.groupable => {
                let inbox = inbox.clone();
                self.groups.run(inbox, reply).await
            }
            _ => self.replies.store(&reply).await,
        }
    }
}

fn was_taken_over(id: CallId) -> Stored {
    tracing::warn!(call = %id, "the claim was taken over: what this run came to is not the outcome");
    Stored::TakenOver
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("place", &self.place)
            .field("inbox", &self.inbox.key())
            .field("writer", &self.writer)
            .field("health", &self.health.report())
            .finish_non_exhaustive()
    }
}
