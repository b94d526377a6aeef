use super::*;
use crate::{
    message::Message,
    transport::{
        Binding, Deliveries, Delivery, Outgoing, QueueSpec, Settled, Source, Transport,
        TransportHealth, Verdict, Withdrawn,
    },
};
use std::{future::Future, time::Duration};
use tokio::time::Instant;

fn spec(name: &str) -> QueueSpec {
    QueueSpec::new(name)
}

fn source(name: &str, prefetch: u16) -> Source {
    Source::new(spec(name), prefetch)
}

fn text(exchange: &str, routing_key: &str, body: &str) -> Outgoing {
    Outgoing::new(Message {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        body: body.to_owned().into(),
        ..Message::default()
    })
}

fn within(ttl: Duration, outgoing: Outgoing) -> Outgoing {
    outgoing.deadline(Instant::now() + ttl)
}

fn ready(broker: &MemoryBroker, queue: &str) -> usize {
    broker.topology().queue(queue).unwrap().ready()
}

async fn publish(transport: &MemoryTransport, outgoing: Outgoing) -> Verdict {
    transport.publish(outgoing).verdict().await
}

async fn bodies(deliveries: &mut dyn Deliveries, count: usize) -> Vec<String> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        let delivery = deliveries.next().await.unwrap();
        bodies.push(body(&delivery));
        delivery.settler.settle(Settled::Ack);
    }
    bodies
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.body.to_vec()).unwrap()
}

/// Polls once: whether the future is ready now.
async fn now<F: Future>(future: F) -> Option<F::Output> {
    tokio::select! { biased; output = future => Some(output), () = std::future::ready(()) => None }
}

#[tokio::test]
async fn consumers_get_their_turn_and_no_more_than_their_prefetch() {
    let transport = MemoryBroker::new().connect();
    let mut one = transport.consume(source("q", 2)).await.unwrap();
    let mut two = transport.consume(source("q", 3)).await.unwrap();
    for body in ["1", "2", "3", "4", "5", "6"] {
        publish(&transport, text("", "q", body)).await;
    }
    let first = one.next().await.unwrap();
    assert_eq!(body(&first), "1");
    assert_eq!(body(&one.next().await.unwrap()), "3");
    assert_eq!(bodies(two.as_mut(), 3).await, ["2", "4", "5"]);
}

#[tokio::test]
async fn a_full_consumer_gets_the_next_one_when_it_settles() {
    let transport = MemoryBroker::new().connect();
    let mut deliveries = transport.consume(source("q", 1)).await.unwrap();
    publish(&transport, text("", "q", "1")).await;
    publish(&transport, text("", "q", "2")).await;
    let first = deliveries.next().await.unwrap();
    assert!(now(deliveries.next()).await.is_none());
    first.settler.settle(Settled::Ack);
    assert_eq!(bodies(deliveries.as_mut(), 1).await, ["2"]);
}

#[tokio::test]
async fn what_is_given_back_returns_to_its_place() {
    let broker = MemoryBroker::new();
    let transport = broker.connect();
    let mut deliveries = transport.consume(source("q", 3)).await.unwrap();
    for body in ["1", "2", "3", "4"] {
        publish(&transport, text("", "q", body)).await;
    }
    let one = deliveries.next().await.unwrap();
    let two = deliveries.next().await.unwrap();
    assert!(!one.redelivered);
    deliveries.stop().await;
    assert!(deliveries.next().await.is_none());
    two.settler.settle(Settled::Requeue);
    drop(one);

    // The second consumer is attached when all three are back.
    while ready(&broker, "q") < 4 {
        tokio::task::yield_now().await;
    }
    let mut again = transport.consume(source("q", 9)).await.unwrap();
    for (expected, redelivered) in [("1", true), ("2", true), ("3", true), ("4", false)] {
        let delivery = again.next().await.unwrap();
        assert_eq!(body(&delivery), expected);
        assert_eq!(delivery.redelivered, redelivered);
    }
}

