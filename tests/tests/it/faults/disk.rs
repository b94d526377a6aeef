//! The disk of a server is full, and then there is room again.

use super::{
    load::{Kind, Load, call, refused},
    rig::{Rig, Settings, bounded, eventually},
};
use futures_util::future::join_all;
use replybus::{FailureKind, reply::StoreHealth, transport::TransportHealth};
use replybus_testkit::servers::Persistence;
use std::time::Duration;

const WITHIN: Duration = Duration::from_secs(10);

/// The deadline of calls that are not to be answered.
const SHORT: Duration = Duration::from_secs(2);

/// The disk of Redis has room for so many bytes in a file: a record is cut in its middle.
const ROOM_BYTES: u64 = 200_001;

/// RabbitMQ takes no messages below its limit, so that what it has can still be written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq_on_a_full_disk() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    rig.rabbit.disk_is_full().await.unwrap();
    eventually("those who publish are told", || async {
        matches!(
            ledger.caller.health().transport,
            TransportHealth::Blocked(reason) if reason.contains("disk")
        )
    })
    .await;
    for kind in [Kind::Command, Kind::KeyedCommand, Kind::Send, Kind::Query] {
        let one = bounded(call(&ledger.client, kind, WITHIN)).await;
        assert_eq!(ledger.journal.page(&one.name).began, 0);
        refused(one.outcome, FailureKind::Overloaded);
    }
    rig.rabbit.disk_has_room().await.unwrap();
    load.flows().await;
    let account = load.stop().await;
    rig.drained().await;
    account.is_true_of(&ledger.journal);
    ledger.comes_up().await;
}

/// Redis that has its file synced each second goes on, and refuses whatever it would have to write
/// down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_refuses_what_it_can_not_write_down() {
    let Some(rig) = Rig::start(Persistence::EverySecond).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    rig.redis.fill_disk(ROOM_BYTES).await.unwrap();
    eventually("the worker says so", || async {
        matches!(
            ledger.worker.health().replies,
            StoreHealth::Down(reason) if reason.contains("MISCONF")
        )
    })
    .await;
    // Whoever has no time until there is room is told that it failed.
    let kinds = [Kind::Query, Kind::Command, Kind::KeyedCommand];
    let told = join_all(kinds.map(|kind| call(&ledger.client, kind, SHORT))).await;
    assert!(told.iter().all(|one| one.outcome.is_err()), "{told:?}");
    rig.redis.free_disk().await.unwrap();
    load.flows().await;
    let mut account = load.stop().await;
    account.0.extend(told);
    rig.drained().await;
    account.is_true_of(&ledger.journal);
    ledger.comes_up().await;
}

/// Redis that has its file synced each time ends, rather than to forget what it would acknowledge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_ends_on_a_full_disk() {
    let Some(mut rig) = Rig::start(Persistence::AppendOnly).await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, WITHIN);
    load.flows().await;
    rig.redis.fill_disk(ROOM_BYTES).await.unwrap();
    bounded(async {
        while rig.redis.is_running() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // With room, as whoever starts it again has made some.
    rig.redis.restart().await.unwrap();
    load.flows().await;
    let account = load.stop().await;
    rig.drained().await;
    account.is_true_of(&ledger.journal);
    ledger.comes_up().await;
}
