//! Deliveries: each is settled once, none is lost.

use crate::support::{
    BOUND, TestQueue, broker, next, number, number_of, publish, to_queue, verdict,
};
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use replybus::transport::{Binding, Settled, Transport, Verdict};
use replybus_testkit::{live::unique, wait::eventually};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::sleep;

async fn fill(transport: &Arc<dyn Transport>, queue: &TestQueue, count: u64) {
    transport.declare(queue.spec.clone()).await.unwrap();
    let receipts: Vec<_> = (0..count)
        .map(|n| transport.publish(to_queue(queue.name(), number(n))))
        .collect();
    for receipt in receipts {
        assert_eq!(verdict(receipt).await, Verdict::Confirmed);
    }
}

#[tokio::test]
async fn a_dropped_settler_gives_the_message_back() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("dropped");
    fill(&transport, &queue, 1).await;
    let mut deliveries = transport.consume(queue.source(4)).await.unwrap();
    let first = next(&mut deliveries).await;
    assert!(!first.redelivered);
    drop(first);
    let second = next(&mut deliveries).await;
    assert!(second.redelivered);
    second.settler.settle(Settled::Requeue);
    let third = next(&mut deliveries).await;
    assert!(third.redelivered);
    third.settler.settle(Settled::Ack);
    transport.close(BOUND).await;
    assert_eq!(queue.ready(&broker.raw().await).await, 0);
}

#[tokio::test]
async fn acks_in_any_order_settle_each_message_once() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("acks");
    const COUNT: u64 = 3000;
    fill(&transport, &queue, COUNT).await;
    let mut deliveries = transport.consume(queue.source(33)).await.unwrap();
    let mut held = Vec::new();
    let mut seen = BTreeSet::new();
    let slow = next(&mut deliveries).await; // Everything overtakes this one.
    seen.insert(number_of(&slow));
    while seen.len() < usize::try_from(COUNT).unwrap() {
        let delivery = next(&mut deliveries).await;
        assert!(seen.insert(number_of(&delivery)), "delivered twice");
        held.push(delivery.settler);
        if held.len() == 7 {
            held.reverse();
            held.drain(..)
                .for_each(|settler| settler.settle(Settled::Ack));
        }
    }
    held.into_iter()
        .for_each(|settler| settler.settle(Settled::Ack));
    slow.settler.settle(Settled::Ack);
    transport.close(BOUND).await;
    assert_eq!(queue.ready(&broker.raw().await).await, 0);
}

#[tokio::test]
async fn stopping_gives_back_what_nobody_took() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("stopping");
    fill(&transport, &queue, 50).await;
    let raw = broker.raw().await;
    let mut deliveries = transport.consume(queue.source(20)).await.unwrap();
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(next(&mut deliveries).await);
    }
    deliveries.stop().await;
    assert!(deliveries.next().await.is_none());
    queue.wait_ready(&raw, 47).await;
    // What was taken can still be settled: one is kept, two are done.
    let kept = taken.pop().unwrap();
    taken
        .into_iter()
        .for_each(|delivery| delivery.settler.settle(Settled::Ack));
    kept.settler.settle(Settled::Requeue);
    queue.wait_ready(&raw, 48).await;
    transport.close(BOUND).await;
    assert_eq!(queue.ready(&raw).await, 48);
}

#[tokio::test]
async fn closing_ends_consumers_and_keeps_their_acks() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("closed");
    fill(&transport, &queue, 10).await;
    let mut deliveries = transport.consume(queue.source(10)).await.unwrap();
    for _ in 0..5 {
        next(&mut deliveries).await.settler.settle(Settled::Ack);
    }
    transport.close(BOUND).await;
    let raw = broker.raw().await;
    queue.wait_ready(&raw, 5).await;
    while let Some(delivery) = deliveries.next().await {
        drop(delivery);
    }
}

