//! Consumers of one queue that all have room.

use super::bench::Bench;
use replybus::transport::Settled;
use std::sync::Arc;

pub(crate) async fn consumers_take_turns(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumers = [
        bench.consume(&queue, 10).await,
        bench.consume(&queue, 10).await,
    ];
    bench.send(&queue, &["1", "2", "3", "4", "5", "6"]).await;
    for consumer in &mut consumers {
        for _ in 0..3 {
            consumer.next().await.settler.settle(Settled::Ack);
        }
    }
}
