//! Members of a contract with partitions come, go and die, connections and servers fail: each call
//! is run, and the calls of a key in their order.

use super::rig::{Rig, Settings, bounded, connect, eventually, until};
use replybus::{Bus, server::Serving};
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    servers::{Persistence, Worker, Workplace},
};
use replybus_tests::sequence::{Page, Pages, SequenceClient, SequenceServer};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// So many that each member has some.
const KEYS: usize = 64;

/// The members of one contract, and where they write.
struct Stage {
    namespace: String,
    workplace: Workplace,
}

/// Callers, one for each key, who add one number after the other.
struct Callers {
    calls: JoinSet<u64>,
    stop: Arc<AtomicBool>,
    added: Arc<AtomicU64>,
}

impl Stage {
    fn new() -> Self {
        Self {
            namespace: unique("sequence"),
            workplace: Workplace::new("sequence").unwrap(),
        }
    }

    fn directory(&self) -> &Path {
        self.workplace.directory()
    }

    async fn bus(&self, servers: &(String, String)) -> Bus {
        connect(&self.namespace, Settings::quick(), servers).await
    }

    async fn member(&self, bus: &Bus, name: &str) -> Serving {
        let pages = Pages::of(name, self.directory());
        bus.serve(SequenceServer::new(pages)).await.unwrap()
    }

    /// A member in a process of its own.
    fn process(&self, rig: &Rig, name: &str) -> Worker {
        let (amqp, redis) = rig.servers();
        let settings = [
            ("AMQP_URL", amqp.as_str()),
            ("REDIS_URL", redis.as_str()),
            ("NAMESPACE", self.namespace.as_str()),
            ("NAME", name),
            ("DIRECTORY", self.directory().to_str().unwrap()),
        ];
        Worker::start(Path::new(env!("CARGO_BIN_EXE_sequence-worker")), &settings).unwrap()
    }

    fn pages(&self) -> Vec<(String, Page)> {
        let keys = (0..KEYS).map(|key| format!("key-{key}"));
        keys.map(|key| {
            let page = Page::read(self.directory(), &key).unwrap();
            (key, page)
        })
        .collect()
    }

    /// Waits until a member has begun something.
    async fn takes_part(&self, name: &str) {
        eventually("the member has a part", || async {
            let pages = self.pages();
            pages
                .iter()
                .any(|(_, page)| page.members.iter().any(|member| member == name))
        })
        .await;
    }

    /// Of each key all numbers are done, and began in order; `once` if none may have begun twice.
    async fn is_in_order(&self, callers: Callers, once: bool) {
        let added = callers.end().await;
        until("all is done", || async {
            let mut pages = self.pages().into_iter().zip(&added);
            let done = |page: &Page| page.done.last().map_or(0, |last| last + 1);
            match pages.find(|((_, page), added)| done(page) != **added) {
                None => Ok(()),
                Some(((key, page), added)) => Err(format!("{key}: {added} added, {:?}", page.done)),
            }
        })
        .await;
        for ((key, page), added) in self.pages().into_iter().zip(added) {
            let mut began = page.began.clone();
            assert!(began.is_sorted(), "{key}: {began:?}");
            if once {
                assert_eq!(page.overlaps, 0, "{key}");
                assert_eq!(began.len(), page.done.len(), "{key}");
            }
            let mut done = page.done.clone();
            for numbers in [&mut began, &mut done] {
                if !once {
                    numbers.dedup();
                }
                assert!(numbers.iter().copied().eq(0..added), "{key}: {numbers:?}");
            }
        }
    }
}

impl Callers {
    /// One for each key: of half of them each number is sent, of the others it is called.
    fn start(bus: &Bus) -> Self {
        let client = SequenceClient::new(bus);
        let (stop, added) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut calls = JoinSet::new();
        for key in 0..KEYS {
            let (client, stop, added) = (client.clone(), Arc::clone(&stop), Arc::clone(&added));
            calls.spawn(async move {
                let name = format!("key-{key}");
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    let call = || {
                        let call = client.add(name.clone(), number);
                        call.idempotency_key(format!("{name}-{number}"))
                    };
                    // Until it is known to be done, or kept: then it is the next one's turn. One
                    // that failed may have been done, so it is added in the end, too.
                    eventually("it is added", || async {
                        match key % 2 {
                            0 => call().send().await.is_ok(),
                            _ => call().wait_for_service().await.is_ok(),
                        }
                    })
                    .await;
                    number += 1;
                    added.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                // Its key is told by its place.
                (u64::try_from(key).unwrap() << 32) | number
            });
        }
        Self { calls, stop, added }
    }

