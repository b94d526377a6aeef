//! Worker processes die, and others take over.

use super::{
    load::{Kind, Load, call},
    rig::{AT_MOST, Rig, Settings, bounded, connect, eventually, until},
};
use replybus::{
    CancelOutcome, FailureKind,
    limits::ATTEMPTS_MAX,
    message::{Message, Properties},
    transport::{Outgoing, Verdict, amqp::Amqp},
};
use replybus_testkit::{live::unique, servers::Worker};
use replybus_tests::ledger::{Journal, LedgerClient};
use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{task::JoinSet, time::timeout};

/// Longer than the lease of a dead worker's claim.
const WITHIN: Duration = Duration::from_secs(100);

pub(super) fn worker(rig: &Rig, namespace: &str, gate: &str) -> Worker {
    worker_with(rig, namespace, &[("GATE", gate)])
}

/// A worker with further settings.
pub(super) fn worker_with(rig: &Rig, namespace: &str, more: &[(&str, &str)]) -> Worker {
    let (amqp, redis) = rig.servers();
    let mut settings = vec![
        ("AMQP_URL", amqp.as_str()),
        ("REDIS_URL", redis.as_str()),
        ("NAMESPACE", namespace),
    ];
    settings.extend_from_slice(more);
    Worker::start(Path::new(env!("CARGO_BIN_EXE_ledger-worker")), &settings).unwrap()
}

/// What these workers did.
pub(super) fn journal<'a>(workers: impl IntoIterator<Item = &'a Worker>) -> Journal {
    let journal = Journal::default();
    for worker in workers {
        // One that did nothing yet has none.
        let _ = journal.add(&worker.journal());
    }
    journal
}

