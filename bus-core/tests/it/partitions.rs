//! Contracts with partitions: the order of a key, whoever has its partition.

use replybus::{
    Bus, FailureKind, Never, SetupError,
    client::ServiceClient,
    contract::{MethodContract, MethodKind, RetryPolicy, ServiceContract},
    queue_handler,
    reply::memory::MemoryReplies,
    server::{AnswerFuture, Payload, Service, Serving},
    transport::memory::{MemoryBroker, MemoryTransport},
};
use replybus_testkit::wait::eventually;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    future::IntoFuture,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// So many that each of three members has some.
const PARTITIONS: u16 = 32;
const QUEUE: &str = EntriesClient::CONTRACT.queue;

#[queue_handler("entries.requests", partitions = 32, timeout = "2m")]
pub(crate) trait Entries {
    /// Enters a number of a key.
    async fn enter(&self, #[key] key: String, number: u32) -> Result<(), String>;

    /// What was entered of a key.
    #[query]
    async fn entered(&self, #[key] key: String) -> Result<Vec<u32>, Never>;

    /// Enters a number when the gate is open.
    #[query]
    async fn wait(&self, #[key] key: String, number: u32) -> Result<(), Never>;

    /// Fails, and is run again, until its third run.
    #[command(retry(base = "100ms", max_delay = "200ms"))]
    async fn put_off(&self, #[key] key: String, number: u32) -> Result<(), String>;
}

/// What all members entered, and who.
#[derive(Default)]
struct Journal {
    entries: HashMap<String, Vec<u32>>,
    /// Keys that a handler is at.
    at: HashSet<String>,
    overlaps: u32,
    by: BTreeMap<&'static str, u32>,
}

#[derive(Clone)]
pub(crate) struct Member {
    name: &'static str,
    journal: Arc<Mutex<Journal>>,
    gate: watch::Receiver<bool>,
}

/// Members of one broker and store.
pub(crate) struct World {
    broker: MemoryBroker,
    replies: MemoryReplies,
    journal: Arc<Mutex<Journal>>,
    gate: watch::Sender<bool>,
}

/// A number whose handler panics, and one whose handler returns an error.
const PANICS: u32 = 1_000;
const FAILS: u32 = 1_001;

impl Member {
    /// Enters a number, and takes a moment for it.
    async fn enter_at(&self, key: &str, number: u32) {
        if !self.journal.lock().unwrap().at.insert(key.to_owned()) {
            self.journal.lock().unwrap().overlaps += 1;
        }
        sleep(Duration::from_millis(u64::from(number % 7))).await;
        let mut journal = self.journal.lock().unwrap();
        journal.at.remove(key);
        *journal.by.entry(self.name).or_default() += 1;
        journal
            .entries
            .entry(key.to_owned())
            .or_default()
            .push(number);
    }
}

impl Entries for Member {
    async fn enter(&self, key: String, number: u32) -> Result<(), String> {
        self.enter_at(&key, number).await;
        match number {
            PANICS => panic!("on purpose"),
            FAILS => Err("on purpose".to_owned()),
            _ => Ok(()),
        }
    }

    async fn entered(&self, key: String) -> Result<Vec<u32>, Never> {
        let journal = self.journal.lock().unwrap();
        Ok(journal.entries.get(&key).cloned().unwrap_or_default())
    }

    async fn wait(&self, key: String, number: u32) -> Result<(), Never> {
        self.gate.clone().wait_for(|open| *open).await.unwrap();
        self.enter_at(&key, number).await;
        Ok(())
    }

    async fn put_off(&self, key: String, number: u32) -> Result<(), String> {
        use replybus::{Context, RetryLater};
        self.enter_at(&key, number).await;
        if Context::current().attempt() < 3 {
            return Err("not yet".to_owned()).retry_later();
        }
        Ok(())
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            broker: MemoryBroker::new(),
            replies: MemoryReplies::new(),
            journal: Arc::default(),
            gate: watch::channel(false).0,
        }
    }

    pub(crate) async fn bus(&self) -> Bus {
        Bus::connect(self.broker.clone(), self.replies.clone())
            .await
            .unwrap()
    }

    pub(crate) fn transport(&self) -> MemoryTransport {
        self.broker.connect()
    }

    pub(crate) fn member(&self, name: &'static str) -> Member {
        Member {
            name,
            journal: Arc::clone(&self.journal),
            gate: self.gate.subscribe(),
        }
    }

    /// A member that serves, on a bus of its own.
    pub(crate) async fn serve(&self, name: &'static str) -> (Bus, Serving) {
        let bus = self.bus().await;
        let serving = bus
            .serve(EntriesServer::new(self.member(name)))
            .await
            .unwrap();
        (bus, serving)
    }

    /// Numbers from `from` on are entered for each of the keys.
    pub(crate) async fn send(
        &self,
        client: &EntriesClient,
        keys: u32,
        numbers: std::ops::Range<u32>,
    ) {
        for number in numbers {
            for key in 0..keys {
                client.enter(key.to_string(), number).send().await.unwrap();
            }
        }
    }

    pub(crate) fn count(&self) -> usize {
        let journal = self.journal.lock().unwrap();
        journal.entries.values().map(Vec::len).sum()
    }

    fn by(&self, name: &str) -> u32 {
        self.journal
            .lock()
            .unwrap()
            .by
            .get(name)
            .copied()
            .unwrap_or_default()
    }

    /// All that was entered is there, once and in order.
    pub(crate) async fn is_in_order(&self, keys: u32, numbers: u32) {
        let count = usize::try_from(keys * numbers).unwrap();
        eventually("all is entered", || async { self.count() >= count }).await;
        let journal = self.journal.lock().unwrap();
        assert_eq!(journal.overlaps, 0);
        for key in 0..keys {
            let entered = journal.entries.get(&key.to_string()).unwrap();
            assert!(entered.iter().copied().eq(0..numbers), "{key}: {entered:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_a_key_are_run_one_after_the_other_in_their_order() {
    let world = World::new();
    let (bus, _serving) = world.serve("one").await;
    world.send(&EntriesClient::new(&bus), 20, 0..30).await;
    world.is_in_order(20, 30).await;
}

#[tokio::test(start_paused = true)]
async fn parallel_callers_of_a_key_do_not_meet() {
    let world = World::new();
    let (bus, _serving) = world.serve("one").await;
    let client = EntriesClient::new(&bus);
    let calls = (0..200).map(|number| client.enter((number % 5).to_string(), number));
    for answer in replybus::join(calls).await {
        answer.unwrap();
    }
    assert_eq!(world.count(), 200);
    assert_eq!(world.journal.lock().unwrap().overlaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_busy_holds_up_no_other() {
    let world = World::new();
    let (bus, _serving) = world.serve("one").await;
    let client = EntriesClient::new(&bus);
    let busy = tokio::spawn(client.wait("busy".into(), 0).into_future());
    sleep(Duration::from_millis(1)).await;
    let behind = tokio::spawn(client.enter("busy".into(), 1).into_future());
    for key in 0..100 {
        client.enter(key.to_string(), 1).await.unwrap();
    }
    assert!(!busy.is_finished() && !behind.is_finished());
    world.gate.send_replace(true);
    busy.await.unwrap().unwrap();
    behind.await.unwrap().unwrap();
    assert_eq!(client.entered("busy".into()).await.unwrap(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_panics_or_comes_too_late_holds_up_nothing() {
    let world = World::new();
    let (bus, _serving) = world.serve("one").await;
    let client = EntriesClient::new(&bus);
    let key = || "key".to_owned();
    client.enter(key(), PANICS).send().await.unwrap();
    client.enter(key(), FAILS).send().await.unwrap();
    let blocks = tokio::spawn(client.wait(key(), 0).into_future());
    sleep(Duration::from_millis(1)).await;
    // Its time is over before its turn.
    let late = client.enter(key(), 17).timeout(Duration::from_millis(50));
    let late = late.await.unwrap_err();
    assert_eq!(late.kind(), Some(FailureKind::TimedOut));
    client.put_off(key(), 2).send().await.unwrap();
    let last = tokio::spawn(client.enter(key(), 3).into_future());
    sleep(Duration::from_millis(1)).await;
    world.gate.send_replace(true);
    blocks.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    let entered = client.entered(key()).await.unwrap();
    assert_eq!(entered, [PANICS, FAILS, 0, 2, 2, 2, 3]);

    let letters = bus.dead_letters(QUEUE).list(0..10).await.unwrap().letters;
    let reasons: Vec<_> = letters.iter().map(|letter| letter.reason()).collect();
    assert_eq!(reasons, ["panicked", "handler"]);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_put_back_takes_its_place_anew() {
    let world = World::new();
    let (bus, _serving) = world.serve("one").await;
    let client = EntriesClient::new(&bus);
    client.enter("key".into(), FAILS).send().await.unwrap();
    eventually("it is a letter", || async {
        let letters = bus.dead_letters(QUEUE).list(0..1).await.unwrap();
        letters.total == 1
    })
    .await;
    client.enter("key".into(), 1).await.unwrap();
    let put_back = bus.dead_letters(QUEUE).redrive(|_| true).may_run_twice();
    assert_eq!(put_back.await.unwrap().redriven, 1);
    eventually("it has come again", || async {
        let letters = bus.dead_letters(QUEUE).list(0..1).await.unwrap();
        letters.total == 1
    })
    .await;
    let entered = client.entered("key".into()).await.unwrap();
    assert_eq!(entered.first(), Some(&FAILS));
    assert_eq!(entered.get(1), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn members_that_come_and_go_hand_over_without_loss_or_disorder() {
    const KEYS: u32 = 100;
    let world = World::new();
    let caller = world.bus().await;
    let (_first_bus, first) = world.serve("first").await;
    let client = EntriesClient::new(&caller);
    world.send(&client, KEYS, 0..10).await;
    let (_second_bus, second) = world.serve("second").await;
    let (_third_bus, third) = world.serve("third").await;
    let mut next = 10;
    // Each has a part of them when some time has passed.
    while world.by("second") == 0 || world.by("third") == 0 {
        world.send(&client, KEYS, next..next + 1).await;
        sleep(Duration::from_millis(100)).await;
        next += 1;
    }
    first.shutdown().await.unwrap();
    world.send(&client, KEYS, next..next + 20).await;
    third.shutdown().await.unwrap();
    world.send(&client, KEYS, next + 20..next + 40).await;
    world.is_in_order(KEYS, next + 40).await;
    assert!(world.by("first") > 0);
    second.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_that_goes_ends_what_it_has_before_another_goes_on() {
    let world = World::new();
    let caller = world.bus().await;
    let (_first_bus, first) = world.serve("first").await;
    let client = EntriesClient::new(&caller);
    let running = tokio::spawn(client.wait("key".into(), 0).into_future());
    sleep(Duration::from_millis(1)).await;
    let behind = tokio::spawn(client.enter("key".into(), 1).into_future());
    sleep(Duration::from_millis(10)).await;
    let (_second_bus, second) = world.serve("second").await;
    let going = tokio::spawn(first.shutdown());
    sleep(Duration::from_secs(1)).await;
    assert!(!behind.is_finished() && !going.is_finished());
    world.gate.send_replace(true);
    running.await.unwrap().unwrap();
    behind.await.unwrap().unwrap();
    assert_eq!(going.await.unwrap().unwrap().given_back, 0);
    assert_eq!((world.by("first"), world.by("second")), (1, 1));
    assert_eq!(client.entered("key".into()).await.unwrap(), [0, 1]);
    second.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_bus_ends_is_followed_at_once() {
    let world = World::new();
    let caller = world.bus().await;
    let (first_bus, _first) = world.serve("first").await;
    let (_second_bus, _second) = world.serve("second").await;
    let client = EntriesClient::new(&caller);
    world.send(&client, 10, 0..10).await;
    first_bus.close(Duration::from_secs(30)).await;
    world.send(&client, 10, 10..20).await;
    world.is_in_order(10, 20).await;
}

static OTHERWISE: ServiceContract = ServiceContract::new(
    "Entries",
    QUEUE,
    &[MethodContract::new("entered", MethodKind::Query)],
)
.partitions(PARTITIONS * 2);

static WHOLE: ServiceContract = ServiceContract::new(
    "Entries",
    QUEUE,
    &[MethodContract::new("entered", MethodKind::Query)],
);

#[tokio::test(start_paused = true)]
async fn callers_that_divide_otherwise_are_refused() {
    let world = World::new();
    let (bus, _serving) = world.serve("one").await;
    let otherwise = ServiceClient::new(&bus, &OTHERWISE);
    let mut kinds = HashSet::new();
    for key in 0..20 {
        let key = key.to_string();
        let arguments = BTreeMap::from([("key", key.as_str())]);
        let call = otherwise.call_by_key::<_, Result<Vec<u32>, Never>, _>(0, &arguments, &key);
        let failure = call.await.unwrap_err();
        assert!(!failure.may_have_executed());
        kinds.insert(failure.kind().unwrap());
    }
    // Those of partitions that there are, and of others.
    assert_eq!(
        kinds,
        HashSet::from([FailureKind::BadRequest, FailureKind::Unroutable])
    );
    let whole = ServiceClient::new(&bus, &WHOLE);
    let call = whole.call::<_, Result<Vec<u32>, Never>>(0, &BTreeMap::from([("key", "a")]));
    assert_eq!(
        call.await.unwrap_err().kind(),
        Some(FailureKind::Unroutable)
    );
    let no_key = otherwise.call::<_, Result<Vec<u32>, Never>>(0, &BTreeMap::from([("key", "a")]));
    assert_eq!(no_key.await.unwrap_err().kind(), Some(FailureKind::NotSent));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_nobody_serves_is_told_at_once() {
    let world = World::new();
    let (bus, serving) = world.serve("one").await;
    serving.shutdown().await.unwrap();
    let failure = EntriesClient::new(&bus)
        .enter("key".into(), 1)
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::NoConsumer));
    assert!(!failure.may_have_executed());
    let (_bus, _serving) = world.serve("two").await;
    let entered = EntriesClient::new(&bus)
        .entered("key".into())
        .await
        .unwrap();
    assert_eq!(entered, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_contract_with_partitions_is_known_by_its_name_and_looked_at_by_its_queues() {
    let world = World::new();
    let (bus, _serving) = world.serve("one").await;
    let instances = bus.instances(QUEUE).await.unwrap();
    assert_eq!(instances.len(), 1);
    assert_eq!(instances[0].partitions, Some(PARTITIONS));
    assert_eq!(bus.control(QUEUE).ping().await.unwrap().len(), 1);
    assert_eq!(bus.inspect(QUEUE).await.unwrap(), None);
    let queues: Vec<_> = EntriesClient::CONTRACT.queues().collect();
    assert_eq!(queues.len(), usize::from(PARTITIONS));
    for queue in queues {
        assert_eq!(bus.inspect(&queue).await.unwrap().unwrap().consumers, 1);
    }
    assert!(bus.health().is_up());
}

struct Anything(&'static ServiceContract);

impl Service for Anything {
    fn contract(&self) -> &'static ServiceContract {
        self.0
    }

    fn dispatch(&self, _: usize, _: Payload) -> AnswerFuture {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_break_the_order_is_refused_when_it_is_served() {
    static JOB: ServiceContract = ServiceContract::new(
        "Jobs",
        "jobs.requests",
        &[MethodContract::new("run", MethodKind::Command).job(Duration::from_secs(60))],
    )
    .partitions(2);
    static PUT_OFF: ServiceContract = ServiceContract::new(
        "PutOff",
        "put_off.requests",
        &[MethodContract::new("run", MethodKind::Command).retry(RetryPolicy::new())],
    )
    .partitions(2);
    let world = World::new();
    let bus = world.bus().await;
    for contract in [&JOB, &PUT_OFF] {
        let refused = bus.serve(Anything(contract)).await.unwrap_err().to_string();
        assert!(refused.contains("partitions"), "{refused}");
    }
    // It was served as a whole: what comes to it has no order with the others.
    let serving = bus.serve(Anything(&WHOLE)).await.unwrap();
    serving.shutdown().await.unwrap();
    let refused = bus.serve(EntriesServer::new(world.member("one"))).await;
    assert!(
        matches!(refused, Err(SetupError::Topology { .. })),
        "{refused:?}"
    );
}
