//! A process that stands still for longer than its lease: between the question for a claim and its
//! answer, and while its handler runs.

use crate::faulty_store::{Faults, FaultyReplies};
use replybus::{
    Bus, Never,
    limits::{CLAIM_LEASE, PRESENCE_TTL},
    message::{Message, Properties},
    queue_handler,
    reply::memory::MemoryReplies,
    server::ServerService,
    transport::{Outgoing, QueueSpec, Source, Transport, Verdict, memory::MemoryBroker},
};
use replybus_testkit::wait::eventually;
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{sync::Semaphore, time::sleep};
use tower::{Service, layer::layer_fn, service_fn};

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

#[tokio::test(start_paused = true)]
async fn a_claim_that_lapses_while_the_instance_is_announced_begins_nothing() {
    let (broker, replies) = (MemoryBroker::default(), MemoryReplies::new());
    let (rung, faults) = (Rung::default(), Arc::new(Faults::default()));
    let stalled = FaultyReplies::over(&replies, &faults);
    let stalled = Bus::connect(broker.clone(), stalled).await.unwrap();
    let serving = stalled.serve(TillServer::new(rung.clone())).await.unwrap();
    // Nobody has heard of it for long, and it was tried in vain.
    faults.no_presence.store(true, Ordering::SeqCst);
    sleep(2 * PRESENCE_TTL).await;
    faults.no_presence.store(false, Ordering::SeqCst);
    *faults.stands_still.lock().unwrap() = Some(2 * CLAIM_LEASE);

    let bus = Bus::connect(broker, replies).await.unwrap();
    let ring = TillClient::new(&bus).ring();
    assert_eq!(ring.timeout(10 * CLAIM_LEASE).await.unwrap(), 1);
    assert!(faults.stands_still.lock().unwrap().is_none(), "it did not");
    assert_eq!(faults.claims.load(Ordering::SeqCst), 2);
    serving.shutdown().await.unwrap();
}

/// What has no name is known by its bytes, and of those that are equal one runs at a time.
#[tokio::test(start_paused = true)]
async fn a_message_without_a_name_comes_to_its_end_though_another_was_begun_before_it() {
    let (broker, replies) = (MemoryBroker::default(), MemoryReplies::new());
    let (rung, faults) = (Rung::default(), Arc::new(Faults::default()));
    let transport = broker.connect();
    let source = Source::new(QueueSpec::new("till.requests"), 1);
    let mut died = transport.consume(source).await.unwrap();
    let message = Message {
        routing_key: "till.requests".into(),
        properties: Properties {
            kind: Some("ring".into()),
            content_type: Some("application/json".into()),
            ..Properties::default()
        },
        body: "{}".into(),
        ..Message::default()
    };
    let mut receipt = transport.publish(Outgoing::new(message));
    assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    drop(died.next().await.unwrap());
    drop(died);

    faults.taken_over.store(true, Ordering::SeqCst);
    let stalled = FaultyReplies::over(&replies, &faults);
    let stalled = Bus::connect(broker, stalled).await.unwrap();
    let slow = layer_fn(|service: ServerService| {
        service_fn(move |request| {
            let mut service = service.clone();
            async move {
                sleep(CLAIM_LEASE).await;
                service.call(request).await
            }
        })
    });
    let serving = stalled.serve(TillServer::new(rung.clone())).layer(slow);
    let serving = serving.await.unwrap();
    eventually("it is rung", async || rung.0.load(Ordering::SeqCst) == 1).await;
    serving.shutdown().await.unwrap();
    let state = stalled.inspect("till.requests").await.unwrap().unwrap();
    assert_eq!((state.waiting, rung.0.load(Ordering::SeqCst)), (0, 1));
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
