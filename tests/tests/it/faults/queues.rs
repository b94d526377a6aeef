//! Queues are deleted, and full.

use super::{
    load::{CALLERS, Kind, Load},
    rig::{Rig, Settings},
};
use replybus::{FailureKind, Never, SetupError, contract::QueueType, queue_handler};
use replybus_tests::ledger::{self, Books};
use std::{future::IntoFuture, time::Duration};
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

/// A service whose queue holds few calls.
#[queue_handler("narrow.requests", concurrency = 4, prefetch = 4, queue_length_max = 8)]
trait Narrow {
    async fn enter(&self, name: String) -> Result<u32, Never>;
}

struct NarrowBooks(Books);

impl Narrow for NarrowBooks {
    async fn enter(&self, name: String) -> Result<u32, Never> {
        ledger::Ledger::enter(&self.0, name, None).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let narrow = NarrowServer::new(NarrowBooks(ledger.books.clone()));
    let serving = ledger.worker.serve(narrow).await.unwrap();
    let client = NarrowClient::new(&ledger.caller);
    ledger.gate.close();
    let mut calls = JoinSet::new();
    for number in 0..CALLERS {
        let call = client.enter(number.to_string()).timeout(WITHIN * 6);
        calls.spawn(async move { (number.to_string(), call.await) });
    }
    // The handlers' 4, the queue's 8, and a few on the way between them.
    let mut told = Vec::new();
    while told.len() < CALLERS - 16 {
        told.push(calls.join_next().await.unwrap().unwrap());
    }
    ledger.gate.open();
    told.extend(calls.join_all().await);
    for (name, outcome) in told {
        let page = ledger.journal.page(&name);
        match outcome {
            Ok(attempt) => assert_eq!((attempt, page.done), (1, vec![1])),
            Err(error) => {
                assert_eq!(error.kind(), Some(FailureKind::Overloaded), "{error}");
                assert!(!error.may_have_executed());
                assert_eq!(page.began, 0);
            }
        }
    }
    assert_eq!(client.enter("later".to_owned()).await.unwrap(), 1);
    serving.shutdown().await.unwrap();
}

/// The recipe of the guide, step by step.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_by_one_with_other_arguments() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let narrow = || NarrowServer::new(NarrowBooks(ledger.books.clone()));
    let old = ledger.worker.serve(narrow()).await.unwrap();
    let client = NarrowClient::new(&ledger.caller);
    for number in 0..4 {
        client.enter(format!("old {number}")).send().await.unwrap();
    }
    let serve_new = || {
        let serving = ledger.worker.serve(narrow()).queue_length_max(64);
        serving.queue_type(QueueType::Quorum).into_future()
    };
    let refused = serve_new().await.unwrap_err();
    assert!(matches!(refused, SetupError::Topology { .. }), "{refused}");

    // 1. The old workers empty it, and stop.
    let queue = format!("{}.narrow.requests", ledger.namespace);
    let drained = || {
        rig.queues("it is drained", |name, messages| {
            name != queue || messages == 0
        })
    };
    drained().await;
    old.shutdown().await.unwrap();
    // 2. It is deleted, unless something came meanwhile. Callers are told that nothing ran.
    let delete = ["delete_queue", &queue, "--if-empty"];
    rig.rabbit.ctl(&delete).await.unwrap();
    let error = client.enter("between".to_owned()).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Unroutable), "{error}");
    assert!(!error.may_have_executed());
    // 3. The new ones declare it as it is meant to be. The dead letters are where they were.
    let new = serve_new().await.unwrap();
    assert_eq!(client.enter("new".to_owned()).await.unwrap(), 1);
    assert_eq!(ledger.journal.page("between").began, 0);
    for number in 0..4 {
        assert_eq!(ledger.journal.page(&format!("old {number}")).done, [1]);
    }

    // And back. A quorum queue knows no condition: the command says so, and deletes nothing.
    drained().await;
    new.shutdown().await.unwrap();
    rig.rabbit.ctl(&delete[..2]).await.unwrap();
    let old = ledger.worker.serve(narrow()).await.unwrap();
    assert_eq!(client.enter("back".to_owned()).await.unwrap(), 1);
    old.shutdown().await.unwrap();
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
    rig.queues("the letter is kept", |queue, messages| {
        queue != dead || messages == 1
    })
    .await;
    assert_eq!(ledger.journal.page("once").done, [1]);
}
