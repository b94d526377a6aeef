//! Stands in for the calls of a process that wait for their replies.

use bytes::Bytes;
use replybus::{CallId, reply::Arrivals};
use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};
use tokio::{sync::watch, time::timeout};

#[derive(Default)]
pub(crate) struct Waiters {
    calls: Mutex<Calls>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Calls {
    waiting: HashSet<CallId>,
    arrived: HashMap<CallId, Bytes>,
}

impl Waiters {
    pub(crate) fn wait_for(&self, id: CallId) {
        self.calls.lock().unwrap().waiting.insert(id);
    }

    /// The first reply to `id`, once it is there.
    pub(crate) async fn reply(&self, id: CallId) -> Bytes {
        let mut changed = self.changed.subscribe();
        let arrived = changed.wait_for(|_| self.get(id).is_some());
        let ended = timeout(Duration::from_secs(60), arrived).await;
        assert!(
            ended.is_ok(),
            "the reply to {id} did not arrive within 60 s"
        );
        self.get(id).unwrap()
    }

    pub(crate) fn get(&self, id: CallId) -> Option<Bytes> {
        self.calls.lock().unwrap().arrived.get(&id).cloned()
    }
}

impl Arrivals for Waiters {
    fn arrived(&self, id: CallId, frame: Bytes) {
        let mut calls = self.calls.lock().unwrap();
        calls.waiting.remove(&id);
        calls.arrived.entry(id).or_insert(frame);
        drop(calls);
        self.changed.send_modify(|count| *count += 1);
    }

    fn waiting(&self) -> Vec<CallId> {
        self.calls.lock().unwrap().waiting.iter().copied().collect()
    }
}
