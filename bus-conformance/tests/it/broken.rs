//! Transports and stores that break one promise each, and the cases that find it. Time is paused, so
//! that what never comes is waited for in no time.

use async_trait::async_trait;
use futures_util::FutureExt;
use replybus::{
    SetupError,
    transport::{
        Acknowledger, Deliveries, Delivery, InspectError, Outgoing, QueueSpec, QueueState, Receipt,
        Settled, Settler, Source, Transport, TransportBackend, TransportHealth, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use replybus_conformance::TransportCase;
use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

/// What a transport does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    /// Nothing.
    None,
    /// All is said to be confirmed.
    Confirms,
    /// What is written is lost.
    Loses,
    /// What is given back is acked.
    Forgets,
    /// It is up when it is closed.
    StaysUp,
}

#[derive(Debug, Clone)]
struct Broken(MemoryBroker, Mistake);

#[derive(Debug)]
struct BrokenTransport(MemoryTransport, Mistake);

#[derive(Debug)]
struct BrokenDeliveries(Box<dyn Deliveries>, Mistake);

#[async_trait]
impl TransportBackend for Broken {
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError> {
        Ok(Arc::new(BrokenTransport(self.0.connect(), self.1)))
    }
}

#[async_trait]
impl Transport for BrokenTransport {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        match self.1 {
            Mistake::Loses => Receipt::told(Verdict::Confirmed),
            Mistake::Confirms => {
                let _ = self.0.publish(outgoing);
                Receipt::told(Verdict::Confirmed)
            }
            _ => self.0.publish(outgoing),
        }
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        let deliveries = self.0.consume(source).await?;
        Ok(Box::new(BrokenDeliveries(deliveries, self.1)))
    }

    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        self.0.declare(queue).await
    }

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        self.0.inspect(queue).await
    }

    fn health(&self) -> TransportHealth {
        match self.1 {
            Mistake::StaysUp => TransportHealth::Up,
            _ => self.0.health(),
        }
    }

    async fn close(&self, within: Duration) {
        self.0.close(within).await;
    }
}

#[async_trait]
impl Deliveries for BrokenDeliveries {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut next = ready!(self.0.poll_next(cx));
        if let Some(delivery) = &mut next
            && self.1 == Mistake::Forgets
        {
            let acks = Arc::new(Acks::default());
            let settler = Settler::new(0, Arc::<Acks>::clone(&acks));
            let real = mem::replace(&mut delivery.settler, settler);
            *acks.0.lock().unwrap() = Some(real);
        }
        Poll::Ready(next)
    }

    async fn stop(&mut self) {
        self.0.stop().await;
    }
}

/// Acks a delivery, however it is settled.
#[derive(Default)]
struct Acks(Mutex<Option<Settler>>);

impl Acknowledger for Acks {
    fn settle(&self, _: u64, _: Settled) {
        if let Some(settler) = self.0.lock().unwrap().take() {
            settler.settle(Settled::Ack);
        }
    }
}

/// The required cases that fail, each with what it says.
async fn failing(mistake: Mistake) -> Vec<(&'static str, String)> {
    let mut failing = Vec::new();
    for case in TransportCase::all()
        .iter()
        .filter(|case| !case.is_optional())
    {
        // It never waits, so that paused time stands still.
        if mistake == Mistake::Loses && case.name() == "a_cancelled_next_loses_nothing" {
            continue;
        }
        let checked = case.check(Broken(MemoryBroker::new(), mistake));
        if let Err(failure) = AssertUnwindSafe(checked).catch_unwind().await {
            let said = failure.downcast_ref::<&str>().map(ToString::to_string);
            let said = said.or_else(|| failure.downcast_ref().cloned());
            failing.push((case.name(), said.unwrap_or_default()));
        }
    }
    failing
}

fn names(failing: &[(&'static str, String)]) -> Vec<&'static str> {
    failing.iter().map(|(name, _)| *name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_keeps_its_promises_passes() {
    let failing = failing(Mistake::None).await;
    assert!(failing.is_empty(), "{failing:?}");
}

#[tokio::test(start_paused = true)]
async fn verdicts_that_are_not_true_are_found() {
    let failing = failing(Mistake::Confirms).await;
    let expected = [
        "a_message_that_reaches_no_queue_is_returned_if_mandatory",
        "a_passed_deadline_is_never_written",
        "close_ends_consumers_and_refuses_publishes",
    ];
    assert_eq!(names(&failing), expected);
    assert!(failing[0].1.contains("Unroutable"), "{}", failing[0].1);
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_lost_are_found_and_nothing_hangs() {
    let failing = failing(Mistake::Loses).await;
    assert!(names(&failing).contains(&"messages_come_in_order"));
    for (name, said) in failing {
        let hangs = format!("::{name}: it hangs, for 60s by now");
        assert!(
            said.contains(&hangs) || said.contains("assertion"),
            "{name}: {said}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_does_not_come_back_is_found() {
    let failing = names(&failing(Mistake::Forgets).await);
    for expected in [
        "a_requeued_delivery_comes_back_first",
        "a_dropped_delivery_comes_back",
    ] {
        assert!(failing.contains(&expected), "{failing:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_transport_that_is_up_is_found() {
    let failing = names(&failing(Mistake::StaysUp).await);
    assert_eq!(failing, ["close_ends_consumers_and_refuses_publishes"]);
}
