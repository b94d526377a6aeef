//! Open, healthy, closed.

use super::bench::{Bench, Consumer, body, to};
use replybus::{
    SetupError,
    transport::{Settled, Source, TransportHealth, Verdict},
};
use std::{sync::Arc, time::Duration};

const A_WHILE: Duration = Duration::from_secs(10);

pub(crate) async fn an_open_transport_is_up(bench: Arc<Bench>) {
    let queue = bench.queue();
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["x"]).await;
    assert_eq!(bench.transport.health(), TransportHealth::Up);
}

pub(crate) async fn close_waits_for_what_was_published(bench: Arc<Bench>) {
    let queue = bench.queue();
    let closing = bench.connect().await;
    closing.declare(queue.clone()).await.unwrap();
    let receipts: Vec<_> = (0..100)
        .map(|number: u8| closing.publish(to(&queue, &number.to_string())))
        .collect();
    closing.close(A_WHILE).await;
    for mut receipt in receipts {
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }
    let mut consumer = bench.consume(&queue, 64).await;
    for number in 0..100 {
        consumer.takes(&number.to_string()).await;
    }
}

pub(crate) async fn close_ends_consumers_and_refuses_publishes(bench: Arc<Bench>) {
    let queue = bench.queue();
    let source = || Source::new(queue.clone(), 9);
    let closing = bench.connect().await;
    let mut waiting = closing.consume(source()).await.unwrap();
    let waiter = tokio::spawn(async move { waiting.next().await.is_none() });
    tokio::task::yield_now().await;
    closing.close(A_WHILE).await;
    assert!(waiter.await.unwrap());

    let mut receipt = closing.publish(to(&queue, "late"));
    assert_eq!(receipt.verdict().await, Verdict::NotWritten);
    assert!(matches!(
        closing.consume(source()).await,
        Err(SetupError::Closed)
    ));
    assert!(matches!(
        closing.declare(queue.clone()).await,
        Err(SetupError::Closed)
    ));
    assert!(matches!(closing.health(), TransportHealth::Down(_)));
    // Closing again is no mistake.
    closing.close(A_WHILE).await;

    let mut consumer = bench.consume(&queue, 9).await;
    bench.send(&queue, &["end"]).await;
    consumer.takes("end").await;
}

pub(crate) async fn close_gives_back_what_was_not_settled(bench: Arc<Bench>) {
    let queue = bench.queue();
    let closing = bench.connect().await;
    let source = Source::new(queue.clone(), 9);
    let mut consumer = Consumer(closing.consume(source).await.unwrap());
    bench.send(&queue, &["taken", "waiting"]).await;
    let taken = consumer.next().await;
    closing.close(A_WHILE).await;
    let mut other = bench.consume(&queue, 9).await;
    let again = other.next().await;
    assert_eq!(body(&again), "taken");
    assert!(again.redelivered);
    // Nobody listens to it any more.
    taken.settler.settle(Settled::Ack);
    again.settler.settle(Settled::Ack);
    other.takes("waiting").await;
}
