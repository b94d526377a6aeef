//! The instances that serve, by the queue they serve.

use crate::{
    limits::{
        INSTANCES_LISTED_MAX, PRESENCE_RECORD_BYTES_MAX, SERVICE_REMEMBERED, SERVICES_LISTED_MAX,
    },
    presence::InstanceId,
    reply::Presence,
};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use tokio::time::Instant;

/// Each until its time is over.
#[derive(Debug, Default)]
pub(super) struct Presences(HashMap<String, BTreeMap<InstanceId, (Instant, Bytes)>>);

impl Presences {
    pub(super) fn announce(&mut self, presence: &Presence) {
        let now = Instant::now();
        let of_queue = self.0.entry(presence.queue.clone()).or_default();
        of_queue.retain(|_, (until, _)| *until > now);
        let record = (now + presence.ttl, presence.record.clone());
        of_queue.insert(presence.instance, record);
    }

    pub(super) fn withdraw(&mut self, queue: &str, instance: InstanceId) {
        if let Some(of_queue) = self.0.get_mut(queue) {
            of_queue.remove(&instance);
            if of_queue.is_empty() {
                self.0.remove(queue);
            }
        }
    }

    pub(super) fn present(&self, queue: &str) -> Vec<Bytes> {
        let now = Instant::now();
        let of_queue = self.0.get(queue).into_iter().flat_map(BTreeMap::values);
        let alive = of_queue.filter(|(until, _)| *until > now);
        let records = alive.map(|(_, record)| record);
        records
            .filter(|record| record.len() <= PRESENCE_RECORD_BYTES_MAX)
            .take(INSTANCES_LISTED_MAX)
            .cloned()
            .collect()
    }

    pub(super) fn queues(&self) -> Vec<String> {
        let now = Instant::now();
        let served = self.0.iter().filter(|(_, of_queue)| {
            let mut ends = of_queue.values().map(|(until, _)| until);
            ends.any(|until| *until + SERVICE_REMEMBERED > now)
        });
        let mut queues: Vec<_> = served.map(|(queue, _)| queue.clone()).collect();
        queues.sort_unstable();
        queues.truncate(SERVICES_LISTED_MAX);
        queues
    }
}