/// Waits until calls are served.
pub(super) async fn served(client: &LedgerClient, worker: &mut Worker) {
    until("calls are served", || {
        assert!(worker.is_running(), "{}", worker.log_tail());
        async { call(client, Kind::Query, WITHIN).await.outcome }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_worker_was_killed_is_run_by_another() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("killed");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut first = worker(rig, &namespace, "closed");
    served(&client, &mut first).await;

    let mut calls = JoinSet::new();
    for number in 0..16 {
        let client = client.clone();
        let kind = [Kind::Command, Kind::KeyedCommand][number % 2];
        calls.spawn(async move { call(&client, kind, WITHIN).await });
    }
    eventually("the first worker runs them all", || async {
        journal([&first]).begun() == 16
    })
    .await;
    let mut second = worker(rig, &namespace, "open");
    first.kill();
    let told = calls.join_all().await;
    assert!(second.is_running());

    let (before, after) = (journal([&first]), journal([&second]));
    for one in told {
        assert_eq!(one.outcome, Ok(Some(2)), "{one:?}");
        assert_eq!(before.page(&one.name).began, 1);
        assert!(before.page(&one.name).done.is_empty());
        assert_eq!(after.page(&one.name).began, 1);
        assert_eq!(after.page(&one.name).done, [2]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_command_whose_worker_was_killed_is_not_begun_anew() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("cancelled");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut first = worker(rig, &namespace, "closed");
    served(&client, &mut first).await;

    let mut handles = Vec::new();
    let mut calls = JoinSet::new();
    for number in 0..16_u32 {
        let name = format!("{number}");
        let call = client.enter(name.clone(), None).timeout(WITHIN);
        let mut call = match number % 4 {
            0 | 1 => call.idempotency_key(unique("key")),
            _ => call,
        };
        handles.push(call.cancel_handle());
        calls.spawn(async move { (number, name, call.await) });
    }
    eventually("the first worker runs them all", || async {
        journal([&first]).begun() == 16
    })
    .await;
    for handle in handles.iter().step_by(2) {
        let outcome = bounded(handle.cancel()).await.unwrap();
        assert_eq!(outcome, CancelOutcome::Running);
    }
    first.kill();
    let second = worker(rig, &namespace, "open");
    let told = bounded(calls.join_all()).await;

    let after = journal([&second]);
    for (number, name, outcome) in told {
        let page = after.page(&name);
        if number % 2 == 0 {
            let failure = outcome.unwrap_err();
            assert_eq!(failure.kind(), Some(FailureKind::Interrupted), "{failure}");
            assert!(failure.may_have_executed());
            assert_eq!(page.began, 0, "{name}");
        } else {
            assert_eq!(outcome.unwrap(), 2);
            assert_eq!(page.done, [2]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_time_passed_while_its_worker_was_lost_is_not_begun_anew() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    /// Less than is left of the lease of a worker that dies.
    const STARTABLE_FOR: Duration = Duration::from_millis(1_500);
    let namespace = unique("lost");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut first = worker(rig, &namespace, "closed");
    served(&client, &mut first).await;
    // Of a machine that is busy with other things one may not begin in that time.
    let (name, ticket) = until("one begins", || async {
        let name = unique("entry");
        let call = client.enter(name.clone(), None).timeout(STARTABLE_FOR);
        let ticket = call.submit().await.map_err(|error| error.to_string())?;
        let first = &first;
        let begins = eventually("it begins", || {
            let name = name.clone();
            async move { journal([first]).page(&name).began == 1 }
        });
        let begun = timeout(2 * STARTABLE_FOR, begins).await;
        begun.map_err(|_| "it was not begun".to_owned())?;
        Ok::<_, String>((name, ticket))
    })
    .await;
    let second = worker(rig, &namespace, "open");
    first.kill();
    let failure = bounded(ticket.wait(&bus)).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::WorkerLost), "{failure}");
    assert!(failure.may_have_executed());
    assert_eq!(journal([&second]).page(&name).began, 0);
}

/// The other kinds are tested without servers, where a worker dies in no time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_workers_are_killed_ends_as_a_dead_letter() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("killers");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut first = worker(rig, &namespace, "closed");
    served(&client, &mut first).await;
    client.read("query".to_owned()).send().await.unwrap();
    nameless(rig, &namespace, "enter", r#"{"name":"command"}"#).await;

    let mut workers = vec![first];
    loop {
        let runs = u32::try_from(workers.len()).unwrap();
        let is_over = AtomicBool::new(false);
        eventually("both run, or are kept", || async {
            let journal = journal(&workers);
            let dead = bus.inspect("ledger.requests.dead").await.unwrap();
            is_over.store(dead.unwrap().waiting == 2, Ordering::Relaxed);
            let began = |name| journal.page(name).began == runs;
            is_over.load(Ordering::Relaxed) || (began("query") && began("command"))
        })
        .await;
        workers.last_mut().unwrap().kill();
        if is_over.into_inner() {
            break;
        }
        assert!(workers.len() < 20, "one worker after the other");
        workers.push(worker(rig, &namespace, "closed"));
    }
    let journal = journal(&workers);
    for name in ["query", "command"] {
        assert_eq!(journal.page(name).began, ATTEMPTS_MAX, "{name}");
    }
}

/// Publishes a one-way message by which no two deliveries can be known as one.
async fn nameless(rig: &Rig, namespace: &str, method: &str, body: &str) {
    let transport = Amqp::new(rig.rabbit.url()).connect().await.unwrap();
    let mut receipt = transport.publish(Outgoing::new(Message {
        routing_key: format!("{namespace}.ledger.requests").into(),
        properties: Properties {
            kind: Some(method.into()),
            content_type: Some("application/json".into()),
            persistent: true,
            ..Properties::default()
        },
        body: body.to_owned().into(),
        ..Message::default()
    }));
    assert_eq!(bounded(receipt.verdict()).await, Verdict::Confirmed);
    transport.close(AT_MOST).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("load");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut all = vec![worker(rig, &namespace, "open")];
    served(&client, &mut all[0]).await;

    let load = Load::start(&client, WITHIN);
    for killed in 0..3 {
        let mut next = worker(rig, &namespace, "open");
        served(&client, &mut next).await;
        all.push(next);
        load.flows().await;
        all[killed].kill();
        load.flows().await;
    }
    let account = load.stop().await;
    account.all_went_well();
    let entered = || {
        let commands = account.0.iter().filter(|one| one.kind != Kind::Query);
        let journal = journal(&all);
        commands
            .map(|one| (one, journal.page(&one.name)))
            .collect::<Vec<_>>()
    };
    eventually("what was sent is done", || async {
        entered().iter().all(|(_, page)| !page.done.is_empty())
    })
    .await;
    for (one, page) in entered() {
        // A worker can die between the effect and its record: the next one knows by its attempt.
        let attempts: Vec<u32> = (1..).take(page.done.len()).collect();
        let mut done = page.done.clone();
        done.sort_unstable();
        assert!(
            done.len() == 1 || done == attempts,
            "{one:?} was done in the attempts {done:?}"
        );
        assert_eq!(page.late, 0, "{one:?}");
    }
}
