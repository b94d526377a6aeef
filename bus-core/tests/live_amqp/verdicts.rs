//! What a receipt says is what happened.

use crate::support::{BOUND, broker, next, number, number_of, publish, to_queue, verdict};
use futures_util::FutureExt;
use replybus::{
    Instant,
    message::{Message, Properties},
    transport::{Outgoing, Settled, Transport, Verdict, Withdrawn},
};
use replybus_testkit::live::unique;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

const TASKS: u64 = 64;
const MESSAGES_OF_EACH: u64 = 400;
/// Unconfirmed messages of one task.
const PIPELINED: usize = 32;

/// Publishes a task's share and notes the verdicts.
async fn publish_share(
    transport: Arc<dyn Transport>,
    first: u64,
    route: impl Fn(u64) -> String,
) -> BTreeMap<u64, Verdict> {
    let mut verdicts = BTreeMap::new();
    let numbers: Vec<u64> = (first..first + MESSAGES_OF_EACH).collect();
    for chunk in numbers.chunks(PIPELINED) {
        let receipts: Vec<_> = chunk
            .iter()
            .map(|n| (*n, transport.publish(to_queue(&route(*n), number(*n)))))
            .collect();
        for (n, receipt) in receipts {
            verdicts.insert(n, verdict(receipt).await);
        }
    }
    verdicts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_verdict_is_wrong_under_64_tasks() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let good = broker.queue("good");
    let mut full = broker.queue("full");
    full.spec.length_max = Some(1);
    transport.declare(good.spec.clone()).await.unwrap();
    transport.declare(full.spec.clone()).await.unwrap();
    let filler = publish(&transport, to_queue(full.name(), number(u64::MAX))).await;
    assert_eq!(filler, Verdict::Confirmed);
    let missing = unique("missing");

    let expected = |n: u64| match n % 10 {
        3 | 7 => Verdict::Refused,
        5 => Verdict::Unroutable,
        _ => Verdict::Confirmed,
    };
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let (good, full) = (good.name().to_owned(), full.name().to_owned());
        let missing = missing.clone();
        let route = move |n: u64| match expected(n) {
            Verdict::Refused => full.clone(),
            Verdict::Unroutable => missing.clone(),
            _ => good.clone(),
        };
        let share = publish_share(Arc::clone(&transport), task * MESSAGES_OF_EACH, route);
        tasks.push(tokio::spawn(share));
    }
    let mut acknowledged = BTreeSet::new();
    let mut wrong = 0;
    for task in tasks {
        for (n, verdict) in task.await.unwrap() {
            wrong += usize::from(verdict != expected(n));
            if verdict == Verdict::Confirmed {
                acknowledged.insert(n);
            }
        }
    }
    assert_eq!(wrong, 0, "wrong verdicts of {}", TASKS * MESSAGES_OF_EACH);

    // What was confirmed is in the queue, once, and nothing else is.
    let mut deliveries = transport.consume(good.source(64)).await.unwrap();
    let mut found = BTreeSet::new();
    while found.len() < acknowledged.len() {
        let delivery = next(&mut deliveries).await;
        assert!(found.insert(number_of(&delivery)), "delivered twice");
        delivery.settler.settle(Settled::Ack);
    }
    assert_eq!(found, acknowledged);
    deliveries.stop().await;
    transport.close(BOUND).await;
    let raw = broker.raw().await;
    assert_eq!(good.ready(&raw).await, 0);
    assert_eq!(full.ready(&raw).await, 1);
}

#[tokio::test]
async fn unroutable_matters_only_where_it_is_asked_for() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let nowhere = unique("nowhere");
    let mandatory = to_queue(&nowhere, "x");
    let optional = mandatory.clone().mandatory(false);
    assert_eq!(publish(&transport, mandatory).await, Verdict::Unroutable);
    assert_eq!(publish(&transport, optional).await, Verdict::Confirmed);
}

#[tokio::test]
async fn messages_of_one_id_keep_their_own_verdicts() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("same-id");
    transport.declare(queue.spec.clone()).await.unwrap();
    let nowhere = unique("nowhere");
    let receipts: Vec<_> = (0..100)
        .map(|n| {
            let is_routable = n % 3 != 0;
            let mut outgoing = to_queue(if is_routable { queue.name() } else { &nowhere }, "x");
            outgoing.message.properties.message_id = Some("one and the same".into());
            (is_routable, transport.publish(outgoing))
        })
        .collect();
    for (is_routable, receipt) in receipts {
        let expected = if is_routable {
            Verdict::Confirmed
        } else {
            Verdict::Unroutable
        };
        assert_eq!(verdict(receipt).await, expected);
    }
}

