//! Queues as they are declared, and what they tell of themselves.

use super::bench::Bench;
use crate::wait::eventually;
use replybus::{contract::QueueType, transport::QueueState};
use std::sync::Arc;

pub(crate) async fn a_queue_can_be_declared_again(bench: Arc<Bench>) {
    let queue = bench.queue().length_max(7);
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["kept"]).await;
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.consume(&queue, 9).await.takes("kept").await;
}

pub(crate) async fn a_queue_tells_what_it_holds_and_who_consumes_it(bench: Arc<Bench>) {
    let queue = bench.queue();
    let inspect = async || bench.transport.inspect(&queue.name).await.unwrap();
    assert_eq!(inspect().await, None);
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["one", "two", "three"]).await;
    let state = |waiting, consumers| Some(QueueState::new(waiting, consumers));
    assert_eq!(inspect().await, state(3, 0));
    let mut consumer = bench.consume(&queue, 2).await;
    consumer.takes("one").await;
    // What it prefetched no longer waits.
    let consumed = inspect().await.unwrap();
    assert!(
        consumed.consumers == 1 && consumed.waiting < 3,
        "{consumed:?}"
    );
    drop(consumer);
    // It is given up in the background.
    eventually("its consumer is gone", || async {
        inspect().await.is_some_and(|state| state.consumers == 0)
    })
    .await;
    // Looking for what is missing did the connection no harm.
    assert_eq!(bench.transport.inspect("nobody.knows").await.unwrap(), None);
    bench.send(&queue, &["still here"]).await;
}

pub(crate) async fn a_quorum_queue_carries_messages(bench: Arc<Bench>) {
    let queue = bench.queue().queue_type(QueueType::Quorum);
    let mut consumer = bench.consume(&queue, 9).await;
    bench.send(&queue, &["1", "2"]).await;
    consumer.takes("1").await;
    drop(consumer.next().await);
    let again = consumer.next().await;
    assert!(again.redelivered);
}
