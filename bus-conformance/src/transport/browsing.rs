//! A look through a queue: it holds what it saw, and leaves all but what it acked.

use super::bench::{Bench, body};
use crate::wait::eventually;
use replybus::transport::{Browser, Delivery, QueueSpec, Settled};
use std::sync::Arc;

async fn look(bench: &Bench, queue: &QueueSpec) -> Box<dyn Browser> {
    bench.transport.browse(&queue.name).await.unwrap()
}

async fn see(browser: &mut Box<dyn Browser>, expected: &str) -> Delivery {
    let delivery = browser.next().await.unwrap().unwrap();
    assert_eq!(body(&delivery), expected);
    delivery
}

async fn waiting(bench: &Bench, queue: &QueueSpec) -> u64 {
    let state = bench.transport.inspect(&queue.name).await.unwrap();
    state.unwrap().waiting
}

pub(crate) async fn a_look_leaves_messages_in_their_order(bench: Arc<Bench>) {
    let queue = bench.queue();
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["1", "2", "3"]).await;
    for _ in 0..3 {
        let mut browser = look(&bench, &queue).await;
        // However it is settled, but for an ack, it does not come again in this look.
        drop(see(&mut browser, "1").await);
        let second = see(&mut browser, "2").await;
        second.settler.settle(Settled::Requeue);
        let _held = see(&mut browser, "3").await;
        assert!(browser.next().await.unwrap().is_none());
        assert_eq!(waiting(&bench, &queue).await, 0, "they are held");
        browser.end().await.unwrap();
        eventually("they are back", || async {
            waiting(&bench, &queue).await == 3
        })
        .await;
    }
    let mut consumer = bench.consume(&queue, 1).await;
    for expected in ["1", "2", "3"] {
        consumer.takes(expected).await;
    }
}

pub(crate) async fn a_look_removes_what_it_acked(bench: Arc<Bench>) {
    let queue = bench.queue();
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["1", "2", "3"]).await;
    let mut browser = look(&bench, &queue).await;
    let _first = see(&mut browser, "1").await;
    let second = see(&mut browser, "2").await;
    second.settler.settle(Settled::Ack);
    browser.end().await.unwrap();
    let mut consumer = bench.consume(&queue, 1).await;
    consumer.takes("1").await;
    consumer.takes("3").await;
}

pub(crate) async fn a_dropped_look_gives_back_what_it_held(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 1).await;
    consumer.0.stop().await;
    bench.send(&queue, &["1", "2"]).await;
    let mut browser = look(&bench, &queue).await;
    let late = see(&mut browser, "1").await;
    drop(browser);
    let mut consumer = bench.consume(&queue, 1).await;
    let first = consumer.next().await;
    assert_eq!(body(&first), "1");
    // Nobody's any more: it settles nothing.
    late.settler.settle(Settled::Ack);
    first.settler.settle(Settled::Ack);
    consumer.takes("2").await;
}

pub(crate) async fn a_look_sees_what_came_since(bench: Arc<Bench>) {
    let queue = bench.queue();
    bench.transport.declare(queue.clone()).await.unwrap();
    let mut browser = look(&bench, &queue).await;
    assert!(browser.next().await.unwrap().is_none());
    bench.send(&queue, &["1"]).await;
    see(&mut browser, "1").await;
}

pub(crate) async fn a_look_at_no_queue_sees_nothing(bench: Arc<Bench>) {
    let mut browser = bench.transport.browse("no.such.queue").await.unwrap();
    for _ in 0..2 {
        assert!(browser.next().await.unwrap().is_none());
    }
    browser.end().await.unwrap();
}

pub(crate) async fn a_closed_transport_looks_at_nothing(bench: Arc<Bench>) {
    let queue = bench.queue();
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["1"]).await;
    let other = bench.connect().await;
    let mut browser = other.browse(&queue.name).await.unwrap();
    see(&mut browser, "1").await;
    other.close(std::time::Duration::from_secs(5)).await;
    assert!(browser.next().await.is_err());
    assert!(other.browse(&queue.name).await.is_err());
    let mut consumer = bench.consume(&queue, 1).await;
    consumer.takes("1").await;
}