#[tokio::test]
async fn an_exchange_is_there_when_a_message_to_it_is() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let exchange = unique("exchange");
    let event = Outgoing::new(Message {
        exchange: exchange.as_str().into(),
        routing_key: "transaction.completed".into(),
        properties: Properties::default(),
        body: "x".into(),
    });
    let kept_alive = to_queue("test.nowhere", "y");
    let first = transport.publish(event.clone());
    let other = transport.publish(kept_alive);
    assert_eq!(verdict(first).await, Verdict::Unroutable);
    assert_eq!(verdict(other).await, Verdict::Unroutable);
    broker
        .raw()
        .await
        .exchange_delete(exchange.as_str().into(), Default::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_deadline_becomes_the_expiration() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("expiration");
    transport.declare(queue.spec.clone()).await.unwrap();
    let with_deadline =
        |left: Duration| to_queue(queue.name(), "x").deadline(Instant::now() + left);
    let raw = broker.raw().await;

    assert_eq!(
        publish(&transport, with_deadline(BOUND)).await,
        Verdict::Confirmed
    );
    let mut deliveries = transport.consume(queue.source(1)).await.unwrap();
    let delivery = next(&mut deliveries).await;
    let expiration = delivery.message.properties.expiration.unwrap();
    assert!(expiration <= BOUND && expiration > Duration::ZERO);
    assert!(delivery.message.properties.message_id.is_some());
    delivery.settler.settle(Settled::Ack);
    deliveries.stop().await;

    let short = publish(&transport, with_deadline(Duration::from_millis(50))).await;
    assert!(
        matches!(short, Verdict::Confirmed | Verdict::NotWritten),
        "{short:?}"
    );
    queue.wait_ready(&raw, 0).await; // The broker drops it.
    let late = publish(&transport, with_deadline(Duration::ZERO)).await;
    assert_eq!(late, Verdict::NotWritten);
    assert_eq!(queue.ready(&raw).await, 0);
}

#[tokio::test]
async fn what_was_withdrawn_or_does_not_fit_is_not_written() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("withdrawn");
    transport.declare(queue.spec.clone()).await.unwrap();
    // On this one thread the publisher has not run yet.
    let receipt = transport.publish(to_queue(queue.name(), "withdrawn"));
    assert_eq!(receipt.withdraw(), Withdrawn::Surely);
    assert_eq!(verdict(receipt).await, Verdict::NotWritten);
    drop(transport.publish(to_queue(queue.name(), "abandoned")));
    let mut long = to_queue(queue.name(), "long");
    long.message.properties.correlation_id = Some("x".repeat(256).into());
    assert_eq!(publish(&transport, long).await, Verdict::NotWritten);
    assert_eq!(
        publish(&transport, to_queue(queue.name(), "sent")).await,
        Verdict::Confirmed
    );
    assert_eq!(queue.ready(&broker.raw().await).await, 1);
}

#[tokio::test]
async fn closing_lets_what_was_published_be_confirmed() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("closing");
    transport.declare(queue.spec.clone()).await.unwrap();
    let receipts: Vec<_> = (0..2000)
        .map(|n| transport.publish(to_queue(queue.name(), number(n))))
        .collect();
    transport.close(BOUND).await;
    for receipt in receipts {
        assert_eq!(verdict(receipt).await, Verdict::Confirmed);
    }
    assert_eq!(
        publish(&transport, to_queue(queue.name(), "late")).await,
        Verdict::NotWritten
    );
    assert_eq!(queue.ready(&broker.raw().await).await, 2000);
}

/// Without a confirm: what reaches a queue gets no verdict, what reaches none is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_confirms_only_what_goes_wrong_is_told() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("unconfirmed");
    let mut deliveries = transport.consume(queue.source(9)).await.unwrap();
    let unconfirmed = |to: &str, body: &'static str| to_queue(to, body).confirm(false);
    let mut arrives = transport.publish(unconfirmed(queue.name(), "arrives"));
    let nowhere: Vec<_> = (0..100)
        .map(|_| transport.publish(unconfirmed("test.nowhere", "x")))
        .collect();
    for receipt in nowhere {
        assert_eq!(verdict(receipt).await, Verdict::Unroutable);
    }
    assert_eq!(next(&mut deliveries).await.message.body, "arrives");
    assert_eq!(arrives.withdraw(), Withdrawn::TooLate);
    let silence = tokio::time::timeout(Duration::from_millis(50), arrives.verdict());
    assert!(silence.await.is_err());
}

/// A caller may make several attempts of one id at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_of_one_id_do_not_end_each_other() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("attempts");
    let mut deliveries = transport.consume(queue.source(9)).await.unwrap();
    let attempt = |queue: &str| {
        let mut outgoing = to_queue(queue, number(1));
        outgoing.confirm = false;
        outgoing.message.properties.message_id = Some("the same".into());
        transport.publish(outgoing)
    };
    let mut attempts = [attempt(queue.name()), attempt(queue.name())];
    for _ in &attempts {
        next(&mut deliveries).await.settler.settle(Settled::Ack);
    }
    for attempt in &mut attempts {
        assert_eq!(attempt.verdict().now_or_never(), None);
    }
    let missing = unique("missing");
    for attempt in [attempt(&missing), attempt(&missing)] {
        assert_eq!(verdict(attempt).await, Verdict::Unroutable);
    }
    deliveries.stop().await;
}

/// What the broker refuses on one channel is no trouble of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlive_an_error_of_the_confirmed_channel() {
    let Some(broker) = broker().await else { return };
    let transport = broker.transport().await;
    let queue = broker.queue("outlives");
    transport.declare(queue.spec.clone()).await.unwrap();
    let mut call = transport.publish(to_queue(queue.name(), number(1)).confirm(false));
    let exchange = unique("outlives");
    let to_exchange = || {
        let mut outgoing = to_queue("key", number(2));
        outgoing.message.exchange = exchange.as_str().into();
        outgoing.mandatory = false;
        outgoing
    };
    assert_eq!(publish(&transport, to_exchange()).await, Verdict::Confirmed);
    let raw = broker.raw().await;
    raw.exchange_delete(exchange.as_str().into(), Default::default())
        .await
        .unwrap();
    assert_eq!(publish(&transport, to_exchange()).await, Verdict::Lost);
    let later = publish(&transport, to_queue(queue.name(), number(3))).await;
    assert_eq!(later, Verdict::Confirmed);
    assert_eq!(call.verdict().now_or_never(), None);
}
