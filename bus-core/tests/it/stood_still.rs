//! A process that stands still for longer than its lease: between the question for a claim and its
//! answer, and while its handler runs.

use crate::faulty_store::{Faults, FaultyReplies};
use replybus::{
    Bus, Never, limits::CLAIM_LEASE, queue_handler, reply::memory::MemoryReplies,
    transport::memory::MemoryBroker,
};
use replybus_testkit::wait::eventually;
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::sync::Semaphore;

#[queue_handler("till.requests", concurrency = 1, prefetch = 1)]
trait Till {
    /// Returns how often it was rung by now.
    async fn ring(&self) -> Result<u32, Never>;
}

#[derive(Clone, Default)]
struct Rung(Arc<AtomicU32>);

impl Till for Rung {
    async fn ring(&self) -> Result<u32, Never> {
        Ok(self.0.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_has_lapsed_by_the_time_its_answer_is_read_begins_nothing() {
    let (broker, replies) = (MemoryBroker::default(), MemoryReplies::new());
    let (rung, faults) = (Rung::default(), Arc::new(Faults::default()));
    let serve = async |bus: &Bus| bus.serve(TillServer::new(rung.clone())).await.unwrap();
    let stalled = FaultyReplies::over(&replies, &faults);
    let stalled = Bus::connect(broker.clone(), stalled).await.unwrap();
    let first = serve(&stalled).await;
    let bus = Bus::connect(broker.clone(), replies.clone()).await.unwrap();
    let ring = || {
        let call = TillClient::new(&bus).ring().idempotency_key("one ring");
        tokio::spawn(call.timeout(10 * CLAIM_LEASE).into_future())
    };

    *faults.claims_answered_after.lock().unwrap() = Some(4 * CLAIM_LEASE);
    let by_first = ring();
    eventually("it has asked", async || {
        faults.claims.load(Ordering::SeqCst) == 1
    })
    .await;
    *faults.claims_answered_after.lock().unwrap() = None;
    // The other copy goes to another worker, which waits until the claim has lapsed, and runs it.
    let second = serve(&bus).await;
    assert_eq!(ring().await.unwrap().unwrap(), 1);
    // The first is given what that came to.
    assert_eq!(by_first.await.unwrap().unwrap(), 1);
    assert_eq!(faults.claims.load(Ordering::SeqCst), 2);
    assert_eq!(rung.0.load(Ordering::SeqCst), 1);
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}

/// Rings that last until they are let go, the first and the second.
#[derive(Clone)]
struct Held {
    rung: Rung,
    gates: Arc<[Semaphore; 2]>,
}

impl Held {
    /// Both are held back.
    fn back() -> Self {
        Self {
            rung: Rung::default(),
            gates: Arc::new([Semaphore::new(0), Semaphore::new(0)]),
        }
    }
}

impl Till for Held {
    async fn ring(&self) -> Result<u32, Never> {
        let number = self.rung.0.fetch_add(1, Ordering::SeqCst);
        let gate = self.gates.get(usize::try_from(number).unwrap());
        gate.unwrap().acquire().await.unwrap().forget();
        Ok(number + 1)
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_reads_after_its_time_that_another_runs_asks_once_more() {
    let (broker, replies) = (MemoryBroker::default(), MemoryReplies::new());
    let faults = Arc::new(Faults::default());
    let held = Held::back();
    let serve = async |bus: &Bus| bus.serve(TillServer::new(held.clone())).await.unwrap();
    let bus = Bus::connect(broker.clone(), replies.clone()).await.unwrap();
    let at_work = serve(&bus).await;
    let ring = || {
        let call = TillClient::new(&bus).ring().idempotency_key("one ring");
        call.timeout(10 * CLAIM_LEASE)
    };
    let awaited = tokio::spawn(ring().into_future());
    eventually("it runs", async || held.rung.0.load(Ordering::SeqCst) == 1).await;

    // A copy goes to another, which is told of the run, and reads that when its time is over.
    let stalled = FaultyReplies::over(&replies, &faults);
    let stalled = Bus::connect(broker.clone(), stalled).await.unwrap();
    *faults.claims_answered_after.lock().unwrap() = Some(12 * CLAIM_LEASE);
    let late = serve(&stalled).await;
    ring().send().await.unwrap();
    let asked = |times| {
        let claims = &faults.claims;
        async move { claims.load(Ordering::SeqCst) == times }
    };
    eventually("it has asked", || asked(1)).await;
    *faults.claims_answered_after.lock().unwrap() = None;
    held.gates[0].add_permits(1);
    assert_eq!(awaited.await.unwrap().unwrap(), 1);
    eventually("it has asked once more", || asked(2)).await;
    late.shutdown().await.unwrap();
    at_work.shutdown().await.unwrap();
    for queue in ["till.requests", "till.requests.dead"] {
        let state = bus.inspect(queue).await.unwrap().unwrap();
        assert_eq!(state.waiting, 0, "{queue}");
    }
    assert_eq!(held.rung.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_run_that_was_taken_over_is_told_what_the_other_came_to() {
    let (broker, replies) = (MemoryBroker::default(), MemoryReplies::new());
    let faults = Arc::new(Faults::default());
    let held = Held::back();
    let serve = async |bus: &Bus| bus.serve(TillServer::new(held.clone())).await.unwrap();
    let began = async |runs| {
        let rung = &held.rung.0;
        eventually("it runs", async || rung.load(Ordering::SeqCst) == runs).await;
    };
    let stalled = FaultyReplies::over(&replies, &faults);
    let stalled = Bus::connect(broker.clone(), stalled).await.unwrap();
    let first = serve(&stalled).await;
    let bus = Bus::connect(broker.clone(), replies.clone()).await.unwrap();
    let ring = || {
        let call = TillClient::new(&bus).ring().idempotency_key("one ring");
        tokio::spawn(call.timeout(10 * CLAIM_LEASE).into_future())
    };

    let by_first = ring();
    began(1).await;
    // It renews nothing, and another caller's copy is begun by another worker, which has no other.
    faults.silent.store(true, Ordering::SeqCst);
    let second = serve(&bus).await;
    let by_second = ring();
    began(2).await;
    faults.silent.store(false, Ordering::SeqCst);
    held.gates[0].add_permits(1);
    eventually("it has asked once more", async || {
        faults.claims.load(Ordering::SeqCst) >= 2
    })
    .await;
    held.gates[1].add_permits(1);
    assert_eq!(by_second.await.unwrap().unwrap(), 2);
    assert_eq!(by_first.await.unwrap().unwrap(), 2);
    assert_eq!(held.rung.0.load(Ordering::SeqCst), 2);
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}
