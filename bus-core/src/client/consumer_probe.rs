//! Whether anybody serves a queue, looked at for all calls that wait for a reply from it.

use crate::{
    limits::{CONSUMER_LOOK_AGAIN, CONSUMER_LOOK_EVERY},
    message::Text,
    presence::Instance,
    reply::ReplyStore,
    transport::Transport,
};
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// What is known of one queue.
pub(crate) struct ConsumerProbe {
    transport: Arc<dyn Transport>,
    replies: Arc<dyn ReplyStore>,
    /// Its name on the broker.
    queue: Text,
    /// What those who serve it are known by, without the namespace.
    name: Text,
    /// How many partitions it is one of, if it is one.
    partitions: Option<u16>,
    created: Instant,
    /// When the last reply came, in nanoseconds since then.
    heard: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last look: when it began, and what it found.
    last: Option<(Instant, bool)>,
    looking: Option<Shared<BoxFuture<'static, bool>>>,
}

/// What a look comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Nobody serves the queue.
    Unserved,
    /// Nobody did a moment ago; it may be looked at again after this time.
    TooSoon(Duration),
    /// Somebody does, or it is not known; to be looked at again after this time.
    Served(Duration),
}

impl ConsumerProbe {
    /// Of the queue of this name on the broker, whose instances say that they serve `name`.
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        replies: Arc<dyn ReplyStore>,
        queue: Text,
        name: Text,
        partitions: Option<u16>,
    ) -> Self {
        Self {
            transport,
            replies,
            queue,
            name,
            partitions,
            created: Instant::now(),
            heard: AtomicU64::default(),
            state: Mutex::default(),
        }
    }

    /// What those who serve the queue are known by, without the namespace.
    pub(super) fn name(&self) -> &Text {
        &self.name
    }

    /// Notes a reply: somebody serves the queue.
    pub(super) fn heard(&self) {
        let now = u64::try_from(self.created.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.heard.store(now, Ordering::Relaxed);
    }

    /// Looks whether anybody has served the queue since `sent`.
    pub(super) async fn look(&self, sent: Instant) -> Look {
        let (looking, began) = {
            let mut state = self.state();
            let now = Instant::now();
            let heard = Duration::from_nanos(self.heard.load(Ordering::Relaxed));
            let heard = self.created + heard;
            if heard > sent && now < heard + CONSUMER_LOOK_EVERY {
                return Look::Served(CONSUMER_LOOK_EVERY);
            }
            match (&state.looking, state.last) {
                (Some(looking), Some((began, _))) => (looking.clone(), began),
                (None, Some((began, true))) if now < began + CONSUMER_LOOK_EVERY => {
                    return Look::Served(began + CONSUMER_LOOK_EVERY - now);
                }
                (None, Some((began, false))) if began >= sent => return Look::Unserved,
                (None, Some((began, false))) if now < began + CONSUMER_LOOK_AGAIN => {
                    return Look::TooSoon(began + CONSUMER_LOOK_AGAIN - now);
                }
                _ => {
                    let looking = self.begin().boxed().shared();
                    state.looking = Some(looking.clone());
                    state.last = Some((now, true));
                    (looking, now)
                }
            }
        };
        let is_served = looking.await;
        let mut state = self.state();
        if state.last.is_some_and(|(last, _)| last == began) {
            state.last = Some((began, is_served));
            state.looking = None;
        }
        match is_served {
            true => Look::Served(CONSUMER_LOOK_EVERY),
            false if began >= sent => Look::Unserved,
            false => Look::TooSoon(CONSUMER_LOOK_AGAIN),
        }
    }

    /// A look: `false` if nobody serves the queue for sure.
    ///
    /// Who is recorded serves it, whatever the broker says: a service whose connection is being made
    /// again has no consumer, and has a record. The store is asked for one record first, since the
    /// broker's answer takes a channel that is opened and closed, for each process that waits for a
    /// slow service. That nobody serves the queue is told by the broker and then by the store, since
    /// who starts consumes before it is recorded, and who ends goes on being recorded until it has
    /// ended.
    fn begin(&self) -> impl Future<Output = bool> + Send + 'static {
        let (transport, replies) = (Arc::clone(&self.transport), Arc::clone(&self.replies));
        let (queue, name) = (self.queue.clone(), self.name.clone());
        let partitions = self.partitions;
        // One that divides its calls otherwise does not consume this queue.
        let consumes = move |record: &Bytes| {
            Instance::read(record).is_some_and(|instance| instance.partitions == partitions)
        };
        async move {
            if let Ok(Some(record)) = replies.one_present(&name).await
                && consumes(&record)
            {
                return true;
            }
            match transport.inspect(&queue).await {
                Ok(Some(state)) if state.consumers == 0 => {}
                _ => return true,
            }
            match replies.present(&name).await {
                Ok(records) => records.iter().any(consumes),
                Err(_) => true,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ConsumerProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerProbe")
            .field("queue", &self.queue)
            .field("last", &self.state().last)
            .finish_non_exhaustive()
    }
}
