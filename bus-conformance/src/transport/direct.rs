//! Messages that are written past all that waits.

use super::bench::{Bench, to};
use crate::wait::eventually;
use replybus::transport::{
    Departure, DirectPublish, Outgoing, QueueSpec, Receipt, Slip, Transport, Verdict, Withdrawn,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

fn direct(transport: &dyn Transport) -> &dyn DirectPublish {
    transport.direct().unwrap()
}

/// A message that no confirm is asked for, and which can be told from others.
fn unconfirmed(queue: &QueueSpec, body: &str) -> Outgoing {
    let mut outgoing = to(queue, body).confirm(false);
    outgoing.message.properties.message_id = Some(crate::unique("direct").as_str().into());
    outgoing
}

/// Counts how often it was told.
fn counted() -> (Arc<AtomicU32>, Arc<impl Fn() + Send + Sync + 'static>) {
    let told = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&told);
    let tell = move || {
        count.fetch_add(1, Ordering::SeqCst);
    };
    (told, Arc::new(tell))
}

/// Writes it as soon as the transport takes it.
async fn write(
    transport: &dyn Transport,
    outgoing: Outgoing,
    slip: Slip,
    tell: &Arc<impl Fn() + Send + Sync + 'static>,
) {
    let mut refused = Some((outgoing, slip));
    while let Some((outgoing, slip)) = refused {
        eventually("it is open", || async { direct(transport).is_open() }).await;
        refused = direct(transport).write(outgoing, slip, Departure::to(tell));
    }
}

pub(crate) async fn what_is_written_directly_arrives_and_its_departure_is_told(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 9).await;
    for body in ["1", "2", "3"] {
        let (told, tell) = counted();
        let (slip, receipt) = Receipt::pair();
        let outgoing = unconfirmed(&queue, body);
        write(bench.transport.as_ref(), outgoing, slip, &tell).await;
        assert!(receipt.written());
        assert_eq!(receipt.withdraw(), Withdrawn::TooLate);
        consumer.takes(body).await;
        eventually("its departure is told", || async {
            told.load(Ordering::SeqCst) > 0
        })
        .await;
    }
}

pub(crate) async fn what_was_withdrawn_is_not_written_directly(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 9).await;
    let (told, tell) = counted();
    let (slip, receipt) = Receipt::pair();
    assert_eq!(receipt.withdraw(), Withdrawn::Surely);
    let outgoing = unconfirmed(&queue, "withdrawn");
    write(bench.transport.as_ref(), outgoing, slip, &tell).await;
    eventually("its departure is told", || async {
        told.load(Ordering::SeqCst) > 0
    })
    .await;
    assert!(!receipt.written());
    let (slip, _receipt) = Receipt::pair();
    let outgoing = unconfirmed(&queue, "next");
    write(bench.transport.as_ref(), outgoing, slip, &tell).await;
    consumer.takes("next").await;
}

pub(crate) async fn a_direct_message_that_reaches_no_queue_is_returned(bench: Arc<Bench>) {
    let missing = QueueSpec::new(crate::unique("missing"));
    let (_, tell) = counted();
    let (slip, mut receipt) = Receipt::pair();
    let outgoing = unconfirmed(&missing, "x");
    write(bench.transport.as_ref(), outgoing, slip, &tell).await;
    assert_eq!(receipt.verdict().await, Verdict::Unroutable);
}

pub(crate) async fn a_closed_transport_gives_back_what_it_was_to_write(bench: Arc<Bench>) {
    let queue = bench.queue();
    let mut consumer = bench.consume(&queue, 9).await;
    let other = bench.connect().await;
    other.close(Duration::from_secs(10)).await;
    assert!(!direct(other.as_ref()).is_open());
    let (told, tell) = counted();
    let (slip, receipt) = Receipt::pair();
    let late = unconfirmed(&queue, "late");
    let given_back = direct(other.as_ref()).write(late, slip, Departure::to(&tell));
    let (outgoing, slip) = given_back.unwrap();
    assert!(!receipt.written());
    // Nobody waits for its departure any more.
    assert_eq!(told.load(Ordering::SeqCst), 1);
    write(bench.transport.as_ref(), outgoing, slip, &tell).await;
    consumer.takes("late").await;
}