#[tokio::test]
async fn a_deleted_queue_comes_back_with_its_consumer() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("deleted");
    let mut deliveries = transport.consume(queue.source(8)).await.unwrap();
    let raw = broker.raw().await;
    for round in 0..3_u64 {
        raw.queue_delete(queue.name().into(), Default::default())
            .await
            .unwrap();
        let outgoing = to_queue(queue.name(), number(round));
        eventually("the queue comes back", || async {
            publish(&transport, outgoing.clone()).await == Verdict::Confirmed
        })
        .await;
        let delivery = next(&mut deliveries).await;
        assert_eq!(number_of(&delivery), round);
        delivery.settler.settle(Settled::Ack);
    }
    deliveries.stop().await;
}

#[tokio::test]
async fn a_bound_queue_gets_the_events_it_asked_for() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("bound");
    let exchange = unique("events");
    let source = queue
        .source(8)
        .bind(Binding::new(exchange.as_str(), "transaction.*"));
    let mut deliveries = transport.consume(source).await.unwrap();
    let event = |key: &str| {
        let mut outgoing = to_queue(key, "event");
        outgoing.message.exchange = exchange.as_str().into();
        outgoing.message.properties.headers = [("traceparent".into(), "00-ab".into())].into();
        outgoing
    };
    let other = event("account.opened").mandatory(false);
    assert_eq!(publish(&transport, other).await, Verdict::Confirmed);
    assert_eq!(
        publish(&transport, event("transaction.completed")).await,
        Verdict::Confirmed
    );
    let delivery = next(&mut deliveries).await;
    assert_eq!(delivery.message.routing_key, "transaction.completed");
    assert_eq!(delivery.message.exchange, exchange);
    assert_eq!(
        delivery.message.properties.header("traceparent"),
        Some("00-ab")
    );
    delivery.settler.settle(Settled::Ack);
    deliveries.stop().await;
    let raw = broker.raw().await;
    raw.exchange_delete(exchange.as_str().into(), Default::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_dropped_transport_ends_its_consumers_and_gives_back_their_messages() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("forgotten");
    fill(&transport, &queue, 10).await;
    let mut deliveries = transport.consume(queue.source(10)).await.unwrap();
    let taken = next(&mut deliveries).await;
    drop(transport);
    while let Some(delivery) = deliveries.next().await {
        drop(delivery);
    }
    queue.wait_ready(&broker.raw().await, 10).await;
    drop(taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_can_not_be_consumed_any_more_is_named_with_the_reason() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("replaced");
    let mut deliveries = transport.consume(queue.source(4)).await.unwrap();
    assert!(transport.not_consumed().is_empty());
    // Somebody replaces it by one of other arguments, and then thinks better of it.
    let bound = Instant::now() + BOUND;
    let name = || queue.name().into();
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let mut other = FieldTable::default();
    other.insert("x-max-length".into(), 7.into());
    loop {
        let channel = broker.raw().await;
        // The consumer may have declared it again in between.
        let _ = channel.queue_delete(name(), Default::default()).await;
        let declared = channel.queue_declare(name(), durable, other.clone());
        if declared.await.is_ok() {
            break;
        }
        assert!(Instant::now() < bound, "the queue could not be replaced");
    }
    let reason = loop {
        let absent = transport.not_consumed();
        if let Some(reason) = absent.get(queue.name())
            && reason.contains("other arguments")
        {
            break reason.clone();
        }
        assert!(Instant::now() < bound, "{absent:?}");
        sleep(Duration::from_millis(5)).await;
    };
    assert!(reason.contains(queue.name()), "{reason}");
    let channel = broker.raw().await;
    channel
        .queue_delete(name(), Default::default())
        .await
        .unwrap();
    eventually("all is consumed again", || async {
        transport.not_consumed().is_empty()
    })
    .await;
    let one = publish(&transport, to_queue(queue.name(), number(1))).await;
    assert_eq!(one, Verdict::Confirmed);
    next(&mut deliveries).await.settler.settle(Settled::Ack);
    deliveries.stop().await;
}
