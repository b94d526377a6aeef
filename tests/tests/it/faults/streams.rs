//! Streams of items, while servers and connections break: every item comes once, in its place.

use super::{
    rig::{Rig, Settings, bounded, connect, eventually},
    workers::{served, worker},
};
use futures_util::{StreamExt, stream};
use replybus::{
    FailureKind, Never, queue_handler,
    stream::{Items, Streaming},
};
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    servers::Persistence,
};
use replybus_tests::ledger::LedgerClient;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A number, and a text that makes it as large as it is to be.
type Numbered = (u64, String);

#[queue_handler("numbers.requests", timeout = "30s")]
trait Numbers {
    /// The numbers below `end`, and so many bytes with each.
    #[stream]
    async fn count(&self, end: u64, bytes: u64) -> Result<Items<Numbered, Never>, Never>;

    /// The same, and then nothing.
    #[stream]
    async fn watch(&self, end: u64) -> Result<Items<Numbered, Never>, Never>;
}

#[derive(Clone, Default)]
struct Counter {
    taken: Arc<AtomicU64>,
    ended: Arc<AtomicU64>,
}

struct Ended(Arc<AtomicU64>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counter {
    fn numbers(
        &self,
        end: u64,
        bytes: u64,
    ) -> impl stream::Stream<Item = Result<Numbered, Never>> + use<> {
        let (taken, ended) = (self.taken.clone(), Ended(self.ended.clone()));
        let text = "x".repeat(usize::try_from(bytes).unwrap());
        stream::iter(0..end).map(move |number| {
            let _ = &ended;
            taken.fetch_add(1, Ordering::SeqCst);
            Ok((number, text.clone()))
        })
    }
}

impl Numbers for Counter {
    async fn count(&self, end: u64, bytes: u64) -> Result<Items<Numbered, Never>, Never> {
        Ok(Items::new(self.numbers(end, bytes)))
    }

    async fn watch(&self, end: u64) -> Result<Items<Numbered, Never>, Never> {
        Ok(Items::new(self.numbers(end, 0).chain(stream::pending())))
    }
}

type Read = Streaming<Numbered, Never>;

async fn read(numbers: &mut Read, range: std::ops::Range<u64>) {
    for expected in range {
        let (number, _) = bounded(numbers.next()).await.unwrap().unwrap();
        assert_eq!(number, expected);
    }
}

const STEP: u64 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_come_once_and_in_order_through_every_fault() {
    for persistence in [Persistence::AppendOnly, Persistence::None] {
        let Some(mut rig) = Rig::start(persistence).await else {
            return;
        };
        let servers = [rig.rabbit.address(), rig.redis.address()].repeat(2);
        let mut links = Vec::new();
        for server in servers {
            links.push(Proxy::to(server).await.unwrap());
        }
        let bus = async |side: usize| {
            let servers = (
                format!("amqp://guest:guest@{}/%2f", links[side * 2].addr()),
                format!("redis://{}/0", links[side * 2 + 1].addr()),
            );
            connect("streams", Settings::quick(), &servers).await
        };
        let (caller, worker) = (bus(0).await, bus(1).await);
        let counter = Counter::default();
        let serving = worker
            .serve(NumbersServer::new(counter.clone()))
            .await
            .unwrap();
        let client = NumbersClient::new(&caller);
        let steps = 2 * links.len() as u64 + 3;
        let mut numbers = client.count(steps * STEP, 100).await.unwrap();
        let mut from = 0;
        let mut next = async || {
            read(&mut numbers, from..from + STEP).await;
            from += STEP;
        };
        next().await;
        for link in &links {
            // In the middle of what is on its way, and for a moment.
            link.set(Mode::Cut);
            next().await;
            link.set(Mode::Refuse);
            tokio::time::sleep(Duration::from_millis(300)).await;
            link.set(Mode::Pass);
            next().await;
        }
        rig.redis.restart().await.unwrap();
        next().await;
        rig.rabbit.restart().await.unwrap();
        next().await;
        assert!(bounded(numbers.next()).await.is_none());
        assert_eq!(counter.taken.load(Ordering::SeqCst), steps * STEP);
        eventually("the handler's stream is dropped", || async {
            counter.ended.load(Ordering::SeqCst) == 1
        })
        .await;
        serving.shutdown().await.unwrap();
        caller.close(Duration::from_secs(5)).await;
        worker.close(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_bounds_what_is_kept_of_its_stream() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("streams");
    let servers = rig.servers();
    let caller = connect(&namespace, Settings::quick(), &servers).await;
    let worker = connect(&namespace, Settings::quick(), &servers).await;
    let counter = Counter::default();
    let _serving = worker
        .serve(NumbersServer::new(counter.clone()))
        .await
        .unwrap();
    let client = NumbersClient::new(&caller);
    let mut numbers = client.count(1_000_000, 1_000).await.unwrap();
    read(&mut numbers, 0..1).await;
    // The producer is held up within its window: 1 MiB of 1,000 bytes each.
    let mut before = 0;
    eventually("it stands still", || {
        let taken = counter.taken.load(Ordering::SeqCst);
        let is_still = taken > 0 && taken == before;
        before = taken;
        async move {
            tokio::time::sleep(Duration::from_millis(200)).await;
            is_still
        }
    })
    .await;
    assert!(before <= 1_100, "{before}");
    read(&mut numbers, 1..5_000).await;
    drop(numbers);
    eventually("the handler's stream is dropped", || async {
        counter.ended.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_whose_worker_is_gone_is_told() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("streams");
    let servers = rig.servers();
    let caller = connect(&namespace, Settings::quick(), &servers).await;
    // Its connections break off and never come back: what a killed process looks like.
    let mut links = Vec::new();
    for server in [rig.rabbit.address(), rig.redis.address()] {
        links.push(Proxy::to(server).await.unwrap());
    }
    let away = (
        format!("amqp://guest:guest@{}/%2f", links[0].addr()),
        format!("redis://{}/0", links[1].addr()),
    );
    let worker = connect(&namespace, Settings::quick(), &away).await;
    let counter = Counter::default();
    let _serving = worker
        .serve(NumbersServer::new(counter.clone()))
        .await
        .unwrap();
    let client = NumbersClient::new(&caller);
    let mut numbers = client.watch(10).await.unwrap();
    read(&mut numbers, 0..10).await;
    for link in &links {
        link.set(Mode::Refuse);
    }
    let error = bounded(numbers.next()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Interrupted), "{error}");
    // And a producer gives up a reader that it does not hear.
    eventually("the handler's stream is dropped", || async {
        counter.ended.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_worker_is_killed_is_read_on_from_another() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("streams");
    let bus = connect(&namespace, Settings::quick(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut next = 0;
    for _ in 0..2 {
        let mut worker = worker(rig, &namespace, "open");
        served(&client, &mut worker).await;
        let mut numbers = client.count(next).await.unwrap();
        for _ in 0..100_000 {
            assert_eq!(bounded(numbers.next()).await.unwrap().unwrap(), next);
            next += 1;
        }
        worker.kill();
        // What has arrived is read, and then the end.
        let error = loop {
            match bounded(numbers.next()).await.unwrap() {
                Ok(number) => assert_eq!(number, next),
                Err(error) => break error,
            }
            next += 1;
        };
        assert_eq!(error.kind(), Some(FailureKind::Interrupted), "{error}");
    }
}
