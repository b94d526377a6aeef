//! Queues are deleted, and full.

use crate::{
    load::{CALLERS, Kind, Load, call},
    rig::{Rig, Settings, eventually},
};
use replybus::FailureKind;
use replybus_tests::ledger::LedgerServer;
use std::time::Duration;
use tokio::task::JoinSet;

const WITHIN: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_under_load() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let load = Load::start(&ledger.client, WITHIN);
    for _ in 0..3 {
        load.flows().await;
        rig.rabbit
            .ctl(&["delete_queue", &ledger.queue()])
            .await
            .unwrap();
        load.flows().await;
    }
    let mut account = load.stop().await;
    // What a queue held when it was deleted is gone with it: of sends nothing can be said.
    account.0.retain(|one| one.kind != Kind::Send);
    account.is_true_of(&ledger.journal);
    assert_eq!(ledger.caller.health().calls_waiting, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let mut ledger = rig.ledger(Settings::default()).await;
    ledger.serving.take().unwrap().shutdown().await.unwrap();
    let queue = "full.requests";
    let serving = ledger
        .worker
        .serve(LedgerServer::new(ledger.books.clone()))
        .on_queue(queue)
        .concurrency(4)
        .prefetch(4)
        .queue_length_max(8)
        .await
        .unwrap();
    let client = ledger.client.clone().on_queue(queue);
    ledger.gate.close();
    let mut calls = JoinSet::new();
    for _ in 0..CALLERS {
        let client = client.clone();
        calls.spawn(async move { call(&client, Kind::Command, WITHIN * 6).await });
    }
    // The handlers' 4, the queue's 8, and perhaps one on its way between them.
    let mut told = Vec::new();
    while told.len() < CALLERS - 16 {
        told.push(calls.join_next().await.unwrap().unwrap());
    }
    ledger.gate.open();
    told.extend(calls.join_all().await);
    let account = crate::load::Account(told);
    assert!(account.failed_as(FailureKind::Overloaded));
    for one in &account.0 {
        if let Err(failed) = one.outcome {
            assert_eq!(failed.kind, FailureKind::Overloaded, "{one:?}");
            assert!(!failed.may_have_executed, "{one:?}");
        }
    }
    account.is_true_of(&ledger.journal);
    assert!(call(&client, Kind::Command, WITHIN).await.outcome.is_ok());
    serving.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_kept_though_their_queue_was_deleted() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let dead = format!("{}.dead", ledger.queue());
    rig.rabbit.ctl(&["delete_queue", &dead]).await.unwrap();
    let error = ledger.client.spill("once".to_owned()).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Panicked));
    let letters = async || {
        let listed = rig.rabbit.ctl(&["list_queues", "name", "messages"]).await;
        let line = format!("{dead}\t1");
        listed.unwrap().lines().any(|queue| queue == line)
    };
    eventually("the letter is kept", letters).await;
    assert_eq!(ledger.journal.page("once").done, [1]);
}
