//! Workers come and go under load, and no caller notices.

use crate::{
    load::{Kind, Load},
    rig::{Rig, Settings, connect, eventually},
};
use replybus_tests::ledger::LedgerServer;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let mut ledger = rig.ledger(Settings::default()).await;
    let servers = (rig.rabbit.url(), rig.redis.url());
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    let mut old = (ledger.worker.clone(), ledger.serving.take().unwrap());
    for _ in 0..4 {
        let bus = connect(&ledger.namespace, Settings::default(), &servers).await;
        let serving = bus
            .serve(LedgerServer::new(ledger.books.clone()))
            .await
            .unwrap();
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
        let serving = ledger.worker.serve(LedgerServer::new(ledger.books.clone()));
        ledger.serving = Some(serving.await.unwrap());
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
