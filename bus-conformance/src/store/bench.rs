//! One case's share of a store, and short words for what is done to it.

use super::StoreFixture;
use crate::unique;
use replybus::{
    Bytes, CallId,
    reply::{Arrivals, Claim, Claimed, Reply, ReplyStore, ReplyTarget},
};
use std::{
    sync::{Arc, Mutex as StdMutex},
    time::Duration,
};
use tokio::sync::{Mutex, mpsc};

pub(crate) use crate::wait::changed;

/// Longer than any case.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// Soon over.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// A namespace of the case's own, and more of them.
pub(crate) struct Bench {
    fixture: Arc<dyn StoreFixture>,
    namespace: String,
    /// All that were opened.
    namespaces: Arc<StdMutex<Vec<String>>>,
}

impl Bench {
    pub(super) fn new(
        fixture: Arc<dyn StoreFixture>,
        namespaces: Arc<StdMutex<Vec<String>>>,
    ) -> Self {
        Self {
            fixture,
            namespace: unique("store"),
            namespaces,
        }
    }

    /// The store as one more process sees it.
    pub(crate) async fn open(&self) -> End {
        self.open_namespace(&self.namespace).await
    }

    pub(crate) async fn open_namespace(&self, namespace: &str) -> End {
        self.note(namespace);
        let (sender, arrived) = mpsc::unbounded_channel();
        let arrivals = Arc::new(Arrived(sender));
        let backend = self.fixture.backend();
        End {
            store: backend.open(namespace, arrivals).await.unwrap(),
            arrived: Mutex::new(arrived),
        }
    }

    /// Notes what is to be cleared.
    fn note(&self, namespace: &str) {
        let mut namespaces = self.namespaces.lock().unwrap();
        if !namespaces.iter().any(|known| known == namespace) {
            namespaces.push(namespace.to_owned());
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
