//! Who serves a queue, while workers are killed and servers break; and what is told where nobody
//! does.

use super::{
    rig::{Rig, Settings, bounded, connect, eventually},
    workers::{journal, served, worker},
};
use replybus::{
    Bus, FailureKind,
    control::{ControlError, DrainOutcome},
    limits::CALL_TIMEOUT_MAX,
};
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    servers::{Persistence, Worker},
};
use replybus_tests::ledger::LedgerClient;
use std::{collections::BTreeSet, future::IntoFuture, time::Duration};

const QUEUE: &str = LedgerClient::CONTRACT.queue;

async fn processes(bus: &Bus) -> BTreeSet<u32> {
    let instances = bus.instances(QUEUE).await.unwrap();
    instances
        .into_iter()
        .map(|instance| instance.process)
        .collect()
}

async fn are_seen(bus: &Bus, count: usize) {
    eventually("so many are seen", || async {
        processes(bus).await.len() == count
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_were_killed_are_gone_and_calls_are_told_for_sure() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("presence");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut workers: Vec<Worker> = Vec::new();
    for _ in 0..2 {
        let mut started = worker(rig, &namespace, "open");
        served(&client, &mut started).await;
        workers.push(started);
    }
    are_seen(&bus, 2).await;
    // Who is seen can be asked.
    let control = bus.control(QUEUE).within(Duration::from_secs(60));
    assert_eq!(control.ping().await.unwrap().len(), 2);

    workers[0].kill();
    are_seen(&bus, 1).await;
    workers[1].kill();
    // As long as it is not known to be gone it is waited for; then nobody is.
    let told = client.enter("told".into(), None).timeout(CALL_TIMEOUT_MAX);
    let failure = bounded(told.into_future()).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::NoConsumer), "{failure}");
    assert!(!failure.may_have_executed());
    assert!(processes(&bus).await.is_empty());
    let query = client.echo(7).timeout(CALL_TIMEOUT_MAX);
    let failure = bounded(query.into_future()).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::NoConsumer), "{failure}");

    // Who waits is answered by the next, and what was told that it would not be is not run.
    let waits = client.enter("waits".into(), None).wait_for_service();
    let waits = tokio::spawn(waits.timeout(CALL_TIMEOUT_MAX).into_future());
    let next = worker(rig, &namespace, "open");
    assert_eq!(bounded(waits).await.unwrap().unwrap(), 1);
    let after = client.enter("after".into(), None).wait_for_service();
    bounded(after.into_future()).await.unwrap();
    assert_eq!(journal([&next]).begun(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_last_worker_had_begun_is_not_said_to_be_undone() {
    /// Longer than its record outlives it.
    const PATIENCE: Duration = Duration::from_secs(12);
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("begun");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut last = worker(rig, &namespace, "closed");
    served(&client, &mut last).await;
    let query = tokio::spawn(client.read("query".into()).timeout(PATIENCE).into_future());
    let enter = |name: &str| client.enter(name.into(), None).timeout(PATIENCE);
    let command = tokio::spawn(enter("command").into_future());
    let keyed = tokio::spawn(enter("keyed").idempotency_key("k").into_future());
    eventually("they run", || async { journal([&last]).begun() == 3 }).await;
    last.kill();
    let query = bounded(query).await.unwrap().unwrap_err();
    let command = bounded(command).await.unwrap().unwrap_err();
    let keyed = bounded(keyed).await.unwrap().unwrap_err();
    for failure in [&query, &command, &keyed] {
        assert!(failure.may_have_executed(), "{failure}");
    }
    assert_eq!(query.kind(), Some(FailureKind::NoConsumer), "{query}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_are_seen_again_after_every_fault() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let amqp = Proxy::to(rig.rabbit.address()).await.unwrap();
    let redis = Proxy::to(rig.redis.address()).await.unwrap();
    let through = (
        format!("amqp://guest:guest@{}/%2f", amqp.addr()),
        format!("redis://{}/0", redis.addr()),
    );
    let mut ledger = super::rig::Ledger::open(Settings::quick(), rig.servers(), through).await;
    let are_well = async |ledger: &super::rig::Ledger| {
        are_seen(&ledger.caller, 1).await;
        eventually("it answers", || async {
            let asked = ledger.caller.control(QUEUE).ping().await;
            asked.is_ok_and(|pongs| pongs.len() == 1)
        })
        .await;
    };
    are_well(&ledger).await;
    for link in [&amqp, &redis] {
        link.set(Mode::Cut);
        // What is served waits for its connection, and so do its callers.
        let call = ledger.client.enter(unique("entry"), None);
        let call = tokio::spawn(call.timeout(CALL_TIMEOUT_MAX).into_future());
        link.set(Mode::Pass);
        bounded(call).await.unwrap().unwrap();
        are_well(&ledger).await;
    }
    rig.redis.restart().await.unwrap();
    are_well(&ledger).await;
    rig.rabbit.restart().await.unwrap();
    are_well(&ledger).await;

    ledger.serving.take().unwrap().shutdown().await.unwrap();
    assert!(processes(&ledger.caller).await.is_empty());
    ledger.comes_up().await;
    let failure = bounded(ledger.client.enter("late".into(), None).into_future()).await;
    let failure = failure.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::NoConsumer), "{failure}");
    assert!(!failure.may_have_executed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_and_stops_without_redis_to_tell() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let redis = Proxy::to(rig.redis.address()).await.unwrap();
    let servers = (rig.rabbit.url(), format!("redis://{}/0", redis.addr()));
    let bus = connect("deaf", Settings::quick(), &servers).await;
    redis.set(Mode::Swallow);
    let (books, _gate) = replybus_tests::ledger::Books::new(Default::default());
    let serving = bus.serve(replybus_tests::ledger::LedgerServer::new(books));
    let serving = bounded(serving.into_future()).await.unwrap();
    assert_eq!(bounded(serving.shutdown()).await.unwrap().given_back, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_is_drained_and_calls_go_on() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let ledger = rig.ledger(Settings::default()).await;
    let (books, _gate) = replybus_tests::ledger::Books::new(Default::default());
    let server = replybus_tests::ledger::LedgerServer::new(books);
    let leaving = ledger.caller.serve(server).allow_drain().await.unwrap();
    are_seen(&ledger.caller, 1).await; // both are of this process
    let drained = ledger
        .caller
        .control(QUEUE)
        .drain(Duration::from_secs(20))
        .await
        .unwrap();
    let mut outcomes: Vec<_> = drained.iter().map(|drain| drain.outcome).collect();
    outcomes.sort_by_key(|outcome| *outcome == DrainOutcome::Refused);
    let [
        DrainOutcome::Drained { given_back: 0 },
        DrainOutcome::Refused,
    ] = outcomes[..]
    else {
        panic!("{drained:?}")
    };
    leaving
        .run_until(std::future::pending::<()>())
        .await
        .unwrap();
    for number in 0..50 {
        assert_eq!(ledger.client.echo(number).await.unwrap(), number);
    }
    let stats = ledger.caller.control(QUEUE).stats().await.unwrap();
    assert_eq!(stats.len(), 1);
    assert_eq!(stats[0].methods["echo"].served, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_ask_is_told_so() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("asks");
    let only_requests = format!(r"^({namespace}\.ledger\.requests.*|amq\.default)$");
    let url = rig.url_of("asks", [only_requests.as_str(); 3]).await;
    // Else there is no such exchange, and so nobody to ask.
    let worker = connect(&namespace, Settings::quick(), &rig.servers()).await;
    let (books, _gate) = replybus_tests::ledger::Books::new(Default::default());
    let server = replybus_tests::ledger::LedgerServer::new(books);
    let _serving = worker.serve(server).await.unwrap();
    let bus = connect(&namespace, Settings::quick(), &(url, rig.redis.url())).await;
    let asked = bounded(bus.control(QUEUE).ping()).await.unwrap_err();
    assert!(matches!(asked, ControlError::Denied { .. }), "{asked:?}");
}
