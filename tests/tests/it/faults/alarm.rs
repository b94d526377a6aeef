//! RabbitMQ is short of memory and takes no messages.

use super::{
    load::{Kind, call, refused},
    rig::{Rig, Settings, bounded, eventually},
};
use replybus::{
    FailureKind,
    limits::{CLAIM_LEASE, CLOCK_ALLOWANCE},
    transport::TransportHealth,
};
use replybus_testkit::servers::Persistence;
use replybus_tests::ledger::LATE_BY;
use std::time::Duration;
use tokio::{task::JoinSet, time::sleep};

/// Calls that are handed over before the broker says that it takes none.
const SHORT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_alarm() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    ledger.gate.close();
    let mut in_flight = JoinSet::new();
    for _ in 0..8 {
        let client = ledger.client.clone();
        in_flight.spawn(async move { call(&client, Kind::Command, LONG).await });
    }
    eventually("they run", || async { ledger.journal.begun() == 8 }).await;

    rig.rabbit.block_publishers().await.unwrap();
    // The broker says so to who publishes, when it does.
    let mut told = Vec::new();
    bounded(async {
        while !matches!(
            ledger.caller.health().transport,
            TransportHealth::Blocked(_)
        ) {
            told.push(call(&ledger.client, Kind::Command, SHORT).await);
        }
    })
    .await;
    for kind in [Kind::Command, Kind::KeyedCommand, Kind::Send, Kind::Query] {
        let one = call(&ledger.client, kind, LONG).await;
        assert_eq!(ledger.journal.page(&one.name).began, 0);
        refused(one.outcome, FailureKind::Overloaded);
        told.push(one);
    }
    ledger.gate.open();
    for one in in_flight.join_all().await {
        assert_eq!(one.outcome, Ok(Some(1)), "{one:?}");
    }

    // What was handed over, and has not begun, now comes too late for its caller.
    sleep(CLOCK_ALLOWANCE + LATE_BY).await;
    rig.rabbit.unblock_publishers().await.unwrap();
    eventually("calls flow again", || async {
        call(&ledger.client, Kind::KeyedCommand, LONG)
            .await
            .outcome
            .is_ok()
    })
    .await;
    rig.drained().await;
    for one in told {
        let page = ledger.journal.page(&one.name);
        assert_eq!(page.late, 0, "run when its caller was gone: {one:?}");
        match one.outcome {
            Ok(_) => assert_eq!(page.done.len(), 1, "{one:?}"),
            Err(failed) if !failed.may_have_executed => assert_eq!(page.began, 0, "{one:?}"),
            // It was handed over, and perhaps begun, before the alarm was heard of.
            Err(_) => assert!(page.began <= 1, "{one:?}"),
        }
    }
    ledger.comes_up().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_wait_for_the_end_of_an_alarm() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    ledger.gate.close();
    for number in 0..4 {
        let spill = ledger.client.spill(number.to_string());
        spill.send().await.unwrap();
    }
    eventually("they run", || async { ledger.journal.begun() == 4 }).await;
    rig.rabbit.block_publishers().await.unwrap();
    ledger.gate.open();
    // Long enough for their claims to lapse, were they not renewed.
    sleep(CLAIM_LEASE * 3 / 2).await;
    assert!(!ledger.worker.health().is_up());
    rig.rabbit.unblock_publishers().await.unwrap();
    rig.queues("the letters are kept", |queue, messages| {
        messages == if queue.ends_with(".dead") { 4 } else { 0 }
    })
    .await;
    for number in 0..4 {
        let page = ledger.journal.page(&number.to_string());
        assert_eq!(
            page.done,
            [1],
            "run again for want of a place for its letter"
        );
    }
}