#[tokio::test(start_paused = true)]
async fn expired_messages_are_never_delivered() {
    let transport = MemoryBroker::new().connect();
    transport.declare(spec("q")).await.unwrap();
    let second = Duration::from_secs(1);
    publish(&transport, within(second, text("", "q", "short"))).await;
    publish(&transport, within(9 * second, text("", "q", "long"))).await;
    publish(&transport, within(second, text("", "q", "behind"))).await;
    tokio::time::advance(2 * second).await;
    let mut deliveries = transport.consume(source("q", 9)).await.unwrap();
    let delivery = deliveries.next().await.unwrap();
    assert_eq!(body(&delivery), "long");
    assert_eq!(delivery.message.properties.expiration, Some(9 * second));
    assert!(now(deliveries.next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_message_given_back_keeps_its_deadline() {
    let transport = MemoryBroker::new().connect();
    let mut deliveries = transport.consume(source("q", 9)).await.unwrap();
    let second = Duration::from_secs(1);
    publish(&transport, within(second, text("", "q", "short"))).await;
    let delivery = deliveries.next().await.unwrap();
    tokio::time::advance(2 * second).await;
    drop(delivery);
    publish(&transport, text("", "q", "next")).await;
    assert_eq!(bodies(deliveries.as_mut(), 1).await, ["next"]);
}

#[tokio::test(start_paused = true)]
async fn expired_messages_take_no_room() {
    let transport = MemoryBroker::new().connect();
    let mut limited = spec("q");
    limited.length_max = Some(1);
    transport.declare(limited).await.unwrap();
    let second = Duration::from_secs(1);
    let short = || within(second, text("", "q", "short"));
    assert_eq!(publish(&transport, short()).await, Verdict::Confirmed);
    assert_eq!(publish(&transport, short()).await, Verdict::Refused);
    tokio::time::advance(2 * second).await;
    assert_eq!(publish(&transport, short()).await, Verdict::Confirmed);
}

#[tokio::test]
async fn a_deadline_in_the_past_is_not_written() {
    let broker = MemoryBroker::new();
    let transport = broker.connect();
    transport.declare(spec("q")).await.unwrap();
    let receipt = &mut transport.publish(within(Duration::ZERO, text("", "q", "late")));
    assert_eq!(receipt.verdict().await, Verdict::NotWritten);
    assert_eq!(receipt.withdraw(), Withdrawn::Surely);
    assert_eq!(ready(&broker, "q"), 0);
}

#[tokio::test]
async fn a_queue_bound_twice_gets_an_event_once() {
    let transport = MemoryBroker::new().connect();
    let mut events = source("events", 9);
    for routing_key in ["transaction.*", "#"] {
        events.bindings.push(Binding {
            exchange: "bank".to_owned(),
            routing_key: routing_key.into(),
        });
    }
    let mut deliveries = transport.consume(events).await.unwrap();
    publish(&transport, text("bank", "transaction.completed", "1")).await;
    publish(&transport, text("bank", "account.opened", "2")).await;
    assert_eq!(bodies(deliveries.as_mut(), 2).await, ["1", "2"]);
    assert!(now(deliveries.next()).await.is_none());
}

#[tokio::test]
async fn connections_are_closed_one_by_one() {
    let broker = MemoryBroker::new();
    let (here, there) = (broker.connect(), broker.connect());
    let mut ours = here.consume(source("q", 9)).await.unwrap();
    publish(&there, text("", "q", "1")).await;
    let unsettled = ours.next().await.unwrap();
    here.close(Duration::ZERO).await;
    assert!(ours.next().await.is_none());
    assert_eq!(
        publish(&here, text("", "q", "2")).await,
        Verdict::NotWritten
    );
    assert!(matches!(
        here.consume(source("q", 9)).await,
        Err(SetupError::Closed)
    ));
    assert!(matches!(here.health(), TransportHealth::Down(_)));

    let mut theirs = there.consume(source("q", 9)).await.unwrap();
    let delivery = theirs.next().await.unwrap();
    assert!(delivery.redelivered);
    // An order of the closed connection settles nothing.
    unsettled.settler.settle(Settled::Ack);
    delivery.settler.settle(Settled::Requeue);
    assert_eq!(bodies(theirs.as_mut(), 1).await, ["1"]);
}

#[test]
fn a_runtime_that_ends_gives_back_what_its_consumers_held() {
    let transport = MemoryBroker::new().connect();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    };
    let first = runtime();
    let held = first.block_on(async {
        let mut deliveries = transport.consume(source("q", 9)).await.unwrap();
        publish(&transport, text("", "q", "1")).await;
        (deliveries.next().await.unwrap(), deliveries)
    });
    drop(first);
    runtime().block_on(async {
        let mut deliveries = transport.consume(source("q", 9)).await.unwrap();
        assert_eq!(bodies(deliveries.as_mut(), 1).await, ["1"]);
    });
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_under_load() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 2_000;
    let transport = Arc::new(MemoryBroker::new().connect());
    transport.declare(spec("q")).await.unwrap();
    let (done, mut settled) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (transport, done) = (Arc::clone(&transport), done.clone());
        tasks.spawn(async move {
            let mut deliveries = transport.consume(source("q", 7)).await.unwrap();
            let mut seen = 0_usize;
            while let Some(delivery) = deliveries.next().await {
                seen += 1;
                let body = body(&delivery);
                // Every fifth is given back once, by being dropped.
                if delivery.redelivered || !seen.is_multiple_of(5) {
                    delivery.settler.settle(Settled::Ack);
                    done.send(body).unwrap();
                }
            }
        });
    }
    drop(done);
    for publisher in 0..PUBLISHERS {
        let transport = Arc::clone(&transport);
        tasks.spawn(async move {
            for number in 0..EACH {
                let outgoing = text("", "q", &format!("{publisher}:{number}"));
                assert_eq!(publish(&transport, outgoing).await, Verdict::Confirmed);
                tokio::task::consume_budget().await;
            }
        });
    }
    let mut taken = Vec::new();
    while taken.len() < PUBLISHERS * EACH {
        taken.push(settled.recv().await.unwrap());
    }
    transport.close(Duration::ZERO).await;
    tasks.join_all().await;
    while let Ok(extra) = settled.try_recv() {
        taken.push(extra);
    }
    taken.sort();
    let mut expected: Vec<String> = (0..PUBLISHERS)
        .flat_map(|publisher| (0..EACH).map(move |number| format!("{publisher}:{number}")))
        .collect();
    expected.sort();
    assert_eq!(taken, expected);
}
