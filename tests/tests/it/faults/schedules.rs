//! Schedules, while workers, servers and connections die: each tick is run, and by one of them.

use super::{
    rig::{Rig, Settings, connect, eventually},
    workers::{journal, worker_with},
};
use replybus::{
    Bus,
    schedule::{Missed, Scheduled, Tick},
};
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    servers::Persistence,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const EVERY_SECOND: &str = "* * * * * *";

/// How often each tick was run, by the seconds since the Unix epoch.
type Ran = BTreeMap<u64, u32>;

#[derive(Clone, Default)]
struct Book(Arc<Mutex<Ran>>);

impl Book {
    fn ran(&self) -> Ran {
        self.0.lock().unwrap().clone()
    }

    async fn has(&self, count: usize) -> Ran {
        eventually("ticks are run", || async { self.ran().len() >= count }).await;
        self.ran()
    }

    /// Of those that nobody was there for, all are run.
    async fn run_on(&self, bus: &Bus) -> Scheduled {
        let ran = Arc::clone(&self.0);
        let run = move |tick: Tick| {
            let second = tick.at().duration_since(UNIX_EPOCH).unwrap().as_secs();
            *ran.lock().unwrap().entry(second).or_default() += 1;
            async {}
        };
        let scheduled = bus.schedule("ticks", EVERY_SECOND, run);
        scheduled
            .missed(Missed::All { at_most: 1000 })
            .await
            .unwrap()
    }
}

/// Waits until every tick is run from the first to the last that was begun by now. One may be behind
/// others: whoever had it was lost, and its lease has to end.
async fn whole(read: impl Fn() -> Ran) -> Ran {
    let last = *read().keys().next_back().unwrap();
    let missing = || {
        let ran = read();
        let first = *ran.keys().next().unwrap();
        (first..=last).find(|second| !ran.contains_key(second))
    };
    eventually("no tick is missing", || async { missing().is_none() }).await;
    read()
}

/// Each is run once, but for so many runs.
fn assert_once(ran: &Ran, again: u32) {
    let twice: u32 = ran.values().map(|runs| runs - 1).sum();
    assert!(twice <= again, "{ran:?}");
}

/// Two programs of three are killed, over and over, wherever they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_killed_take_no_tick_with_them() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("schedules");
    let start = || worker_with(rig, &namespace, &[("SCHEDULE", EVERY_SECOND)]);
    let mut workers: Vec<_> = (0..3).map(|_| start()).collect();
    let read = |workers: &[_]| -> Ran {
        let journal = journal(workers);
        let names = journal.names().into_iter();
        let pages = names.filter_map(|name| {
            let second = name.strip_prefix("ticks/")?.parse().unwrap();
            Some((second, journal.page(&name).done.len().try_into().unwrap()))
        });
        pages.collect()
    };
    eventually("ticks are run", || async { !read(&workers).is_empty() }).await;
    let mut killed = 0;
    for round in 0..8 {
        workers[round].kill();
        killed += 1;
        workers.push(start());
        sleep(SECOND * 3 / 2).await;
    }
    let count = read(&workers).len();
    eventually("ticks go on", || async {
        read(&workers).len() >= count + 5
    })
    .await;
    assert_once(&whole(|| read(&workers)).await, killed);
}

/// With the next tick on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_takes_no_tick_with_it() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let namespace = unique("schedules");
    let bus = connect(&namespace, Settings::quick(), &rig.servers()).await;
    let book = Book::default();
    let _scheduled = book.run_on(&bus).await;
    let ran = book.has(3).await;
    rig.writes_down_its_queues().await;
    rig.rabbit.kill();
    rig.rabbit.restart().await.unwrap();
    book.has(ran.len() + 10).await;
    assert_once(&whole(|| book.ran()).await, 0);
}

/// Whoever ran it, and Redis, begin anew; the broker has the next tick.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_the_broker_remembers_which_tick_is_next() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let namespace = unique("schedules");
    let book = Book::default();
    for round in 1..4 {
        let buses = [
            connect(&namespace, Settings::default(), &rig.servers()).await,
            connect(&namespace, Settings::default(), &rig.servers()).await,
        ];
        let scheduled = [book.run_on(&buses[0]).await, book.run_on(&buses[1]).await];
        book.has(6 * round).await;
        // On a slow machine the ticks of the pause come all at once. Their second messages are
        // recognised by Redis, as long as it is there.
        eventually("second messages are taken", || async {
            let state = buses[0].inspect("schedule.ticks").await.unwrap();
            state.is_some_and(|state| state.waiting == 0)
        })
        .await;
        drop((scheduled, buses));
        rig.redis.kill();
        sleep(2 * SECOND).await;
        rig.redis.restart().await.unwrap();
    }
    // A tick that was run when Redis forgot it may have had a second message.
    assert_once(&whole(|| book.ran()).await, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_cut_take_no_tick_with_them() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("schedules");
    let proxy = Proxy::to(rig.rabbit.address()).await.unwrap();
    let amqp = format!("amqp://guest:guest@{}/%2f", proxy.addr());
    let servers = (amqp, rig.redis.url());
    let buses = [
        connect(&namespace, Settings::quick(), &servers).await,
        connect(&namespace, Settings::quick(), &servers).await,
    ];
    let book = Book::default();
    let _scheduled = [book.run_on(&buses[0]).await, book.run_on(&buses[1]).await];
    book.has(2).await;
    for _ in 0..6 {
        sleep(SECOND).await;
        proxy.set(Mode::Cut);
    }
    let ran = book.ran();
    book.has(ran.len() + 5).await;
    assert_once(&whole(|| book.ran()).await, 0);
}
