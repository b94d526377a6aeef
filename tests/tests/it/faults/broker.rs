//! RabbitMQ dies, and freezes.

use super::{
    load::Load,
    rig::{Rig, Settings, eventually},
};
use replybus::{contract::QueueType, transport::TransportHealth};
use replybus_testkit::servers::Persistence;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

const WITHIN: Duration = Duration::from_secs(10);

/// Longer than a restart takes, on a machine that does much else.
const PATIENT: Duration = Duration::from_secs(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_with_classic_queues() {
    killed_and_restarted(QueueType::Classic).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_with_quorum_queues() {
    killed_and_restarted(QueueType::Quorum).await;
}

async fn killed_and_restarted(queue_type: QueueType) {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let settings = Settings {
        queue_type,
        ..Settings::default()
    };
    let ledger = rig.ledger(settings).await;
    if queue_type == QueueType::Quorum {
        rig.writes_down_its_queues().await;
    }
    // First callers that may not live to see it again, then some that do.
    for within in [WITHIN, PATIENT] {
        let load = Load::start(&ledger.client, within);
        load.flows().await;
        rig.rabbit.kill();
        rig.rabbit.restart().await.unwrap();
        load.flows().await;
        let account = load.stop().await;
        if within == PATIENT {
            account.all_went_well();
        }
        rig.drained().await;
        account.is_true_of(&ledger.journal);
    }
    ledger.comes_up().await;
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_for_less_than_it_takes_to_call_it_dead() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, PATIENT);
    load.flows().await;
    rig.rabbit.freeze();
    sleep(Duration::from_secs(3)).await;
    rig.rabbit.thaw();
    load.flows().await;
    let account = load.stop().await;
    account.all_went_well();
    rig.drained().await;
    account.is_true_of(&ledger.journal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_until_it_is_called_dead() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::quick()).await;
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    rig.rabbit.freeze();
    let thaw = Instant::now() + Duration::from_secs(15);
    eventually("both sides notice", || async {
        [&ledger.caller, &ledger.worker]
            .iter()
            .all(|bus| matches!(bus.health().transport, TransportHealth::Down(_)))
    })
    .await;
    sleep_until(thaw).await;
    rig.rabbit.thaw();
    load.flows().await;
    let account = load.stop().await;
    rig.drained().await;
    account.is_true_of(&ledger.journal);
}
