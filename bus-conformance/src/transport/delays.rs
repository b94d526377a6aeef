//! Messages that are due later.

use super::bench::{Bench, body, to};
use crate::unique;
use replybus::{
    Instant,
    transport::{Delay, Outgoing, QueueSpec, Settled, Verdict},
};
use std::{sync::Arc, time::Duration};

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn publish_after(
    bench: &Bench,
    way: &str,
    outgoing: Outgoing,
    delay: Duration,
) -> Verdict {
    let delay = Delay::until(Instant::now() + delay, way);
    bench.transport.publish_at(outgoing, delay).verdict().await
}

pub(crate) async fn short_and_long_delays_end_in_order_and_none_early(bench: Arc<Bench>) {
    let (queue, way) = (bench.queue(), bench.way());
    let mut consumer = bench.consume(&queue, 9).await;
    let outgoing = |delay: u32| to(&queue, &delay.to_string());
    // One that is far away is ahead of them at every level.
    let far = publish_after(&bench, &way, outgoing(9999), 30_000_000 * SECOND).await;
    assert_eq!(far, Verdict::Confirmed);
    let started = Instant::now();
    for delay in [5, 1, 3, 0, 2] {
        let verdict = publish_after(&bench, &way, outgoing(delay), delay * SECOND).await;
        assert_eq!(verdict, Verdict::Confirmed, "{delay} s");
    }
    for delay in [0, 1, 2, 3, 5] {
        let delivery = consumer.next().await;
        assert_eq!(body(&delivery), delay.to_string());
        assert!(started.elapsed() >= delay * SECOND, "{delay} s");
        // As it would have come at once.
        assert_eq!(delivery.message.exchange, "");
        assert_eq!(delivery.message.routing_key, queue.name);
        assert_eq!(delivery.message.properties.expiration, None);
        delivery.settler.settle(Settled::Ack);
    }
}

pub(crate) async fn a_delayed_message_needs_its_queue_now(bench: Arc<Bench>) {
    let missing = QueueSpec::new(unique("missing"));
    let verdict = publish_after(&bench, &bench.way(), to(&missing, "x"), SECOND).await;
    assert_eq!(verdict, Verdict::Unroutable);
    assert_eq!(bench.transport.inspect(&missing.name).await.unwrap(), None);
}

pub(crate) async fn a_delayed_message_past_its_deadline_is_never_written(bench: Arc<Bench>) {
    let (queue, way) = (bench.queue(), bench.way());
    bench.transport.declare(queue.clone()).await.unwrap();
    let late = to(&queue, "late").deadline(Instant::now());
    let verdict = publish_after(&bench, &way, late, SECOND).await;
    assert_eq!(verdict, Verdict::NotWritten);
}
