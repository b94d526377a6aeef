//! What becomes of a publish, and what the receipt says of it.

use super::bench::{Bench, body, to};
use replybus::{
    Instant,
    message::{Message, Properties},
    transport::{Outgoing, QueueSpec, Settled, Verdict, Withdrawn},
};
use replybus_testkit::live::unique;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::task::JoinSet;

pub(crate) async fn a_message_arrives_as_it_was_sent(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 9).await;
    let message = Message {
        exchange: "".into(),
        routing_key: queue.name.as_str().into(),
        properties: Properties {
            message_id: Some("publish 1".into()),
            correlation_id: Some("call 1".into()),
            reply_to: Some("inbox".into()),
            kind: Some("balance".into()),
            content_type: Some("application/msgpack".into()),
            content_encoding: Some("identity".into()),
            priority: Some(3),
            expiration: None,
            timestamp: Some(1_700_000_000),
            app_id: Some("gateway".into()),
            persistent: true,
            headers: vec![("traceparent".into(), "00-é-01".into())],
            ..Properties::default()
        },
        body: vec![0, 255, 1, 254].into(),
    };
    let outgoing = Outgoing::new(message.clone());
    assert_eq!(bench.publish(outgoing).await, Verdict::Confirmed);
    let delivery = consumer.next().await;
    assert_eq!(delivery.message, message);
    assert!(!delivery.redelivered);
    delivery.settler.settle(Settled::Ack);

    // And with as little as possible.
    bench.send(&queue, &[""]).await;
    let delivery = consumer.next().await;
    assert!(delivery.message.body.is_empty());
    assert!(!delivery.message.properties.persistent);
}

pub(crate) async fn the_time_left_travels_as_expiration(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 9).await;
    let budget = Duration::from_secs(60);
    let outgoing = to(&queue, "x").deadline(Instant::now() + budget);
    assert_eq!(bench.publish(outgoing).await, Verdict::Confirmed);
    let expiration = consumer.next().await.message.properties.expiration.unwrap();
    assert!(
        expiration <= budget && !expiration.is_zero(),
        "{expiration:?}"
    );
}

pub(crate) async fn a_message_that_reaches_no_queue_is_returned_if_mandatory(bench: Arc<Bench>) {
    let missing = QueueSpec::new(unique("missing"));
    for (mandatory, expected) in [(true, Verdict::Unroutable), (false, Verdict::Confirmed)] {
        let outgoing = to(&missing, "x").mandatory(mandatory);
        assert_eq!(bench.publish(outgoing).await, expected);
    }
}

pub(crate) async fn a_full_queue_refuses(bench: Arc<Bench>) {
    let queue = bench.queue().length_max(2);
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["1", "2"]).await;
    assert_eq!(bench.publish(to(&queue, "3")).await, Verdict::Refused);
    let mut consumer = bench.consume(&queue, 1).await;
    consumer.takes("1").await;
    consumer.takes("2").await;
    // There is room again, and the refused one was not stored.
    bench.send(&queue, &["4"]).await;
    consumer.takes("4").await;
}

pub(crate) async fn a_queue_is_full_by_bytes_too(bench: Arc<Bench>) {
    let queue = bench.queue().bytes_max(5);
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["123", "4"]).await;
    assert_eq!(bench.publish(to(&queue, "56")).await, Verdict::Refused);
    // What still fits is taken.
    bench.send(&queue, &["5"]).await;
    let mut consumer = bench.consume(&queue, 1).await;
    for body in ["123", "4", "5"] {
        consumer.takes(body).await;
    }
    bench.send(&queue, &["56"]).await;
}

pub(crate) async fn a_passed_deadline_is_never_written(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 9).await;
    let late = to(&queue, "late").deadline(Instant::now());
    let mut receipt = bench.transport.publish(late);
    assert_eq!(receipt.verdict().await, Verdict::NotWritten);
    assert!(!receipt.written());
    assert_eq!(receipt.withdraw(), Withdrawn::Surely);
    bench.send(&queue, &["next"]).await;
    consumer.takes("next").await;
}

pub(crate) async fn what_was_confirmed_can_not_be_withdrawn(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 9).await;
    let mut receipt = bench.transport.publish(to(&queue, "x"));
    assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    assert!(receipt.written());
    assert_eq!(receipt.withdraw(), Withdrawn::TooLate);
    consumer.takes("x").await;
}

/// Whatever the caller hears on withdrawing is true.
pub(crate) async fn an_abandoned_receipt_withdraws_nothing(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 64).await;
    let mut written = HashSet::new();
    for number in 0..100 {
        let receipt = bench.transport.publish(to(&queue, &number.to_string()));
        if receipt.withdraw() == Withdrawn::TooLate {
            written.insert(number.to_string());
        }
    }
    bench.send(&queue, &["end"]).await;
    loop {
        let delivery = consumer.next().await;
        let body = body(&delivery).to_owned();
        delivery.settler.settle(Settled::Ack);
        if body == "end" {
            break;
        }
        assert!(written.remove(&body), "{body} was withdrawn, or came twice");
    }
    assert_eq!(written, HashSet::new(), "said to be written and lost");
}

/// Half of the publishes can be stored; the others meet a full queue or none.
pub(crate) async fn verdicts_are_true_under_load(bench: Arc<Bench>) {
    const TASKS: usize = 16;
    const EACH: usize = 60;
    let (open, missing) = (bench.queue(), bench.queue());
    let full = bench.queue().length_max(1);
    bench.transport.declare(full.clone()).await.unwrap();
    bench.send(&full, &["the only one"]).await;
    let mut consumer = bench.consume(&open, 64).await;

    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let bench = Arc::clone(&bench);
        let (open, full, missing) = (open.clone(), full.clone(), missing.clone());
        tasks.spawn(async move {
            let mut receipts = Vec::new();
            for number in 0..EACH {
                let body = format!("{task}:{number}");
                let (queue, expected) = match (task + number) % 4 {
                    0 => (&full, Verdict::Refused),
                    1 => (&missing, Verdict::Unroutable),
                    _ => (&open, Verdict::Confirmed),
                };
                receipts.push((
                    body.clone(),
                    expected,
                    bench.transport.publish(to(queue, &body)),
                ));
                tokio::task::yield_now().await;
            }
            let mut stored = Vec::new();
            for (body, expected, mut receipt) in receipts {
                assert_eq!(receipt.verdict().await, expected, "{body}");
                if expected == Verdict::Confirmed {
                    stored.push(body);
                }
            }
            stored
        });
    }
    let mut arrived = HashSet::new();
    while arrived.len() < TASKS * EACH / 2 {
        let delivery = consumer.next().await;
        assert!(arrived.insert(body(&delivery).to_owned()));
        delivery.settler.settle(Settled::Ack);
    }
    let stored = tasks.join_all().await.concat();
    assert_eq!(arrived, stored.into_iter().collect());
}
