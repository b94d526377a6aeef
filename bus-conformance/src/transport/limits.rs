//! Queues that refuse what they can't hold, and those of other arguments than were asked for.

use super::bench::{Bench, body, to};
use replybus::{
    SetupError,
    contract::QueueType,
    transport::{QueueSpec, Settled, Source, Verdict},
};
use std::{collections::HashSet, sync::Arc};
use tokio::task::JoinSet;

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

fn assert_names_the_queue(error: SetupError, queue: &QueueSpec) {
    match error {
        SetupError::Topology { what, reason, .. } => {
            assert!(what.contains(&queue.name), "{what}: {reason}");
        }
        other => panic!("{other:?}"),
    }
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
