//! Workers come and go under load, and no caller notices.

use super::{
    load::{Kind, Load},
    rig::{Rig, Settings, bounded, connect, eventually},
};
use replybus::contract::QueueType;
use replybus_testkit::servers::Persistence;
use std::time::Duration;

/// Longer than any call takes here, on a machine that does much else.
const WITHIN: Duration = Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let mut ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    let mut old = (ledger.worker.clone(), ledger.serving.take().unwrap());
    for _ in 0..4 {
        let bus = connect(&ledger.namespace, Settings::default(), &rig.servers()).await;
        let serving = ledger.serve_on(&bus, QueueType::Classic).await;
        load.flows().await;
        let (retired, its_serving) = std::mem::replace(&mut old, (bus, serving));
        let drained = its_serving.shutdown().await.unwrap();
        assert_eq!(drained.given_back, 0);
        retired.close(Duration::from_secs(10)).await;
        load.flows().await;
    }
    let account = load.stop().await;
    account.all_went_well();
    eventually("what was sent is done", || async {
        let mut commands = account.0.iter().filter(|one| one.kind != Kind::Query);
        commands.all(|one| !ledger.journal.page(&one.name).done.is_empty())
    })
    .await;
    account.is_true_of(&ledger.journal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_another_worker_calls_wait_in_the_queue() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let mut ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, WITHIN);
    for _ in 0..4 {
        load.flows().await;
        let serving = ledger.serving.take().unwrap();
        assert_eq!(serving.shutdown().await.unwrap().given_back, 0);
        let serving = ledger.serve_on(&ledger.worker, QueueType::Classic).await;
        ledger.serving = Some(serving);
    }
    load.flows().await;
    let account = load.stop().await;
    account.all_went_well();
    eventually("what was sent is done", || async {
        let mut commands = account.0.iter().filter(|one| one.kind != Kind::Query);
        commands.all(|one| !ledger.journal.page(&one.name).done.is_empty())
    })
    .await;
    account.is_true_of(&ledger.journal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_hang_keep_no_program_from_ending() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let mut ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, Duration::from_secs(5));
    load.flows().await;
    rig.rabbit.freeze();
    rig.redis.freeze();
    let serving = ledger.serving.take().unwrap();
    bounded(async {
        serving.shutdown().await.unwrap();
        ledger.worker.close(Duration::from_secs(1)).await;
        ledger.caller.close(Duration::from_secs(1)).await;
    })
    .await;
    load.stop().await;
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}
