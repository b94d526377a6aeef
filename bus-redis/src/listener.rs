//! Hands the replies of this process's inbox to those who wait, over one connection of its own.
//!
//! A blocking read would hold up every other command of its connection, and a notice that nobody
//! hears is lost; a stream read from the last entry seen loses nothing. Whatever happens to the
//! connection ends no wait: the listener takes another and goes on where it stopped.

use crate::{
    connection::{Link, Pool},
    error::Failure,
    health::Health,
    inbox::{EntryId, Inbox},
    keys::Keys,
    portion::Portion,
};
use backon::{BackoffBuilder, ExponentialBuilder};
use bytes::Bytes;
use deadpool_redis::redis;
use replybus::{limits, reply::Arrivals};
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// The time one read waits on the server. Together with the response timeout it bounds how long a
/// dead peer goes unnoticed.
const BLOCK: Duration = Duration::from_secs(2);
/// The pause between two times that the inbox's expiry is put off; also how soon a wiped inbox is
/// noticed.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// The least pause after a read that failed before anything was heard: that the inbox is found does not
/// say that it may be read.
const READ_AGAIN: Duration = Duration::from_millis(500);
/// Bytes read before they are freed in Redis, if that comes before the time.
const UNTRIMMED_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) struct Listener {
    pub(crate) pool: Arc<Pool>,
    pub(crate) keys: Keys,
    pub(crate) inbox: Inbox,
    pub(crate) arrivals: Arc<dyn Arrivals>,
    pub(crate) health: Arc<Health>,
    pub(crate) response_timeout: Duration,
    pub(crate) last: EntryId,
    /// What is asked for at once, of entries and of replies under their keys.
    pub(crate) portion: Portion,
    /// Replies may lie under their keys that nobody has looked for yet.
    pub(crate) owes_look: bool,
}

impl Listener {
    /// Listens until dropped.
    pub(crate) async fn run(mut self, first: Link) {
        let mut first = Some(first);
        let mut pauses = pauses();
        loop {
            let link = match first.take() {
                Some(link) => Ok(link),
                None => self.pool.get().await.map(|held| held.take()),
            };
            let mut least = Duration::ZERO;
            let ended = match link {
                Ok(mut link) => match self.resume(&mut link).await {
                    Ok(()) => {
                        self.health.hearing_works();
                        pauses = self::pauses();
                        let mut has_heard = false;
                        let ended = self.listen(&mut link, &mut has_heard).await;
                        if !has_heard {
                            least = READ_AGAIN;
                        }
                        ended
                    }
                    Err(failure) => failure,
                },
                Err(failure) => failure,
            };
            self.health.hearing_fails(&ended.reason());
            let pause = pauses.next().unwrap_or(limits::RECONNECT_MAX);
            sleep(pause.max(least)).await;
        }
    }

    /// Finds the entry to read on from, on a connection that is new.
    async fn resume(&mut self, link: &mut Link) -> Result<(), Failure> {
        // The answer has two entries in it, whatever is asked.
        let patience = self.portion.patience(self.response_timeout);
        let newest = within(patience, self.inbox.newest(link)).await;
        match newest.inspect_err(|failure| self.portion.failed(failure))? {
            Some(newest) if newest >= self.last => {}
            // An older copy of the stream, after a failover or from a snapshot: what it holds
            // may have been read, which does no harm.
            Some(_) => {
                self.last = EntryId::default();
                self.owes_look = true;
            }
            None => return self.create_again(link).await,
        }
        self.look_up(link).await
    }

    /// Listens until that fails. Notes when anything was read, if only that there is nothing.
    async fn listen(&mut self, link: &mut Link, has_heard: &mut bool) -> Failure {
        let usual = BLOCK + self.response_timeout;
        let mut kept = Instant::now();
        let mut untrimmed = 0;
        loop {
            let entries = self.portion.entries();
            let read = self.inbox.read(link, self.last, entries, BLOCK);
            let batch = match within(self.portion.patience(usual), read).await {
                Ok(batch) => batch,
                Err(failure) => {
                    self.portion.failed(&failure);
                    return failure;
                }
            };
            *has_heard = true;
            self.portion.grow(batch.entries);
            self.last = batch.last.unwrap_or(self.last);
            for (id, frame) in batch.replies {
                untrimmed += frame.len();
                self.arrivals.arrived(id, frame);
            }
            if kept.elapsed() >= KEEP_EVERY || untrimmed >= UNTRIMMED_BYTES_MAX {
                if let Err(failure) = self.keep(link).await {
                    return failure;
                }
                kept = Instant::now();
                untrimmed = 0;
            }
        }
    }

    async fn keep(&mut self, link: &mut Link) -> Result<(), Failure> {
        let kept = within(self.response_timeout, self.inbox.keep(link, self.last)).await?;
        if kept {
            Ok(())
        } else {
            self.create_again(link).await
        }
    }

    /// The inbox is gone: Redis was wiped, or this process stood still for too long. Replies that
    /// found no inbox meanwhile lie under the keys of their calls.
    async fn create_again(&mut self, link: &mut Link) -> Result<(), Failure> {
        tracing::warn!(
            inbox = self.inbox.key(),
            "the inbox is gone from Redis; making it again"
        );
        within(self.response_timeout, self.inbox.create(link)).await?;
        self.last = EntryId::default();
        self.owes_look = true;
        self.look_up(link).await
    }

    /// Looks for the replies of all waiting calls under their own keys, if that is owed. The inbox
    /// must be there before: a reply stored later goes into it.
    async fn look_up(&mut self, link: &mut Link) -> Result<(), Failure> {
        if !self.owes_look {
            return Ok(());
        }
        let waiting = self.arrivals.waiting();
        let mut rest = &waiting[..];
        while !rest.is_empty() {
            let (ids, later) = rest.split_at(rest.len().min(self.portion.entries()));
            rest = later;
            let mut get = redis::cmd("MGET");
            for id in ids {
                get.arg(self.keys.response(*id));
            }
            let found = async { Ok(get.query_async::<Vec<Option<Vec<u8>>>>(link).await?) };
            let patience = self.portion.patience(self.response_timeout);
            let frames = match within(patience, found).await {
                Ok(frames) => frames,
                Err(failure) => {
                    self.portion.failed(&failure);
                    return Err(failure);
                }
            };
            self.portion.grow(ids.len());
            for (id, frame) in ids.iter().zip(frames) {
                if let Some(frame) = frame {
                    self.arrivals.arrived(*id, Bytes::from(frame));
                }
            }
        }
        self.owes_look = false;
        Ok(())
    }
}

/// The answer to a command, if it comes within the bound.
async fn within<T>(
    bound: Duration,
    command: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match timeout(bound, command).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Failure::Silent(bound)),
    }
}

/// The pauses between attempts to connect; there is no last one.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    // backon's jitter adds up to the whole pause, so half the bound is the bound.
    ExponentialBuilder::default()
        .with_min_delay(limits::RECONNECT_MIN / 2)
        .with_max_delay(limits::RECONNECT_MAX / 2)
        .with_jitter()
        .without_max_times()
        .build()
}
