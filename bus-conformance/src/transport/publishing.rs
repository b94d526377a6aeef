//! What becomes of a publish, and what the receipt says of it.

use super::bench::{Bench, body, to};
use crate::unique;
use replybus::{
    Instant,
    message::{Message, Properties},
    transport::{Outgoing, QueueSpec, Settled, Verdict, Withdrawn},
};
use std::{collections::HashSet, sync::Arc, time::Duration};

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
            headers: [("traceparent".into(), "00-é-01".into())].into(),
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
