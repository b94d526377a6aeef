//! Streams of arguments, while servers, connections and processes break: every item is read once, in
//! its place, and by nobody who did not read all before it.

use super::{
    rig::{Rig, Settings, bounded, connect, eventually},
    workers::{journal, served, worker},
};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use replybus::{FailureKind, queue_handler, stream::Items};
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    servers::Persistence,
};
use replybus_tests::ledger::LedgerClient;
use std::{
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// A number, and a text that makes it as large as it is to be.
type Numbered = (u64, String);

#[queue_handler("sums.requests", timeout = "10m")]
trait Sums {
    #[query]
    async fn count(&self, #[stream] numbers: Items<Numbered>) -> Result<u64, String>;

    /// The same, under a claim.
    async fn count_once(&self, #[stream] numbers: Items<Numbered>) -> Result<u64, String>;
}

/// Counts the numbers that were read, and the calls that were begun.
#[derive(Clone, Default)]
struct Counter {
    read: Arc<AtomicU64>,
    begun: Arc<AtomicU64>,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Sums for Counter {
    async fn count(&self, mut numbers: Items<Numbered>) -> Result<u64, String> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut next = 0;
        while let Some(number) = numbers.next().await {
            let number = number.map_err(|failure| {
                let failure = failure.to_string();
                self.failed.lock().unwrap().push(failure.clone());
                failure
            });
            assert_eq!(number?.0, next);
            next += 1;
            self.read.store(next, Ordering::SeqCst);
        }
        Ok(next)
    }

    async fn count_once(&self, numbers: Items<Numbered>) -> Result<u64, String> {
        self.count(numbers).await
    }
}

impl Counter {
    async fn reads(&self, count: u64) {
        eventually("all are read", || async {
            assert_eq!(*self.failed.lock().unwrap(), [""; 0]);
            self.read.load(Ordering::SeqCst) == count
        })
        .await;
    }
}

/// Numbers, as far as they are let.
fn numbers(let_to: watch::Receiver<u64>, bytes: usize) -> impl Stream<Item = Numbered> + Send {
    let text = "x".repeat(bytes);
    let next = stream::unfold((0, let_to), move |(next, mut let_to)| {
        let text = text.clone();
        async move {
            // An error is the end.
            let_to.wait_for(|end| next < *end).await.ok()?;
            Some(((next, text), (next + 1, let_to)))
        }
    });
    next.boxed()
}

const STEP: u64 = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_are_read_once_and_in_order_through_every_fault() {
    for (persistence, once) in [(Persistence::AppendOnly, false), (Persistence::None, true)] {
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
            connect("feeds", Settings::quick(), &servers).await
        };
        let (caller, worker) = (bus(0).await, bus(1).await);
        let counter = Counter::default();
        let serving = worker.serve(SumsServer::new(counter.clone()));
        let serving = serving.await.unwrap();
        let client = SumsClient::new(&caller);
        let (go, let_to) = watch::channel(0);
        let numbers = numbers(let_to, 100);
        let call = match once {
            false => client.count(numbers).into_future(),
            true => client.count_once(numbers).into_future(),
        };
        // Told before what it did to its handler.
        let call = tokio::spawn(call.inspect(|outcome| {
            assert!(outcome.is_ok(), "{outcome:?}");
        }));
        let mut end = 0;
        let mut begin = || {
            end += STEP;
            go.send_replace(end);
            end
        };
        counter.reads(begin()).await;
        for (number, link) in links.iter().enumerate() {
            // In the middle of what is on its way, and for a moment. Those to the broker for a moment
            // only: a call that is delivered too often without an end is given up.
            if number % 2 == 1 {
                let end = begin();
                link.set(Mode::Cut);
                counter.reads(end).await;
            }
            link.set(Mode::Refuse);
            let end = begin();
            tokio::time::sleep(Duration::from_millis(300)).await;
            link.set(Mode::Pass);
            counter.reads(end).await;
        }
        let end = begin();
        rig.redis.restart().await.unwrap();
        counter.reads(end).await;
        let end = begin();
        rig.rabbit.restart().await.unwrap();
        counter.reads(end).await;
        drop(go);
        assert_eq!(bounded(call).await.unwrap(), Ok(end));
        assert_eq!(counter.begun.load(Ordering::SeqCst), 1);
        serving.shutdown().await.unwrap();
        caller.close(Duration::from_secs(5)).await;
        worker.close(Duration::from_secs(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_whose_caller_is_gone_is_told() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("feeds");
    // Its connections break off and never come back: what a killed process looks like.
    let mut links = Vec::new();
    for server in [rig.rabbit.address(), rig.redis.address()] {
        links.push(Proxy::to(server).await.unwrap());
    }
    let away = (
        format!("amqp://guest:guest@{}/%2f", links[0].addr()),
        format!("redis://{}/0", links[1].addr()),
    );
    let caller = connect(&namespace, Settings::quick(), &away).await;
    let worker = connect(&namespace, Settings::quick(), &rig.servers()).await;
    let counter = Counter::default();
    let _serving = worker
        .serve(SumsServer::new(counter.clone()))
        .await
        .unwrap();
    let (_go, let_to) = watch::channel(10);
    let client = SumsClient::new(&caller);
    let call = tokio::spawn(client.count(numbers(let_to, 1)).into_future());
    counter.reads(10).await;
    for link in &links {
        link.set(Mode::Refuse);
    }
    eventually("its stream fails", || async {
        counter.failed.lock().unwrap().len() == 1
    })
    .await;
    call.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_dropped_ends_its_handlers_stream_at_once() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("feeds");
    let servers = rig.servers();
    let caller = connect(&namespace, Settings::quick(), &servers).await;
    let worker = connect(&namespace, Settings::quick(), &servers).await;
    let counter = Counter::default();
    let _serving = worker
        .serve(SumsServer::new(counter.clone()))
        .await
        .unwrap();
    let (_go, let_to) = watch::channel(10);
    let client = SumsClient::new(&caller);
    let call = tokio::spawn(client.count(numbers(let_to, 1)).into_future());
    counter.reads(10).await;
    call.abort();
    eventually("its stream fails", || async {
        counter.failed.lock().unwrap().len() == 1
    })
    .await;
}

/// No other worker begins it anew on what is left of the stream; called again, it is run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_worker_is_killed_in_the_middle_fails_and_is_not_begun_anew() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("feeds");
    let bus = connect(&namespace, Settings::quick(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut first = worker(rig, &namespace, "open");
    served(&client, &mut first).await;
    for key in [None, Some("one")] {
        let name = key.unwrap_or("none");
        let taken = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&taken);
        let endless = stream::iter(0..).inspect(move |_| {
            counts.fetch_add(1, Ordering::SeqCst);
        });
        let call = |numbers: stream::BoxStream<'static, u64>| {
            let call = client.take(name.to_owned(), numbers);
            match key {
                Some(key) => call.idempotency_key(key),
                None => call,
            }
        };
        let fed = tokio::spawn(call(endless.boxed()).into_future());
        eventually("it is in the middle", || async {
            taken.load(Ordering::SeqCst) > 200_000
        })
        .await;
        let mut second = worker(rig, &namespace, "open");
        first.kill();
        let error = bounded(fed).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Some(FailureKind::Interrupted), "{error}");
        assert!(error.may_have_executed());
        served(&client, &mut second).await;
        assert_eq!(journal([&first]).page(name).began, 1);
        assert_eq!(journal([&second]).page(name).began, 0);
        // With all of it again: of a key it is the second run of one command.
        let again = bounded(call(stream::iter(0..3).boxed()).into_future()).await;
        assert_eq!(again, Ok(3));
        let attempt = if key.is_some() { 2 } else { 1 };
        assert_eq!(journal([&second]).page(name).done, [attempt]);
        first = second;
    }
}
