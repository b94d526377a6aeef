//! Commands whose handlers keep the record of what came of them.

use crate::{
    dead_letters::kept,
    faulty_store::{Faults, FaultyReplies},
};
use replybus::{
    Bus, CallId, Context, FailureKind, Never,
    message::{Message, Properties},
    queue_handler,
    server::Serving,
    transport::{
        Outgoing, QueueSpec, Source, Transport, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use replybus_testkit::wait::eventually;
use std::{
    collections::HashMap,
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

#[queue_handler("ledger.requests")]
trait Ledger {
    /// Posts once for each key.
    #[command(own_record)]
    async fn post(&self, key: String, amount: u32) -> Result<u32, String>;

    /// Panics half way.
    #[command(own_record)]
    async fn fail(&self) -> Result<(), Never>;
}

/// Keeps a record of its own, as a table with a unique key would.
#[derive(Clone)]
struct Books(Arc<Inner>);

struct Inner {
    records: Mutex<HashMap<String, (u32, u32)>>,
    attempts: Mutex<Vec<u32>>,
    ended: AtomicU32,
    gate: Semaphore,
}

impl Books {
    fn new(open: usize) -> Self {
        Self(Arc::new(Inner {
            records: Mutex::default(),
            attempts: Mutex::default(),
            ended: AtomicU32::new(0),
            gate: Semaphore::new(open),
        }))
    }

    fn runs(&self) -> usize {
        self.0.attempts.lock().unwrap().len()
    }
}

impl Ledger for Books {
    async fn post(&self, key: String, amount: u32) -> Result<u32, String> {
        let attempt = Context::current().attempt();
        self.0.attempts.lock().unwrap().push(attempt);
        self.0.gate.acquire().await.unwrap().forget();
        self.0.ended.fetch_add(1, Ordering::SeqCst);
        let mut records = self.0.records.lock().unwrap();
        let number = u32::try_from(records.len()).unwrap() + 1;
        match records.entry(key).or_insert((amount, number)) {
            (known, number) if *known == amount => Ok(*number),
            _ => Err("the key is of another amount".to_owned()),
        }
    }

    async fn fail(&self) -> Result<(), Never> {
        panic!("as it was told");
    }
}

struct World {
    broker: MemoryBroker,
    faults: Arc<Faults>,
    bus: Bus,
    transport: Arc<MemoryTransport>,
    books: Books,
    client: LedgerClient,
    serving: Serving,
}

impl World {
    async fn new(open: usize) -> Self {
        let broker = MemoryBroker::new();
        let faults = Arc::new(Faults::default());
        let transport = Arc::new(broker.connect());
        let bus = Bus::connect(Arc::clone(&transport), FaultyReplies::new(&faults));
        let (bus, books) = (bus.await.unwrap(), Books::new(open));
        let service = bus.serve(LedgerServer::new(books.clone()));
        Self {
            serving: service.drain_within(Duration::ZERO).await.unwrap(),
            client: LedgerClient::new(&bus),
            broker,
            faults,
            bus,
            transport,
            books,
        }
    }
}

#[tokio::test]
async fn no_claim_is_taken_and_the_handlers_record_answers() {
    let world = World::new(10).await;
    let post = |amount| world.client.post("k".to_owned(), amount);
    for _ in 0..3 {
        // A key of the bus is remembered by nobody.
        assert_eq!(post(1).idempotency_key("b").await.unwrap(), 1);
    }
    assert_eq!(world.books.runs(), 3);
    let conflict = post(2).await.unwrap_err().into_handler().unwrap();
    assert!(conflict.contains("another amount"), "{conflict}");
    assert_eq!(world.faults.claims.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn it_runs_to_its_end_whoever_stops_waiting() {
    let world = World::new(0).await;
    let call = world.client.post("k".to_owned(), 1);
    let error = call.timeout(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    assert!(error.may_have_executed());
    // Nor does the end of its worker end it.
    let stopping = tokio::spawn(world.serving.shutdown());
    tokio::task::yield_now().await;
    world.books.0.gate.add_permits(1);
    eventually("it ended", || async {
        world.books.0.ended.load(Ordering::SeqCst) == 1
    })
    .await;
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_panic_is_answered_and_kept() {
    let world = World::new(0).await;
    let error = world.client.fail().await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Panicked));
    assert!(error.may_have_executed());
    let transport: Arc<dyn Transport> = Arc::new(world.broker.connect());
    assert_eq!(kept(&transport, "ledger.requests").await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_delivered_again_runs_again_and_sees_that_it_does() {
    let world = World::new(10).await;
    world.serving.shutdown().await.unwrap();
    let message = Message {
        routing_key: "ledger.requests".into(),
        properties: Properties {
            message_id: Some(CallId::new().to_string().into()),
            kind: Some("post".into()),
            persistent: true,
            content_type: Some("application/json".into()),
            ..Properties::default()
        },
        body: r#"{"key":"k","amount":1}"#.into(),
        ..Message::default()
    };
    let source = Source::new(QueueSpec::new("ledger.requests"), 1);
    let mut first = world.transport.consume(source).await.unwrap();
    let mut receipt = world.transport.publish(Outgoing::new(message));
    assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    // In the hands of a worker that dies.
    drop(first.next().await.unwrap());
    first.stop().await;
    let _serving = world
        .bus
        .serve(LedgerServer::new(world.books.clone()))
        .await
        .unwrap();
    eventually("it runs", || async { world.books.runs() == 1 }).await;
    assert_eq!(*world.books.0.attempts.lock().unwrap(), [2]);
    let answered = world.client.post("k".to_owned(), 1).into_future().await;
    assert_eq!(answered.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_gave_back_is_not_said_to_be_undone() {
    let (bus, books) = (Bus::in_memory(), Books::new(0));
    let service = bus.serve(LedgerServer::new(books.clone()));
    let serving = service.drain_within(Duration::ZERO).await.unwrap();
    let call = LedgerClient::new(&bus).post("k".to_owned(), 1);
    let call = tokio::spawn(call.timeout(Duration::from_secs(60)).into_future());
    eventually("it runs", || async { books.runs() == 1 }).await;
    serving.shutdown().await.unwrap();
    let failure = call.await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::NoConsumer));
    assert!(failure.may_have_executed());
}
