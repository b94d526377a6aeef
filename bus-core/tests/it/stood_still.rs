//! A process that stands still between the question for a claim and its answer.

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