    /// Waits until more was added, of which some will be of each member.
    async fn flow(&self) {
        let until = self.added.load(Ordering::Relaxed) + 10 * u64::try_from(KEYS).unwrap();
        eventually("more is added", || async {
            self.added.load(Ordering::Relaxed) >= until
        })
        .await;
    }

    /// Ends them, and returns how many numbers each has added.
    async fn end(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut ended = bounded(self.calls.join_all()).await;
        ended.sort_unstable();
        ended
            .iter()
            .map(|ended| ended & u64::from(u32::MAX))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let (stage, servers) = (Stage::new(), rig.servers());
    let caller = stage.bus(&servers).await;
    let buses = [
        stage.bus(&servers).await,
        stage.bus(&servers).await,
        stage.bus(&servers).await,
    ];
    let first = stage.member(&buses[0], "first").await;
    let callers = Callers::start(&caller);
    callers.flow().await;
    let second = stage.member(&buses[1], "second").await;
    let third = stage.member(&buses[2], "third").await;
    stage.takes_part("second").await;
    stage.takes_part("third").await;
    first.shutdown().await.unwrap();
    callers.flow().await;
    buses[1].close(Duration::from_secs(20)).await;
    drop(second);
    callers.flow().await;
    stage.is_in_order(callers, true).await;
    third.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_killed() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let stage = Stage::new();
    let caller = stage.bus(&rig.servers()).await;
    let mut first = stage.process(rig, "first");
    let mut second = stage.process(rig, "second");
    eventually("both serve", || async {
        caller.instances("sequence.requests").await.unwrap().len() == 2
    })
    .await;
    let callers = Callers::start(&caller);
    stage.takes_part("first").await;
    stage.takes_part("second").await;
    callers.flow().await;
    first.kill();
    callers.flow().await;
    callers.flow().await;
    assert!(second.is_running(), "{}", second.log_tail());
    let third = stage.process(rig, "third");
    stage.takes_part("third").await;
    stage.is_in_order(callers, false).await;
    drop(third);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_of_a_member_and_of_callers_are_cut() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let (stage, servers) = (Stage::new(), rig.servers());
    let consuming = Proxy::to(rig.rabbit.address()).await.unwrap();
    let publishing = Proxy::to(rig.rabbit.address()).await.unwrap();
    let through = |proxy: &Proxy| {
        let amqp = format!("amqp://guest:guest@{}/%2f", proxy.addr());
        (amqp, servers.1.clone())
    };
    let caller = stage.bus(&through(&publishing)).await;
    let one = stage.bus(&through(&consuming)).await;
    let other = stage.bus(&servers).await;
    let (first, second) = (
        stage.member(&one, "first").await,
        stage.member(&other, "second").await,
    );
    let callers = Callers::start(&caller);
    stage.takes_part("first").await;
    stage.takes_part("second").await;
    for _ in 0..3 {
        for proxy in [&consuming, &publishing] {
            proxy.set(Mode::Cut);
            callers.flow().await;
            proxy.set(Mode::Pass);
            callers.flow().await;
        }
    }
    stage.is_in_order(callers, true).await;
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_is_killed_and_restarted() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let (stage, servers) = (Stage::new(), rig.servers());
    let caller = stage.bus(&servers).await;
    let (one, other) = (stage.bus(&servers).await, stage.bus(&servers).await);
    let (first, second) = (
        stage.member(&one, "first").await,
        stage.member(&other, "second").await,
    );
    let callers = Callers::start(&caller);
    callers.flow().await;
    rig.rabbit.kill();
    rig.rabbit.restart().await.unwrap();
    callers.flow().await;
    stage.is_in_order(callers, true).await;
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_restarted_without_its_data() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let (stage, servers) = (Stage::new(), rig.servers());
    let caller = stage.bus(&servers).await;
    let (one, other) = (stage.bus(&servers).await, stage.bus(&servers).await);
    let (first, second) = (
        stage.member(&one, "first").await,
        stage.member(&other, "second").await,
    );
    let callers = Callers::start(&caller);
    callers.flow().await;
    rig.redis.kill();
    rig.redis.restart().await.unwrap();
    callers.flow().await;
    // A key that is used again finds no record: then a call is run a second time, in its place.
    stage.is_in_order(callers, false).await;
    first.shutdown().await.unwrap();
    second.shutdown().await.unwrap();
}
