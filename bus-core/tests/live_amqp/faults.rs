//! What a network does to a connection, done by a proxy in front of the broker.

use crate::support::{
    BOUND, TestQueue, broker, next, number, number_of, publish, to_queue, verdict,
};
use lapin::{options::QueueBindOptions, types::FieldTable};
use replybus::{
    limits,
    message::{Message, Properties},
    transport::{Binding, Outgoing, Removal, Settled, Transport, TransportHealth, Verdict},
};
use replybus_testkit::{
    proxy::Mode,
    wait::{bounded, eventually},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

async fn wait_for_health(
    transport: &Arc<dyn Transport>,
    wanted: impl Fn(&TransportHealth) -> bool,
) {
    eventually("the health is as wanted", || async {
        wanted(&transport.health())
    })
    .await;
}

/// Takes everything out of a queue until `last` has come.
async fn drain(transport: &Arc<dyn Transport>, queue: &TestQueue, last: u64) -> BTreeSet<u64> {
    assert_eq!(
        publish(transport, to_queue(queue.name(), number(last))).await,
        Verdict::Confirmed
    );
    let mut deliveries = transport.consume(queue.source(64)).await.unwrap();
    let mut found = BTreeSet::new();
    while !found.contains(&last) {
        let delivery = next(&mut deliveries).await;
        found.insert(number_of(&delivery));
        delivery.settler.settle(Settled::Ack);
    }
    deliveries.stop().await;
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_connections_lose_no_confirmed_message() {
    let Some(broker) = broker().await else { return };
    let (proxy, amqp) = broker.through_proxy().await;
    let transport = amqp.connect().await.unwrap();
    let queue = broker.queue("cut");
    transport.declare(queue.spec.clone()).await.unwrap();
    let (mut confirmed, mut never) = (BTreeSet::new(), BTreeSet::new());
    let mut n = 0;
    for _ in 0..6 {
        let receipts: Vec<_> = (0..1500)
            .map(|_| {
                n += 1;
                (n, transport.publish(to_queue(queue.name(), number(n))))
            })
            .collect();
        let mut receipts = receipts.into_iter();
        for (n, receipt) in receipts.by_ref().take(200) {
            // The cut comes while the rest are on their way.
            assert_eq!(verdict(receipt).await, Verdict::Confirmed);
            confirmed.insert(n);
        }
        proxy.set(Mode::Cut);
        for (n, receipt) in receipts {
            match verdict(receipt).await {
                Verdict::Confirmed => drop(confirmed.insert(n)),
                Verdict::NotWritten => drop(never.insert(n)),
                Verdict::Lost => {}
                verdict => panic!("{verdict:?}"),
            }
        }
    }
    let found = drain(&transport, &queue, u64::MAX).await;
    assert!(
        confirmed.is_subset(&found),
        "{} confirmed, {} found",
        confirmed.len(),
        found.len()
    );
    assert!(never.is_disjoint(&found));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_outlives_its_connections() {
    let Some(broker) = broker().await else { return };
    let (proxy, amqp) = broker.through_proxy().await;
    let consuming = amqp.connect().await.unwrap();
    let publishing = broker.transport().await;
    let queue = broker.queue("reattach");
    let mut deliveries = consuming.consume(queue.source(16)).await.unwrap();
    let mut settlers_of_the_past = Vec::new();
    for round in 0..5_u64 {
        let count = 100;
        for n in 0..count {
            let outgoing = to_queue(queue.name(), number(round * count + n));
            assert_eq!(publish(&publishing, outgoing).await, Verdict::Confirmed);
        }
        let mut seen = BTreeSet::new();
        while seen.len() < usize::try_from(count).unwrap() {
            let delivery = next(&mut deliveries).await;
            let n = number_of(&delivery);
            if n / count == round {
                seen.insert(n);
            }
            if seen.len() == 50 && settlers_of_the_past.len() < usize::try_from(round).unwrap() + 1
            {
                // An order for a channel that is gone must not settle anything on the next one.
                settlers_of_the_past.push(delivery.settler);
                seen.remove(&n);
                proxy.set(Mode::Cut);
            } else {
                delivery.settler.settle(Settled::Ack);
            }
        }
    }
    settlers_of_the_past
        .into_iter()
        .for_each(|settler| settler.settle(Settled::Ack));
    deliveries.stop().await;
    consuming.close(BOUND).await;
    queue.wait_ready(&broker.raw().await, 0).await;
}

/// Publishes until it is confirmed: with a limit of a second a busy machine may lose one.
async fn insist(transport: &Arc<dyn Transport>, queue: &TestQueue, n: u64) {
    eventually("it is confirmed", || async {
        publish(transport, to_queue(queue.name(), number(n))).await == Verdict::Confirmed
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_connection_is_noticed_and_replaced() {
    let Some(broker) = broker().await else { return };
    let (proxy, amqp) = broker.through_proxy().await;
    let transport = amqp
        .heartbeat(Duration::from_secs(1))
        .confirm_timeout(Duration::from_secs(1))
        .connect()
        .await
        .unwrap();
    let queue = broker.queue("frozen");
    let mut deliveries = transport.consume(queue.source(4)).await.unwrap();
    insist(&transport, &queue, 1).await;
    next(&mut deliveries).await.settler.settle(Settled::Ack);
    proxy.set(Mode::SwallowOld);
    let swallowed = publish(&transport, to_queue(queue.name(), number(2))).await;
    assert_eq!(swallowed, Verdict::Lost);
    insist(&transport, &queue, 3).await;
    // The consumer's connection carries nothing unasked: only its heartbeat tells.
    while number_of(&next(&mut deliveries).await) != 3 {}
    // Neither old connection is left: both were ended from this side.
    eventually("both are ended", || async { proxy.ended_by_client() >= 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_is_cut_leaves_what_it_keeps_bound() {
    const EXCHANGE: &str = "amq.topic";
    let Some(broker) = broker().await else { return };
    let (proxy, amqp) = broker.through_proxy().await;
    let (transport, beside) = (amqp.connect().await.unwrap(), broker.transport().await);
    let queue = broker.queue("unbound");
    beside.declare(queue.spec.clone()).await.unwrap();
    let (name, raw) = (queue.name(), broker.raw().await);
    let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
    let bound = raw.queue_bind(
        name.into(),
        EXCHANGE.into(),
        name.into(),
        options,
        arguments,
    );
    bound.await.unwrap();
    let event = || {
        let event = Outgoing::new(Message {
            exchange: EXCHANGE.into(),
            routing_key: name.into(),
            properties: Properties::default(),
            body: "event".into(),
        });
        publish(&beside, event.mandatory(true))
    };
    assert_eq!(event().await, Verdict::Confirmed);

    // Between what it does there is time to see how far it is.
    proxy.set(Mode::Latency(Duration::from_secs(1)));
    let binding = [Binding::new(EXCHANGE, name)];
    let removing = transport.remove(name, &binding, true);
    let disturbing = async {
        eventually("it is unbound", || async {
            event().await == Verdict::Unroutable
        })
        .await;
        proxy.set(Mode::SwallowOld);
        let consumer = beside.consume(queue.source(1)).await.unwrap();
        proxy.set(Mode::Cut);
        consumer
    };
    let (removed, _consumer) = bounded(async { tokio::join!(removing, disturbing) }).await;
    let removed = removed.unwrap();
    assert!(matches!(removed, Removal::Kept(state) if state.consumers == 1));
    assert_eq!(event().await, Verdict::Confirmed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_connection_messages_wait_until_their_deadline() {
    let Some(broker) = broker().await else { return };
    let (proxy, amqp) = broker.through_proxy().await;
    let transport = amqp.connect().await.unwrap();
    let queue = broker.queue("waiting");
    transport.declare(queue.spec.clone()).await.unwrap();
    proxy.set(Mode::Refuse);
    wait_for_health(&transport, |health| {
        matches!(health, TransportHealth::Down(_))
    })
    .await;

    // One of the two connections is down by now; what is written on the other is lost with it.
    eventually("nothing is written until its deadline", || async {
        let hasty = to_queue(queue.name(), "hasty");
        let hasty = hasty.deadline(Instant::now() + Duration::from_millis(200));
        publish(&transport, hasty).await == Verdict::NotWritten
    })
    .await;
    let patient = transport.publish(to_queue(queue.name(), "patient"));
    let others: Vec<_> = (1..limits::UNCONFIRMED_MAX)
        .map(|_| transport.publish(to_queue(queue.name(), "abandoned")))
        .collect();
    let too_many = publish(&transport, to_queue(queue.name(), "too many")).await;
    assert_eq!(too_many, Verdict::Busy);
    // Nobody asks for the others any more: their places become free without a connection.
    drop(others);
    let bound = Instant::now() + BOUND;
    let free = loop {
        let mut receipt = transport.publish(to_queue(queue.name(), "free"));
        // One that has no place is told so at once, by a busy machine a little later.
        if timeout(Duration::from_secs(1), receipt.verdict())
            .await
            .is_err()
        {
            break receipt;
        }
        assert!(Instant::now() < bound, "no place became free");
    };
    proxy.set(Mode::Pass);
    assert_eq!(verdict(patient).await, Verdict::Confirmed);
    assert_eq!(verdict(free).await, Verdict::Confirmed);
    wait_for_health(&transport, |health| *health == TransportHealth::Up).await;
    assert_eq!(queue.ready(&broker.raw().await).await, 2);
}

/// `connection.blocked` with a reason, as a frame.
fn blocked(reason: &str) -> Vec<u8> {
    let mut arguments = vec![u8::try_from(reason.len()).unwrap()];
    arguments.extend(reason.as_bytes());
    frame(60, &arguments)
}

/// A method of the connection class (10), on channel 0.
fn frame(method: u8, arguments: &[u8]) -> Vec<u8> {
    let size = u8::try_from(4 + arguments.len()).unwrap();
    let mut frame = vec![1, 0, 0, 0, 0, 0, size, 0, 10, 0, method];
    frame.extend(arguments);
    frame.push(0xCE);
    frame
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_blocks_us_makes_us_busy_not_stuck() {
    let Some(broker) = broker().await else { return };
    let (proxy, amqp) = broker.through_proxy().await;
    let transport = amqp.connect().await.unwrap();
    let queue = broker.queue("blocked");
    transport.declare(queue.spec.clone()).await.unwrap();
    // Said more than once, as brokers may: both connections hear of it, each in its own time.
    eventually("the publisher is told", || async {
        proxy.inject(&blocked("low on memory"));
        // One that was taken before it was told waits until it is over.
        let published = publish(&transport, to_queue(queue.name(), "x"));
        timeout(Duration::from_secs(1), published).await == Ok(Verdict::Busy)
    })
    .await;
    wait_for_health(&transport, |health| {
        *health == TransportHealth::Blocked("low on memory".to_owned())
    })
    .await;
    eventually("it is over", || async {
        proxy.inject(&frame(61, &[]));
        transport.health() == TransportHealth::Up
    })
    .await;
    eventually("the publisher is told that, too", || async {
        publish(&transport, to_queue(queue.name(), "x")).await == Verdict::Confirmed
    })
    .await;
    assert_eq!(proxy.ended_by_client(), 0, "the connection was kept");
    // Closing while blocked is bounded, too.
    eventually("it is blocked again", || async {
        proxy.inject(&blocked("again"));
        matches!(transport.health(), TransportHealth::Blocked(_))
    })
    .await;
    bounded(transport.close(Duration::from_secs(1))).await;
}

/// What was written without a confirm is lost with its connection, and said to be, as long as
/// somebody asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_told_to_those_who_wait_without_a_confirm() {
    let Some(broker) = broker().await else { return };
    let (proxy, amqp) = broker.through_proxy().await;
    let transport = amqp.connect().await.unwrap();
    let queue = broker.queue("unconfirmed");
    let mut deliveries = transport.consume(queue.source(9)).await.unwrap();
    let receipt = transport.publish(to_queue(queue.name(), number(1)).confirm(false));
    next(&mut deliveries).await.settler.settle(Settled::Ack);
    proxy.set(Mode::Cut);
    assert_eq!(verdict(receipt).await, Verdict::Lost);
}
