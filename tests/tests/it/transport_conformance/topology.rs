//! Queues, exchanges and what is bound to what.

use super::bench::{Bench, bind, routed, to};
use replybus::{
    SetupError,
    contract::QueueType,
    transport::{QueueSpec, QueueState, Removal, Source, Verdict},
};
use replybus_testkit::wait::until;
use std::sync::Arc;

pub(crate) async fn a_queue_can_be_declared_again(bench: Arc<Bench>) {
    let queue = bench.queue().length_max(7);
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["kept"]).await;
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.consume(&queue, 9).await.takes("kept").await;
}

pub(crate) async fn a_queue_with_other_arguments_is_refused(bench: Arc<Bench>) {
    let queue = bench.queue();
    bench.transport.declare(queue.clone()).await.unwrap();
    let limited = queue.clone().length_max(7);
    let quorum = queue.clone().queue_type(QueueType::Quorum);
    let limited_in_bytes = queue.clone().bytes_max(7);
    for other in [limited, limited_in_bytes, quorum] {
        let declared = bench.transport.declare(other.clone()).await;
        assert_names_the_queue(declared.unwrap_err(), &queue);
        let source = Source::new(other, 1);
        let consumed = bench.transport.consume(source).await;
        assert_names_the_queue(consumed.unwrap_err(), &queue);
    }
    // It did no harm.
    let mut consumer = bench.consume(&queue, 9).await;
    bench.send(&queue, &["still here"]).await;
    consumer.takes("still here").await;
}

pub(crate) async fn a_queue_that_exists_is_used_as_it_is_if_that_is_allowed(bench: Arc<Bench>) {
    let queue = bench.queue().length_max(1);
    bench.transport.declare(queue.clone()).await.unwrap();
    let other = unlimited(&queue).length_max(7).or_existing();
    bench.transport.declare(other.clone()).await.unwrap();
    bench.send(&queue, &["first"]).await;
    assert_eq!(bench.publish(to(&queue, "second")).await, Verdict::Refused);
    bench.consume(&other, 1).await.takes("first").await;
}

/// The queue without its arguments.
fn unlimited(queue: &QueueSpec) -> QueueSpec {
    QueueSpec::new(queue.name.as_str())
}

pub(crate) async fn a_queue_tells_what_it_holds_and_who_consumes_it(bench: Arc<Bench>) {
    let queue = bench.queue();
    let inspect = async || bench.transport.inspect(&queue.name).await.unwrap();
    assert_eq!(inspect().await, None);
    bench.transport.declare(queue.clone()).await.unwrap();
    bench.send(&queue, &["one", "two", "three"]).await;
    let state = |waiting, consumers| Some(QueueState::new(waiting, consumers));
    assert_eq!(inspect().await, state(3, 0));
    let mut consumer = bench.consume(&queue, 2).await;
    consumer.takes("one").await;
    // What it prefetched no longer waits.
    let consumed = inspect().await.unwrap();
    assert!(
        consumed.consumers == 1 && consumed.waiting < 3,
        "{consumed:?}"
    );
    drop(consumer);
    // It is given up in the background.
    while inspect().await.is_none_or(|state| state.consumers > 0) {}
    // Looking for what is missing did the connection no harm.
    assert_eq!(bench.transport.inspect("nobody.knows").await.unwrap(), None);
    bench.send(&queue, &["still here"]).await;
}

