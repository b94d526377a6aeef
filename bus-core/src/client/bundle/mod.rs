//! Awaited calls that leave together: those of one queue, kind and encoding that come while another
//! is being written wait for that, and leave as one message, a bundle.
//!
//! Nothing waits for a timer: a lone call is written at once by its caller, and so is the first of
//! many. Who does what, in this order: the [`pace`] of a queue says whether its services take
//! bundles and are fast enough for it; the [`lane`] keeps what waits, each in its [`seat`]; what
//! has left is [`sent`], and each verdict on it is that of all its entries.

mod lane;
mod pace;
mod seat;
mod sent;

pub(super) use self::{lane::Sending, sent::SentBundle};

use self::{lane::Lane, pace::Pace};
use super::{consumer_probe::ConsumerProbe, waiters::Waiters};
use crate::{
    codec::ContentType,
    contract::MethodKind,
    control::Cancels,
    message::Text,
    partition::Turns,
    reply::ReplyStore,
    signature::Signatures,
    transport::{Outgoing, Transport},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// What it takes to publish for the calls of one bus.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) replies: Arc<dyn ReplyStore>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) app_id: Text,
    pub(crate) inbox: Text,
    pub(crate) signatures: Signatures,
    /// What queues begin with, with a dot; or nothing.
    pub(crate) namespace: String,
    /// The exchange that cancelled calls are said to.
    pub(crate) control: Text,
    /// Where what waits is written. There is none under a bus in memory that was made without one,
    /// and then nothing waits.
    pub(crate) runtime: Option<Handle>,
    /// What says that calls are cancelled.
    pub(crate) saying: TaskTracker,
}

/// The queues that clients of one bus call through.
#[derive(Debug)]
pub(crate) struct Bundler {
    post: Arc<Post>,
    queues: Mutex<HashMap<Text, Weak<QueueLanes>>>,
}

/// The lanes to one queue, shared by all its clients in this bus.
#[derive(Debug)]
pub(crate) struct QueueLanes {
    pace: Arc<Pace>,
    lanes: [Arc<Lane>; 4],
    cancels: Arc<Cancels>,
    probe: ConsumerProbe,
    /// Of a partition: the last calls of its keys.
    turns: Option<Turns>,
}

impl Bundler {
    pub(crate) fn new(post: Post) -> Self {
        Self {
            post: Arc::new(post),
            queues: Mutex::default(),
        }
    }

    /// The lanes to the queue of this name on the broker.
    pub(crate) fn lanes(&self, queue: &Text) -> Arc<QueueLanes> {
        self.lanes_of(queue, queue, None)
    }

    /// The lanes to the queue of one of so many partitions of `of`.
    pub(crate) fn partition_lanes(
        &self,
        queue: &Text,
        of: &Text,
        partitions: u16,
    ) -> Arc<QueueLanes> {
        self.lanes_of(queue, of, Some(partitions))
    }

    /// The lanes to a queue, which is known to those who serve it by the name `of`.
    fn lanes_of(&self, queue: &Text, of: &Text, partitions: Option<u16>) -> Arc<QueueLanes> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lanes) = queues.get(queue.as_str()).and_then(Weak::upgrade) {
            return lanes;
        }
        if queues.len() == queues.capacity() {
            // Of queues that nobody has a client of any more.
            queues.retain(|_, lanes| lanes.strong_count() > 0);
        }
        let pace = Arc::new(Pace::default());
        let lane = |persistent, content_type| {
            Arc::new(Lane::new(
                &self.post,
                queue,
                &pace,
                persistent,
                content_type,
            ))
        };
        let lanes = Arc::new(QueueLanes {
            lanes: [
                lane(false, ContentType::MessagePack),
                lane(true, ContentType::MessagePack),
                lane(false, ContentType::Json),
                lane(true, ContentType::Json),
            ],
            pace,
            probe: ConsumerProbe::new(
                Arc::clone(&self.post.transport),
                Arc::clone(&self.post.replies),
                queue.clone(),
                of.strip_prefix(&*self.post.namespace).unwrap_or(of).into(),
                partitions,
            ),
            cancels: Cancels::new(
                Arc::clone(&self.post.transport),
                self.post.control.clone(),
                of.clone(),
                self.post.runtime.clone(),
                self.post.saying.clone(),
            ),
            turns: partitions.map(|_| Turns::default()),
        });
        queues.insert(queue.clone(), Arc::downgrade(&lanes));
        lanes
    }
}

impl QueueLanes {
    /// What is known of the services behind the queue.
    pub(super) fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Whether anybody serves the queue.
    pub(super) fn probe(&self) -> &ConsumerProbe {
        &self.probe
    }

    /// The last calls of the keys of a partition.
    pub(super) fn turns(&self) -> Option<&Turns> {
        self.turns.as_ref()
    }

    /// The calls to the queue that are cancelled.
    pub(super) fn cancels(&self) -> &Arc<Cancels> {
        &self.cancels
    }

    fn lane(&self, kind: MethodKind, content_type: ContentType) -> &Arc<Lane> {
        let [query, command, json_query, json_command] = &self.lanes;
        match (kind, content_type) {
            (MethodKind::Query, ContentType::MessagePack) => query,
            (MethodKind::Command, ContentType::MessagePack) => command,
            (MethodKind::Query, ContentType::Json) => json_query,
            (MethodKind::Command, ContentType::Json) => json_command,
        }
    }

    /// Sends a request: alone and at once, or with others as soon as the one before it is out.
    pub(super) fn send(
        &self,
        request: &super::CallRequest,
        repeated: bool,
        alone: impl FnOnce() -> Outgoing,
    ) -> Sending {
        let lane = self.lane(request.method.kind, request.content_type);
        match self.pace.work_of(request.method) {
            Some(work) => lane.send(request, repeated, work, alone),
            None => Sending::Alone(lane.publish(alone())),
        }
    }
}
