//! Who waits for which reply, on the calling side of a hand-written path.

use anyhow::{Context, Result};
use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// Far beyond what a call takes: it ends a benchmark that hangs.
const CALL_WITHIN: Duration = Duration::from_secs(10);

type Waiting = HashMap<u64, oneshot::Sender<Vec<u8>>>;

/// The calls under way.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

impl Waiters {
    /// Begins a call: its id, and where its reply will be.
    pub(super) fn begin(&self) -> (u64, oneshot::Receiver<Vec<u8>>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, reply) = oneshot::channel();
        self.waiting().insert(id, sender);
        (id, reply)
    }

    /// Waits for the reply of a call.
    pub(super) async fn reply(
        &self,
        id: u64,
        reply: oneshot::Receiver<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        match timeout(CALL_WITHIN, reply).await {
            Ok(reply) => reply.context("the listener is gone"),
            Err(elapsed) => {
                self.waiting().remove(&id);
                Err(elapsed).context("a call got no reply")
            }
        }
    }

    /// Hands a reply to the call that waits for it, if one does.
    pub(super) fn arrived(&self, id: u64, body: Vec<u8>) {
        if let Some(waiter) = self.waiting().remove(&id) {
            let _ = waiter.send(body);
        }
    }

    /// Fails every call under way: nothing more will arrive.
    pub(super) fn abandon(&self) {
        self.waiting().clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // The map is whole between any two of its methods.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
