//! The store a promise is checked on, and short words for what is done to it.

use bytes::Bytes;
use replybus::{
    CallId,
    reply::{
        Arrivals, Claim, Claimed, Reply, ReplyBackend, ReplyStore, ReplyTarget,
        memory::MemoryReplies,
    },
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{self, unique},
    wait::bounded,
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::{Mutex, mpsc};

/// Between two questions about what only time changes.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// Longer than any test.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Soon over.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// Opens one more end of the store under test.
type Backend = Box<dyn Fn() -> Box<dyn ReplyBackend> + Send + Sync>;

/// The store inside this process.
pub(crate) async fn memory() -> Option<Backend> {
    let replies = MemoryReplies::new();
    Some(Box::new(move || Box::new(replies.clone())))
}

/// Redis.
pub(crate) async fn redis() -> Option<Backend> {
    let url = live::redis().await?;
    Some(Box::new(move || Box::new(RedisReplies::new(&url))))
}

/// One test's share of a store: a namespace of its own.
pub(crate) struct Bench {
    backend: Backend,
    namespace: String,
}

/// Checks a promise.
pub(crate) async fn run<F>(backend: Option<Backend>, promise: impl FnOnce(Bench) -> F)
where
    F: Future<Output = ()>,
{
    let Some(backend) = backend else {
        return;
    };
    let bench = Bench {
        backend,
        namespace: unique("store"),
    };
    // One that is broken often shows by waiting for ever.
    bounded(promise(bench)).await;
}

impl Bench {
    /// The store as one more process sees it.
    pub(crate) async fn open(&self) -> End {
        self.open_namespace(&self.namespace).await
    }

    pub(crate) async fn open_namespace(&self, namespace: &str) -> End {
        let (sender, arrived) = mpsc::unbounded_channel();
        let arrivals = Arc::new(Arrived(sender));
        let store = (self.backend)().open(namespace, arrivals).await.unwrap();
        End {
            store,
            arrived: Mutex::new(arrived),
        }
    }

    pub(crate) fn namespace(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.namespace)
    }
}

struct Arrived(mpsc::UnboundedSender<(CallId, Bytes)>);

impl Arrivals for Arrived {
    fn arrived(&self, id: CallId, frame: Bytes) {
        let _ = self.0.send((id, frame));
    }

    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

/// A process's end of the store.
pub(crate) struct End {
    pub(crate) store: Arc<dyn ReplyStore>,
    arrived: Mutex<mpsc::UnboundedReceiver<(CallId, Bytes)>>,
}

impl End {
    /// The next reply in the inbox.
    pub(crate) async fn arrived(&self) -> (CallId, Bytes) {
        self.arrived.lock().await.recv().await.unwrap()
    }

    /// Where replies to this process go.
    pub(crate) fn target(&self) -> ReplyTarget {
        ReplyTarget::Inbox(self.store.inbox().into())
    }

    pub(crate) async fn send(&self, id: CallId, target: ReplyTarget, frame: &'static str) {
        self.store.store(reply(id, target, frame)).await.unwrap();
    }

    pub(crate) async fn fetch(&self, id: CallId) -> Option<Bytes> {
        self.store.fetch(id).await.unwrap()
    }

    pub(crate) async fn claim(&self, claim: &Claim) -> Claimed {
        self.store.claim(claim).await.unwrap()
    }

    /// Records an outcome that goes to no caller.
    pub(crate) async fn finish(&self, claim: &Claim, frame: &'static str) {
        let reply = reply(CallId::new(), ReplyTarget::None, frame).record(claim.clone());
        self.store.store(reply).await.unwrap();
    }
}

pub(crate) fn reply(id: CallId, target: ReplyTarget, frame: &'static str) -> Reply {
    Reply::new(id, target, Bytes::from_static(frame.as_bytes())).ttl(LONG)
}

/// Asks until the answer is another than `now`, and returns it.
pub(crate) async fn changed<T, F>(now: T, ask: impl Fn() -> F) -> T
where
    T: PartialEq,
    F: Future<Output = T>,
{
    loop {
        let answer = ask().await;
        if answer != now {
            return answer;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
