//! A store of replies that loses, repeats, changes and refuses frames of streams.

use async_trait::async_trait;
use replybus::{
    Bus, Bytes, CallId, SetupError,
    message::Text,
    reply::{
        Arrivals, Cancel, Cancelled, Claim, Claimed, CommandRecord, Reply, ReplyBackend,
        ReplyStore, StoreError, StoreHealth, Stored, memory::MemoryReplies,
    },
    transport::memory::MemoryBroker,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Streams still work where frames are lost, come twice and out of turn, or are refused: what becomes
/// of each is told by a number.
pub(crate) struct Lossy<B> {
    replies: B,
    fate: Fate,
}

pub(crate) type Fate = Arc<dyn Fn(u64) -> Appended + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Appended {
    Well,
    Lost,
    Twice,
    Refused,
    RefusedButThere,
    Absent,
    /// Without its signature.
    Bare,
    /// With another last byte.
    Altered,
}

struct LossyStore {
    store: Arc<dyn ReplyStore>,
    fate: Fate,
    count: AtomicU64,
}

impl std::fmt::Debug for LossyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LossyStore")
    }
}

#[async_trait]
impl<B: ReplyBackend> ReplyBackend for Lossy<B> {
    async fn open(
        self: Box<Self>,
        namespace: &str,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        let store = Box::new(self.replies).open(namespace, arrivals).await?;
        Ok(Arc::new(LossyStore {
            store,
            fate: self.fate,
            count: AtomicU64::new(0),
        }))
    }
}

#[async_trait]
impl ReplyStore for LossyStore {
    async fn append(&self, inbox: &Text, id: CallId, frame: Bytes) -> Result<Stored, StoreError> {
        let refused = || Err(StoreError::new("add to a stream", "on purpose"));
        let add = || self.store.append(inbox, id, frame.clone());
        tokio::time::sleep(Duration::from_millis(1)).await;
        match (self.fate)(self.count.fetch_add(1, Ordering::SeqCst)) {
            Appended::Well => add().await,
            Appended::Lost => Ok(Stored::AsAsked),
            Appended::Twice => {
                add().await?;
                add().await
            }
            Appended::Refused => refused(),
            Appended::RefusedButThere => {
                add().await?;
                refused()
            }
            Appended::Absent => Ok(Stored::InboxAbsent),
            Appended::Bare => self.store.append(inbox, id, bare(&frame)).await,
            Appended::Altered => self.store.append(inbox, id, altered(&frame)).await,
        }
    }

    fn inbox(&self) -> &str {
        self.store.inbox()
    }
    fn is_inbox(&self, reply_to: &str) -> bool {
        self.store.is_inbox(reply_to)
    }
    async fn store(&self, reply: Reply) -> Result<Stored, StoreError> {
        self.store.store(reply).await
    }
    async fn fetch(&self, id: CallId) -> Result<Option<Bytes>, StoreError> {
        self.store.fetch(id).await
    }
    async fn claim(&self, claim: &Claim) -> Result<Claimed, StoreError> {
        self.store.claim(claim).await
    }
    async fn renew(&self, claim: &Claim) -> Result<bool, StoreError> {
        self.store.renew(claim).await
    }
    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        self.store.release(claim).await
    }
    async fn lapse(&self, claim: &Claim) -> Result<(), StoreError> {
        self.store.lapse(claim).await
    }
    async fn cancel(&self, cancel: &Cancel) -> Result<Cancelled, StoreError> {
        self.store.cancel(cancel).await
    }

    async fn note(&self, claim: &Claim, progress: Bytes) -> Result<(), StoreError> {
        self.store.note(claim, progress).await
    }

    async fn record(&self, key: &str) -> Result<Option<CommandRecord>, StoreError> {
        self.store.record(key).await
    }
    fn health(&self) -> StoreHealth {
        self.store.health()
    }
    async fn close(&self) {
        self.store.close().await;
    }
}

/// What is in a signed frame: behind two bytes, the length of a name, the name, and 64 bytes.
fn bare(frame: &Bytes) -> Bytes {
    match frame[..] {
        [0xc1, 6 | 7, name, ..] => frame.slice(3 + usize::from(name) + 64..),
        _ => frame.clone(),
    }
}

fn altered(frame: &Bytes) -> Bytes {
    let mut frame = frame.to_vec();
    if let Some(last) = frame.last_mut() {
        *last ^= 1;
    }
    frame.into()
}

impl<B> Lossy<B> {
    pub(crate) fn new(replies: B, fate: impl Fn(u64) -> Appended + Send + Sync + 'static) -> Self {
        let fate = Arc::new(fate);
        Self { replies, fate }
    }
}

/// A bus over such a store.
pub(crate) async fn lossy(fate: impl Fn(u64) -> Appended + Send + Sync + 'static) -> Bus {
    let replies = Lossy::new(MemoryReplies::new(), fate);
    let transport = Arc::new(MemoryBroker::new().connect());
    Bus::connect(transport, replies).await.unwrap()
}
