//! Redis dies, with and without its data, and freezes.

use super::{
    load::{Kind, Load, call_twice},
    rig::{Rig, Settings, connect, eventually},
};
use replybus::{contract::QueueType, limits::CLAIM_LEASE};
use replybus_testkit::servers::Persistence;
use std::time::Duration;
use tokio::{task::JoinSet, time::sleep};

const WITHIN: Duration = Duration::from_secs(10);

/// Longer than anything takes while the store is there, on a machine that does much else.
const PATIENT: Duration = Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_with_its_data() {
    killed_and_restarted(Persistence::AppendOnly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_without_its_data() {
    killed_and_restarted(Persistence::None).await;
}

async fn killed_and_restarted(persistence: Persistence) {
    let Some(mut rig) = Rig::start(persistence).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, WITHIN);
    for _ in 0..3 {
        load.flows().await;
        rig.redis.kill();
        sleep(Duration::from_secs(1)).await;
        rig.redis.restart().await.unwrap();
        load.flows().await;
    }
    let mut account = load.stop().await;
    rig.drained().await;
    if persistence == Persistence::None {
        // That a key was used is forgotten with the rest: its second call can be run like a first.
        account.0.retain(|one| one.kind != Kind::KeyedCommand);
    }
    account.is_true_of(&ledger.journal);
    ledger.comes_up().await;
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_for_three_seconds() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, PATIENT);
    load.flows().await;
    rig.redis.freeze();
    sleep(Duration::from_secs(3)).await;
    rig.redis.thaw();
    load.flows().await;
    let account = load.stop().await;
    account.all_went_well();
    rig.drained().await;
    account.is_true_of(&ledger.journal);
}

/// All leases are over when the server goes on, and whoever asks first would run what is still
/// running: of each two calls one is in its handler, in one of two workers, and the other asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_for_longer_than_a_lease() {
    const COMMANDS: usize = 16;
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let second = connect(&ledger.namespace, Settings::default(), &rig.servers()).await;
    let _serving = ledger.serve_on(&second, QueueType::Classic).await;
    ledger.gate.close();
    let mut called = JoinSet::new();
    for _ in 0..COMMANDS {
        let client = ledger.client.clone();
        called.spawn(async move { call_twice(&client, PATIENT).await });
    }
    eventually("one of each two is in its handler", || async {
        ledger.journal.begun() == COMMANDS
    })
    .await;
    for _ in 0..2 {
        rig.redis.freeze();
        sleep(CLAIM_LEASE + CLAIM_LEASE / 2).await;
        rig.redis.thaw();
        sleep(CLAIM_LEASE / 2).await;
    }
    ledger.gate.open();
    for [one, other] in called.join_all().await {
        assert_eq!((one.outcome, other.outcome), (Ok(Some(1)), Ok(Some(1))));
        let page = ledger.journal.page(&one.name);
        assert_eq!((page.began, page.done), (1, vec![1]));
    }
}
