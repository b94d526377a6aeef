//! Answers that are kept in Redis, when Redis or whoever computes one goes away.

use super::rig::{AT_MOST, Rig, Settings, bounded, connect, eventually};
use replybus::{
    Bus, Never,
    client::CacheStatus::{self, Bypassed, Hit, Miss},
    queue_handler,
    server::Serving,
};
use replybus_testkit::{live::unique, servers::Persistence};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::sync::watch;

#[queue_handler("counter.requests", timeout = "2m")]
trait Counter {
    #[query(cache = "1h", tags("count"))]
    async fn count(&self) -> Result<u32, Never>;

    #[invalidates("count")]
    async fn raise(&self) -> Result<u32, Never>;
}

/// Tells its count when the gate is open.
#[derive(Clone)]
struct Counting {
    count: Arc<AtomicU32>,
    asked: Arc<AtomicU32>,
    gate: watch::Receiver<bool>,
}

impl Counter for Counting {
    async fn count(&self) -> Result<u32, Never> {
        let count = self.count.load(Ordering::SeqCst);
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _ = self.gate.clone().wait_for(|is_open| *is_open).await;
        Ok(count)
    }

    async fn raise(&self) -> Result<u32, Never> {
        Ok(self.count.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

/// A service on a bus of its own, and two callers.
struct Town {
    namespace: String,
    callers: [Bus; 2],
    clients: [CounterClient; 2],
    counting: Counting,
    gate: watch::Sender<bool>,
    _serving: Serving,
}

impl Town {
    async fn open(rig: &Rig) -> Self {
        let namespace = unique("cache");
        let bus = async || connect(&namespace, Settings::quick(), &rig.servers()).await;
        let (gate, opened) = watch::channel(true);
        let counting = Counting {
            count: Arc::default(),
            asked: Arc::default(),
            gate: opened,
        };
        let serving = bus()
            .await
            .serve(CounterServer::new(counting.clone()))
            .await;
        let callers = [bus().await, bus().await];
        Self {
            clients: [0, 1].map(|caller| CounterClient::new(&callers[caller])),
            callers,
            counting,
            gate,
            _serving: serving.unwrap(),
            namespace,
        }
    }

    async fn told(&self, caller: usize) -> (u32, CacheStatus) {
        told(&self.clients[caller]).await
    }

    async fn is_asked(&self, times: u32) {
        eventually("the service is asked", || async {
            self.counting.asked.load(Ordering::SeqCst) == times
        })
        .await;
    }
}

async fn told(client: &CounterClient) -> (u32, CacheStatus) {
    let (count, status) = bounded(client.count().with_cache_status()).await.unwrap();
    (count, status.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_answers_and_see_what_each_other_changes() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let town = Town::open(rig).await;
    assert_eq!(town.told(0).await, (0, Miss));
    assert_eq!(town.told(1).await, (0, Hit));
    for round in 1..=20 {
        let [one, other] = &town.clients;
        let raised = if round % 2 == 0 { one } else { other };
        assert_eq!(raised.raise().await.unwrap(), round);
        assert_eq!(town.told(0).await, (round, Miss));
        assert_eq!(town.told(1).await, (round, Hit));
    }
    // An answer that was overtaken.
    let [one, other] = &town.clients;
    town.gate.send_replace(false);
    let asked = town.counting.asked.load(Ordering::SeqCst);
    one.raise().await.unwrap();
    let early = tokio::spawn(one.count().into_future());
    town.is_asked(asked + 1).await;
    other.raise().await.unwrap();
    let late = tokio::spawn(other.count().into_future());
    town.gate.send_replace(true);
    assert_eq!(bounded(early).await.unwrap().unwrap(), 21);
    assert_eq!(bounded(late).await.unwrap().unwrap(), 22);
    assert_eq!(town.told(0).await, (22, Hit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_go_on_when_the_process_that_computes_is_killed() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let town = Town::open(rig).await;
    town.gate.send_replace(false);
    let (namespace, servers) = (town.namespace.clone(), rig.servers());
    // A process of its own as far as others can tell: its runtime stops, and nothing is tidied up.
    let doomed = tokio::runtime::Runtime::new().unwrap();
    doomed.spawn(async move {
        let bus = connect(&namespace, Settings::quick(), &servers).await;
        CounterClient::new(&bus).count().await
    });
    town.is_asked(1).await;
    let waits = tokio::spawn(town.clients[0].count().into_future());
    doomed.shutdown_background();
    town.is_asked(2).await;
    town.gate.send_replace(true);
    assert_eq!(bounded(waits).await.unwrap().unwrap(), 0);
    assert_eq!(town.told(1).await, (0, Hit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_go_on_without_the_cache_while_redis_is_frozen() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let town = Town::open(&rig).await;
    assert_eq!(town.told(0).await, (0, Miss));
    rig.redis.freeze();
    let client = town.clients[0].clone();
    let asked = tokio::spawn(async move { told(&client).await });
    // It does not wait for Redis before it asks the service, whose answer does.
    town.is_asked(2).await;
    rig.redis.thaw();
    assert_eq!(bounded(asked).await.unwrap(), (0, Bypassed));
    eventually("answers are looked for again", || async {
        town.told(0).await == (0, Hit)
    })
    .await;

    // A server that comes back without its data has no answers, old or new.
    rig.redis.kill();
    let raised = tokio::spawn(town.clients[1].raise().timeout(AT_MOST).into_future());
    rig.redis.restart().await.unwrap();
    assert_eq!(bounded(raised).await.unwrap().unwrap(), 1);
    eventually("the answer is kept again", || async {
        let (count, status) = town.told(0).await;
        assert_eq!(count, 1);
        status == Hit
    })
    .await;
    assert!(
        town.callers
            .iter()
            .all(|bus| bus.health().calls_waiting == 0)
    );
}
