//! The consumer's end of a queue, and the task that carries out its orders.

use super::queue::{Queue, Taken};
use crate::transport::{Acknowledger, Deliveries, Delivery, SettleOrder, Settler, settle_orders};
use async_trait::async_trait;
use futures_util::task::AtomicWaker;
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, coop::poll_proceed},
};
use tokio_util::sync::CancellationToken;

/// Settlements taken from the channel at a time.
const SETTLE_BATCH: usize = 64;

/// Deliveries of one consumer.
pub(super) struct MemoryDeliveries {
    queue: Arc<Queue>,
    consumer: u64,
    wake: Arc<AtomicWaker>,
    acknowledger: Arc<dyn Acknowledger>,
    /// Ends the consumer, with all that it holds.
    end: CancellationToken,
    settling: JoinHandle<()>,
}

impl MemoryDeliveries {
    /// Attaches a consumer to `queue`, in the name of `connection`.
    pub(super) fn attach(queue: Arc<Queue>, connection: u64, prefetch: u16) -> Self {
        let wake = Arc::new(AtomicWaker::new());
        let consumer = queue.attach(connection, prefetch, Arc::clone(&wake));
        let (acknowledger, settled) = settle_orders();
        let attached = Attached {
            queue: Arc::clone(&queue),
            consumer,
        };
        let end = CancellationToken::new();
        Self {
            queue,
            consumer,
            wake,
            acknowledger,
            settling: tokio::spawn(attached.settle(settled, end.clone())),
            end,
        }
    }
}

#[async_trait]
impl Deliveries for MemoryDeliveries {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        // A queue that is never empty must not keep its consumer from yielding.
        let budget = ready!(poll_proceed(cx));
        // Before the look: what comes after that wakes.
        self.wake.register(cx.waker());
        let taken = ready!(self.queue.take(self.consumer));
        budget.made_progress();
        Poll::Ready(taken.map(|taken| self.delivery(taken)))
    }

    async fn stop(&mut self) {
        if self.queue.spec.single_active {
            self.end.cancel();
            let _ = (&mut self.settling).await;
        } else {
            self.queue.stop(self.consumer);
        }
    }
}

impl MemoryDeliveries {
    fn delivery(&self, taken: Taken) -> Delivery {
        let Taken {
            tag,
            message,
            redelivered,
            expires,
        } = taken;
        // One process has one clock: the time in the queue counts as well.
        let published = expires
            .zip(message.properties.expiration)
            .and_then(|(expires, ttl)| expires.checked_sub(ttl));
        let settler = Settler::new(tag, Arc::clone(&self.acknowledger));
        let delivery = Delivery::new(message, settler).redelivered(redelivered);
        match published {
            Some(published) => delivery.received(published),
            None => delivery,
        }
    }
}

impl Drop for MemoryDeliveries {
    fn drop(&mut self) {
        if self.queue.spec.single_active {
            self.end.cancel();
        } else {
            self.queue.stop(self.consumer);
        }
    }
}

impl fmt::Debug for MemoryDeliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDeliveries")
            .field("queue", &self.queue.spec.name)
            .field("consumer", &self.consumer)
            .finish_non_exhaustive()
    }
}

/// A consumer's hold on its queue, kept by the task that settles. Dropped, be it with the runtime
/// the task ran on, it gives back all that was not settled.
struct Attached {
    queue: Arc<Queue>,
    consumer: u64,
}

impl Attached {
    /// Runs until the deliveries and every settler are gone, or the consumer is to end: then all that
    /// was settled before is, and the rest goes back in one step.
    async fn settle(
        self,
        mut orders: mpsc::UnboundedReceiver<SettleOrder>,
        end: CancellationToken,
    ) {
        let mut batch = Vec::with_capacity(SETTLE_BATCH);
        loop {
            let count = tokio::select! {
                biased;
                count = orders.recv_many(&mut batch, SETTLE_BATCH) => count,
                () = end.cancelled() => 0,
            };
            if count == 0 {
                return;
            }
            for order in batch.drain(..) {
                self.queue.settle(self.consumer, order);
            }
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.queue.detach(self.consumer);
    }
}
