//! What a consumer gets, in which order, and what becomes of what it does not settle.

use super::bench::{Bench, Consumer, body, to};
use crate::wait::eventually;
use replybus::{
    Instant,
    transport::{Delivery, Settled, Verdict},
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

pub(crate) async fn messages_come_in_order(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 10).await;
    let bodies: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let receipts: Vec<_> = bodies
        .iter()
        .map(|body| bench.transport.publish(to(&queue, body)))
        .collect();
    for body in &bodies {
        consumer.takes(body).await;
    }
    for mut receipt in receipts {
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }
}

pub(crate) async fn prefetch_bounds_what_a_consumer_holds(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut first = bench.consume(&queue, 2).await;
    bench.send(&queue, &["1", "2", "3"]).await;
    let one = first.next().await;
    let two = first.next().await;
    assert_eq!((body(&one), body(&two)), ("1", "2"));
    let mut second = bench.consume(&queue, 2).await;
    second.takes("3").await;
}

pub(crate) async fn a_settled_delivery_makes_room(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 1).await;
    bench.send(&queue, &["1", "2", "3"]).await;
    for expected in ["1", "2", "3"] {
        consumer.takes(expected).await;
    }
}

pub(crate) async fn a_requeued_delivery_comes_back_first(bench: Arc<Bench>) {
    comes_back_first(bench, |delivery| delivery.settler.settle(Settled::Requeue)).await;
}

pub(crate) async fn a_dropped_delivery_comes_back(bench: Arc<Bench>) {
    comes_back_first(bench, drop).await;
}

async fn comes_back_first(bench: Arc<Bench>, give_back: fn(Delivery)) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 1).await;
    bench.send(&queue, &["1", "2"]).await;
    for redelivered in [false, true, true] {
        let delivery = consumer.next().await;
        assert_eq!(body(&delivery), "1");
        assert_eq!(delivery.redelivered, redelivered);
        give_back(delivery);
    }
    consumer.takes("1").await;
    let delivery = consumer.next().await;
    assert_eq!(body(&delivery), "2");
    assert!(!delivery.redelivered);
}

pub(crate) async fn an_expired_message_is_not_delivered(bench: Arc<Bench>) {
    let queue = bench.queue();
    bench.transport.declare(queue.clone()).await.unwrap();
    // Until one is written in time, which a busy machine may take long for.
    let mut left = Duration::from_millis(250);
    loop {
        let short = to(&queue, "short").deadline(Instant::now() + left);
        match bench.publish(short).await {
            Verdict::Confirmed => break,
            late => assert_eq!(late, Verdict::NotWritten),
        }
        left *= 2;
    }
    bench.send(&queue, &["long"]).await;
    eventually("the short one has expired", || async {
        let state = bench.transport.inspect(&queue.name).await.unwrap();
        state.unwrap().waiting == 1
    })
    .await;
    bench.consume(&queue, 9).await.takes("long").await;
}

pub(crate) async fn a_stopped_consumer_gives_back_what_it_did_not_take(bench: Arc<Bench>) {
    gives_back(bench, true).await;
}

pub(crate) async fn a_dropped_consumer_gives_back_what_it_did_not_take(bench: Arc<Bench>) {
    gives_back(bench, false).await;
}

async fn gives_back(bench: Arc<Bench>, stopped: bool) {
    let queue = bench.queue();
    let Consumer(mut first) = bench.consume(&queue, 10).await;
    bench.send(&queue, &["1", "2", "3"]).await;
    let held = first.next().await.unwrap();
    assert_eq!(body(&held), "1");
    if stopped {
        first.stop().await;
        assert!(first.next().await.is_none());
        assert!(first.next().await.is_none());
    } else {
        drop(first);
    }
    let mut second = bench.consume(&queue, 10).await;
    second.takes("2").await;
    second.takes("3").await;
    // The one that was taken is still held by its taker.
    held.settler.settle(Settled::Ack);
    bench.send(&queue, &["end"]).await;
    second.takes("end").await;
}

pub(crate) async fn a_stopped_consumer_can_settle_what_it_took(bench: Arc<Bench>) {
    let queue = bench.queue();
    let Consumer(mut first) = bench.consume(&queue, 10).await;
    bench.send(&queue, &["acked", "requeued", "dropped"]).await;
    let acked = first.next().await.unwrap();
    let requeued = first.next().await.unwrap();
    let dropped = first.next().await.unwrap();
    first.stop().await;
    let mut second = bench.consume(&queue, 1).await;
    acked.settler.settle(Settled::Ack);
    requeued.settler.settle(Settled::Requeue);
    let delivery = second.next().await;
    assert_eq!(body(&delivery), "requeued");
    assert!(delivery.redelivered);
    delivery.settler.settle(Settled::Ack);
    drop(dropped);
    second.takes("dropped").await;
}

pub(crate) async fn a_cancelled_next_loses_nothing(bench: Arc<Bench>) {
    let queue = bench.queue();
    let Consumer(mut consumer) = bench.consume(&queue, 3).await;
    let mut taken = Vec::new();
    for number in 0..100 {
        let mut receipt = bench.transport.publish(to(&queue, &number.to_string()));
        // Polled and dropped at every stage of the message's way.
        let mut polled = 0;
        while taken.len() <= number {
            polled += 1;
            // A broker whose time goes by only while nothing runs has its turn.
            if polled % 100 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            tokio::select! {
                biased;
                delivery = consumer.next() => {
                    let delivery = delivery.unwrap();
                    taken.push(body(&delivery).to_owned());
                    delivery.settler.settle(Settled::Ack);
                }
                () = tokio::task::yield_now() => {}
            }
        }
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(taken, expected);
}
