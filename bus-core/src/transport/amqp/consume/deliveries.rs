//! The deliveries of one queue, as they are handed over.

use crate::transport::{Deliveries, Delivery};
use async_trait::async_trait;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The deliveries of one queue.
pub(crate) struct AmqpDeliveries {
    pub(super) handed_over: mpsc::Receiver<HandedOver>,
    /// The generation of the present channel.
    pub(super) generation: Arc<AtomicU64>,
    pub(super) stop: CancellationToken,
    /// The consumer's task.
    pub(super) task: TaskTracker,
}

/// A delivery, and the generation of the channel it came from.
pub(super) struct HandedOver {
    pub(super) generation: u64,
    pub(super) delivery: Delivery,
}

#[async_trait]
impl Deliveries for AmqpDeliveries {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        loop {
            let Some(handed_over) = ready!(self.handed_over.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            // One of a channel that is gone is delivered again on the present one.
            if handed_over.generation == self.generation.load(Ordering::Acquire) {
                return Poll::Ready(Some(handed_over.delivery));
            }
        }
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        self.handed_over.close();
        while self.handed_over.try_recv().is_ok() {}
        self.task.wait().await;
    }
}

impl Drop for AmqpDeliveries {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for AmqpDeliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpDeliveries").finish_non_exhaustive()
    }
}