pub(crate) async fn a_queue_is_removed_when_nobody_needs_it(bench: Arc<Bench>) {
    for queue_type in [QueueType::Classic, QueueType::Quorum] {
        let (exchange, queue) = (bench.exchange(), bench.queue().queue_type(queue_type));
        let binding = [bind(&exchange, "a.*")];
        let remove = async |discard| {
            let removed = bench.transport.remove(&queue.name, &binding, discard);
            removed.await.unwrap()
        };
        assert_eq!(remove(false).await, Removal::Missing);
        let mut consumer = bench.subscribe(&queue, 9, binding.to_vec()).await;
        assert!(matches!(remove(true).await, Removal::Kept(state) if state.consumers == 1));
        // It is as it was.
        let event = || bench.publish(routed(&exchange, "a.b", "event"));
        assert_eq!(event().await, Verdict::Confirmed);
        consumer.takes("event").await;
        consumer.0.stop().await;
        drop(consumer);
        assert_eq!(event().await, Verdict::Confirmed);
        // What it prefetched comes back in the background, and its consumer leaves so.
        until("one message is held", || async {
            match remove(false).await {
                Removal::Kept(state) if state == QueueState::new(1, 0) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert_eq!(remove(true).await, Removal::Removed);
        assert_eq!(event().await, Verdict::Unroutable);
        assert_eq!(remove(false).await, Removal::Missing);
    }
}

fn assert_names_the_queue(error: SetupError, queue: &QueueSpec) {
    match error {
        SetupError::Topology { what, reason, .. } => {
            assert!(what.contains(&queue.name), "{what}: {reason}");
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn an_exchange_needs_no_listener(bench: Arc<Bench>) {
    let exchange = bench.exchange();
    for (mandatory, expected) in [(true, Verdict::Unroutable), (false, Verdict::Confirmed)] {
        let outgoing = routed(&exchange, "a.b", "x").mandatory(mandatory);
        assert_eq!(bench.publish(outgoing).await, expected);
    }
    let queue = bench.queue();
    let bindings = vec![bind(&exchange, "a.b")];
    let mut consumer = bench.subscribe(&queue, 9, bindings).await;
    let verdict = bench.publish(routed(&exchange, "a.b", "heard")).await;
    assert_eq!(verdict, Verdict::Confirmed);
    consumer.takes("heard").await;
}

pub(crate) async fn patterns_select_events(bench: Arc<Bench>) {
    let exchange = bench.exchange();
    let (one_word, any_words) = (bench.queue(), bench.queue());
    let mut one_word = bench
        .subscribe(&one_word, 9, vec![bind(&exchange, "transaction.*")])
        .await;
    let mut any_words = bench
        .subscribe(&any_words, 9, vec![bind(&exchange, "#.completed")])
        .await;
    for (routing_key, expected) in [
        ("transaction.started", Verdict::Confirmed),
        ("transaction.completed", Verdict::Confirmed),
        ("completed", Verdict::Confirmed),
        ("transaction.completed.twice", Verdict::Unroutable),
        ("transaction", Verdict::Unroutable),
        ("", Verdict::Unroutable),
    ] {
        let verdict = bench
            .publish(routed(&exchange, routing_key, routing_key))
            .await;
        assert_eq!(verdict, expected, "{routing_key}");
    }
    one_word.takes("transaction.started").await;
    one_word.takes("transaction.completed").await;
    any_words.takes("transaction.completed").await;
    any_words.takes("completed").await;
}

pub(crate) async fn a_queue_bound_twice_gets_an_event_once(bench: Arc<Bench>) {
    let (exchange, other, queue) = (bench.exchange(), bench.exchange(), bench.queue());
    let bindings = vec![
        bind(&exchange, "#"),
        bind(&exchange, "a.*"),
        bind(&exchange, "a.*"),
        bind(&other, "b"),
    ];
    let mut consumer = bench.subscribe(&queue, 9, bindings).await;
    for (exchange, routing_key) in [(&exchange, "a.b"), (&other, "b"), (&exchange, "end")] {
        let verdict = bench
            .publish(routed(exchange, routing_key, routing_key))
            .await;
        assert_eq!(verdict, Verdict::Confirmed);
    }
    for expected in ["a.b", "b", "end"] {
        consumer.takes(expected).await;
    }
}

pub(crate) async fn a_quorum_queue_carries_messages(bench: Arc<Bench>) {
    let queue = bench.queue().queue_type(QueueType::Quorum);
    let mut consumer = bench.consume(&queue, 9).await;
    bench.send(&queue, &["1", "2"]).await;
    consumer.takes("1").await;
    drop(consumer.next().await);
    let again = consumer.next().await;
    assert!(again.redelivered);
}
