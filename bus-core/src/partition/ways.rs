//! The caller's end: the queues of a contract with partitions, and what calls to each share.

use super::{Place, place::partition_queue};
use crate::{bus::Bus, client::bundle::QueueLanes, message::Text};
use std::sync::Arc;

/// The ways to the partitions of one queue.
#[derive(Debug)]
pub(crate) struct Ways(Box<[(Text, Arc<QueueLanes>)]>);

impl Ways {
    /// Those to the partitions of `queue`, a name without the namespace.
    pub(crate) fn to(bus: &Bus, queue: &str, partitions: u16) -> Self {
        let of: Text = bus.name(queue).into();
        let way = |partition| {
            let queue: Text = partition_queue(&of, partition).into();
            let lanes = &bus.inner().bundler;
            let lanes = lanes.partition_lanes(&queue, &of, partitions);
            (queue, lanes)
        };
        Self((0..partitions).map(way).collect())
    }

    /// The queue of a key, and what calls to it share.
    pub(crate) fn of(&self, key: u32) -> Option<&(Text, Arc<QueueLanes>)> {
        let place = Place {
            key,
            partitions: u16::try_from(self.0.len()).unwrap_or(u16::MAX),
        };
        self.0.get(usize::from(place.partition()))
    }
}
