//! An event that was given back to its queue is handled by whoever gets it next, whatever becomes
//! of the run that was left behind.

use crate::{
    dead_letters::{bus, kept},
    faulty_store::{Faults, FaultyReplies},
};
use replybus::{
    Bus, Context, Event,
    transport::{Transport, memory::MemoryBroker},
};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

/// More than anything here takes; the clock is paused.
const LONG: Duration = Duration::from_secs(3600);

#[derive(Event, Serialize, Deserialize)]
#[event("transfer.booked")]
struct Booked {
    amount: i64,
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_drain_is_no_outcome() {
    let (bus, transport) = bus().await;
    let (entered, gate) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (inside, open) = (Arc::clone(&entered), Arc::clone(&gate));
    let stuck = move |_: Booked| {
        let (inside, open) = (Arc::clone(&inside), Arc::clone(&open));
        async move {
            inside.add_permits(1);
            open.acquire().await.unwrap().forget();
            Err::<(), _>("too late")
        }
    };
    let first = bus.subscribe("audit", stuck);
    let first = first.drain_within(Duration::from_millis(50)).await.unwrap();
    bus.emit(&Booked { amount: 5 }).await.unwrap();
    entered.acquire().await.unwrap().forget();
    assert_eq!(first.shutdown().await.unwrap().given_back, 1);

    let (tell, mut seen) = mpsc::unbounded_channel();
    let second = bus.subscribe("audit", move |event: Booked| {
        let told = tell.send(event.amount).is_ok();
        async move { assert!(told) }
    });
    let second = second.await.unwrap();
    gate.add_permits(1);
    assert_eq!(timeout(LONG, seen.recv()).await, Ok(Some(5)));
    second.shutdown().await.unwrap();
    assert_eq!(kept(&transport, "audit").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_claim_decides_nothing() {
    let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new().connect());
    let faults = Arc::new(Faults::default());
    let bus = Bus::builder()
        .connect(Arc::clone(&transport), FaultyReplies::new(&faults))
        .await
        .unwrap();
    faults.taken_over.store(true, Ordering::SeqCst);
    let runs = Arc::new(AtomicU32::new(0));
    let (tell, mut seen) = mpsc::unbounded_channel();
    let handler = move |event: Booked| {
        let (run, tell) = (runs.fetch_add(1, Ordering::SeqCst), tell.clone());
        async move {
            let context = Context::current();
            if run == 0 {
                // Until it is told that another has its claim.
                context.cancelled().await;
            }
            if context.is_cancelled() {
                return Err("taken over");
            }
            tell.send(event.amount).unwrap();
            Ok(())
        }
    };
    let subscription = bus.subscribe("audit", handler).await.unwrap();
    bus.emit(&Booked { amount: 5 }).await.unwrap();
    assert_eq!(timeout(LONG, seen.recv()).await, Ok(Some(5)));
    subscription.shutdown().await.unwrap();
    assert_eq!(kept(&transport, "audit").await, 0);
}
