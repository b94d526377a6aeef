//! The network is slow: every byte comes late, or few at a time, in pieces that are cut anywhere.
//! Nothing is lost, nothing fails, and no connection is taken for dead.

use super::{
    load::Load,
    rig::{Ledger, Rig, Settings, bounded, eventually},
};
use replybus::{Event, server::Serving};
use replybus_testkit::proxy::{Mode, Proxy};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// Longer than any call takes here, on a machine that does much else.
const WITHIN: Duration = Duration::from_secs(100);

/// A way around the world.
const LATE: Mode = Mode::Latency(Duration::from_millis(200));

/// Some 50 KB/s in each direction: a message comes in several pieces, and what is behind it waits.
const TRICKLE: Mode = Mode::Pieces {
    bytes: 100,
    pause: Duration::from_millis(1),
};

/// Frames and numbers are cut in their middle.
const CUT: Mode = Mode::Pieces {
    bytes: 7,
    pause: Duration::ZERO,
};

const EVENTS: u32 = 50;
const ITEMS: u64 = 300;

#[derive(Debug, Event, Serialize, Deserialize)]
#[event("page.turned", exchange = "test.pages")]
struct PageTurned {
    page: u32,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_loses_nothing_and_is_not_taken_for_a_dead_one() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let mut links = Vec::new();
    for server in [rig.rabbit.address(), rig.redis.address()].repeat(2) {
        links.push(Proxy::to(server).await.unwrap());
    }
    let through = |side: usize| {
        (
            format!("amqp://guest:guest@{}/%2f", links[side * 2].addr()),
            format!("redis://{}/0", links[side * 2 + 1].addr()),
        )
    };
    // A heartbeat each second: a connection that is silent for two is dead.
    let ledger = Ledger::open(Settings::quick(), through(0), through(1)).await;
    let turned = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let _subscribed = subscribe(&ledger, &turned).await;
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;

    // To Redis another one is made when an answer takes longer than its time, which does no harm.
    let connections = || [&links[0], &links[2]].map(Proxy::accepted);
    let made = connections();
    for (round, mode) in (0..).zip([LATE, TRICKLE, CUT]) {
        links.iter().for_each(|link| link.set(mode));
        let events = round * EVENTS..(round + 1) * EVENTS;
        let emitted = async {
            for page in events {
                ledger.caller.emit(&PageTurned { page }).await.unwrap();
            }
        };
        let read = async {
            let mut numbers = ledger.client.count(0).await.unwrap();
            for expected in 0..ITEMS {
                assert_eq!(numbers.next().await.unwrap(), Ok(expected));
            }
        };
        bounded(async { tokio::join!(emitted, read, load.flows()) }).await;
    }
    assert_eq!(connections(), made, "a connection was taken for a dead one");

    links.iter().for_each(|link| link.set(Mode::Pass));
    let account = load.stop().await;
    account.all_went_well();
    account.are_done(&ledger.journal).await;
    account.is_true_of(&ledger.journal);
    eventually("each event is handled", || async {
        turned.lock().unwrap().len() == 3 * EVENTS as usize
    })
    .await;
    assert!(turned.lock().unwrap().values().all(|times| *times == 1));
}

/// Counts the events that the worker is given.
async fn subscribe(ledger: &Ledger, turned: &Arc<Mutex<BTreeMap<u32, u32>>>) -> Serving {
    let turned = Arc::clone(turned);
    let count = move |event: PageTurned| {
        *turned.lock().unwrap().entry(event.page).or_default() += 1;
        std::future::ready(())
    };
    ledger.worker.subscribe("readers", count).await.unwrap()
}
