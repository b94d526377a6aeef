//! A transport that carries requests, and whose word about them is the test's.

use async_trait::async_trait;
use replybus::{
    SetupError,
    transport::{
        Deliveries, InspectError, Outgoing, QueueSpec, QueueState, Receipt, Slip, Source,
        Transport, TransportHealth, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

/// Stores what is published, and gives no verdict about requests but by [`say`](Self::say).
#[derive(Debug)]
pub(crate) struct Unsure {
    inner: MemoryTransport,
    asked: Mutex<VecDeque<Slip>>,
    published: Semaphore,
    /// Further requests are not written.
    held: AtomicBool,
    /// Whether a confirm was asked for the last message.
    confirm: watch::Sender<Option<bool>>,
}

impl Unsure {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryBroker::new().connect(),
            asked: Mutex::default(),
            published: Semaphore::new(0),
            held: AtomicBool::new(false),
            confirm: watch::Sender::default(),
        })
    }

    /// Waits until `n` more requests were published.
    pub(crate) async fn published(&self, n: u32) {
        self.published.acquire_many(n).await.unwrap().forget();
    }

    /// Writes no further requests, as without a connection.
    pub(crate) fn hold(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Waits for the next message, requests and others, and tells whether a confirm is asked for.
    pub(crate) async fn asked_to_confirm(&self) -> bool {
        let mut confirm = self.confirm.subscribe();
        let asked = confirm.wait_for(Option::is_some).await.unwrap().unwrap();
        self.confirm.send_replace(None);
        asked
    }

    /// Gives a verdict about the first request that has none.
    pub(crate) fn say(&self, verdict: Verdict) {
        let slip = self.asked.lock().unwrap().pop_front().unwrap();
        slip.fill(verdict);
    }
}

#[async_trait]
impl Transport for Unsure {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        self.confirm.send_replace(Some(outgoing.confirm));
        if outgoing.message.properties.correlation_id.is_none() {
            return self.inner.publish(outgoing);
        }
        let (slip, receipt) = Receipt::pair();
        if !self.held.load(Ordering::SeqCst) {
            assert!(slip.begin_write());
            drop(self.inner.publish(outgoing));
        }
        self.asked.lock().unwrap().push_back(slip);
        self.published.add_permits(1);
        receipt
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        self.inner.consume(source).await
    }

    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        self.inner.declare(queue).await
    }

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        self.inner.inspect(queue).await
    }

    fn health(&self) -> TransportHealth {
        self.inner.health()
    }

    async fn close(&self, within: Duration) {
        self.inner.close(within).await;
    }
}
