//! Queues with a single active consumer: who is sent their messages, and in which order when that
//! ends and another goes on.

use super::bench::{Bench, Consumer, body};
use crate::wait::eventually;
use futures_util::FutureExt;
use replybus::{
    SetupError,
    transport::{QueueSpec, Settled, Settler, Source},
};
use std::{sync::Arc, time::Duration};

/// Takes what comes next, and keeps it.
async fn held(consumer: &mut Consumer, expected: &[&str]) -> Vec<Settler> {
    let mut held = Vec::new();
    for expected in expected {
        let delivery = consumer.next().await;
        assert_eq!(body(&delivery), *expected);
        held.push(delivery.settler);
    }
    held
}

async fn consumed_by(bench: &Bench, queue: &QueueSpec, consumers: u64) {
    eventually("the broker knows its consumers", || async {
        let state = bench.transport.inspect(&queue.name).await.unwrap();
        state.unwrap().consumers == consumers
    })
    .await;
}

pub(crate) async fn one_consumer_gets_all_until_it_stops(bench: Arc<Bench>) {
    let queue = bench.queue().single_active();
    let mut first = bench.consume(&queue, 2).await;
    let mut second = bench.consume(&queue, 10).await;
    let bodies: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    bench.send(&queue, &bodies).await;
    let (early, late) = bodies.split_at(10);
    for expected in early {
        first.takes(expected).await;
    }
    assert!(second.0.next().now_or_never().is_none());
    first.0.stop().await;
    assert!(first.0.next().await.is_none());
    for expected in late {
        second.takes(expected).await;
    }
}

pub(crate) async fn all_that_a_stopped_consumer_held_is_back_in_its_place(bench: Arc<Bench>) {
    let queue = bench.queue().single_active();
    let mut first = bench.consume(&queue, 4).await;
    let mut second = bench.consume(&queue, 10).await;
    bench.send(&queue, &["1", "2", "3", "4", "5", "6"]).await;
    let mut held = held(&mut first, &["1", "2", "3"]).await.into_iter();
    held.next().unwrap().settle(Settled::Ack);
    first.0.stop().await;
    // Of a delivery that is back nothing more is to be said.
    held.next().unwrap().settle(Settled::Ack);
    for expected in ["2", "3", "4", "5", "6"] {
        second.takes(expected).await;
    }
    drop(held);
    bench.send(&queue, &["end"]).await;
    second.takes("end").await;
}

pub(crate) async fn a_dropped_consumer_is_followed_by_the_next_in_order(bench: Arc<Bench>) {
    let queue = bench.queue().single_active();
    let mut first = bench.consume(&queue, 4).await;
    let mut second = bench.consume(&queue, 10).await;
    bench.send(&queue, &["1", "2", "3", "4", "5", "6"]).await;
    let held = held(&mut first, &["1", "2"]).await;
    drop(first);
    for expected in ["1", "2", "3", "4", "5", "6"] {
        second.takes(expected).await;
    }
    drop(held);
}

pub(crate) async fn who_consumes_again_is_the_last(bench: Arc<Bench>) {
    let queue = bench.queue().single_active();
    let mut first = bench.consume(&queue, 4).await;
    let mut second = bench.consume(&queue, 4).await;
    first.0.stop().await;
    let mut first = bench.consume(&queue, 4).await;
    consumed_by(&bench, &queue, 2).await;
    bench.send(&queue, &["1"]).await;
    second.takes("1").await;
    second.0.stop().await;
    bench.send(&queue, &["2"]).await;
    first.takes("2").await;
}

pub(crate) async fn a_closed_connection_is_followed_by_the_next_in_order(bench: Arc<Bench>) {
    let queue = bench.queue().single_active();
    let other = bench.connect().await;
    let source = Source::new(queue.clone(), 10);
    let mut first = Consumer(other.consume(source).await.unwrap());
    let mut second = bench.consume(&queue, 10).await;
    bench.send(&queue, &["1", "2", "3"]).await;
    let held = held(&mut first, &["1", "2"]).await;
    other.close(Duration::from_secs(5)).await;
    for expected in ["1", "2", "3"] {
        second.takes(expected).await;
    }
    drop(held);
}

pub(crate) async fn a_queue_with_a_single_active_consumer_is_declared_as_one(bench: Arc<Bench>) {
    let queue = bench.queue();
    bench.transport.declare(queue.clone()).await.unwrap();
    let refused = bench.transport.declare(queue.single_active()).await;
    assert!(
        matches!(refused, Err(SetupError::Topology { .. })),
        "{refused:?}"
    );
}
