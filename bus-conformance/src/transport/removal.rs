//! The end of a queue.

use super::bench::{Bench, bind, routed};
use crate::wait::eventually;
use replybus::{
    contract::QueueType,
    transport::{QueueState, Removal, Verdict},
};
use std::sync::Arc;

pub(crate) async fn a_queue_is_removed_when_nobody_needs_it(bench: Arc<Bench>) {
    for queue_type in [QueueType::Classic, QueueType::Quorum] {
        let (exchange, queue) = (bench.exchange(), bench.queue().queue_type(queue_type));
        let binding = [bind(&exchange, "a.*")];
        let remove = async |discard| {
            let removed = bench.transport.remove(&queue.name, &binding, discard);
            removed.await.unwrap()
        };
        assert_eq!(remove(false).await, Removal::Missing);
        let mut consumer = bench.subscribe(&queue, 9, binding.to_vec()).await;
        assert!(matches!(remove(true).await, Removal::Kept(state) if state.consumers == 1));
        // It is as it was.
        let event = || bench.publish(routed(&exchange, "a.b", "event"));
        assert_eq!(event().await, Verdict::Confirmed);
        consumer.takes("event").await;
        consumer.0.stop().await;
        drop(consumer);
        assert_eq!(event().await, Verdict::Confirmed);
        // What it prefetched comes back in the background, and its consumer leaves so.
        eventually("one message is held, and nobody consumes", || async {
            let removed = remove(false).await;
            matches!(removed, Removal::Kept(state) if state == QueueState::new(1, 0))
        })
        .await;
        assert_eq!(remove(true).await, Removal::Removed);
        assert_eq!(event().await, Verdict::Unroutable);
        assert_eq!(remove(false).await, Removal::Missing);
    }
}
