//! A transport that carries requests, and whose word about them is the test's.

use crate::between::{Between, Hook};
use replybus::transport::{
    Outgoing, Receipt, Slip, Transport as _, Verdict,
    memory::{MemoryBroker, MemoryTransport},
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{Semaphore, watch};

/// Stores what is published, and gives no verdict about requests but by [`say`](Self::say).
#[derive(Debug)]
pub(crate) struct Unsure {
    asked: Mutex<VecDeque<Slip>>,
    published: Semaphore,
    /// Further requests are not written.
    held: AtomicBool,
    /// Whether a confirm was asked for the last message.
    confirm: watch::Sender<Option<bool>>,
}

impl Unsure {
    pub(crate) fn transport() -> Arc<Between<Self>> {
        let unsure = Self {
            asked: Mutex::default(),
            published: Semaphore::new(0),
            held: AtomicBool::new(false),
            confirm: watch::Sender::default(),
        };
        Between::on(&MemoryBroker::new(), unsure)
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

impl Hook for Unsure {
    fn publish(&self, outgoing: Outgoing, on: &MemoryTransport) -> Receipt {
        self.confirm.send_replace(Some(outgoing.confirm));
        if outgoing.message.properties.correlation_id.is_none() {
            return on.publish(outgoing);
        }
        let (slip, receipt) = Receipt::pair();
        if !self.held.load(Ordering::SeqCst) {
            assert!(slip.begin_write());
            drop(on.publish(outgoing));
        }
        self.asked.lock().unwrap().push_back(slip);
        self.published.add_permits(1);
        receipt
    }
}
