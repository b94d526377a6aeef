//! Calls to a queue that nobody serves.

use crate::{
    bank::{AccountsClient, AccountsServer, Ledger},
    between::{Between, Hook},
    faulty_store::FaultyReplies,
};
use replybus::{
    Bus, Bytes, CallId, FailureKind, Instant,
    limits::{CONSUMER_LOOK_AFTER, CONSUMER_LOOK_EVERY, PRESENCE_TTL},
    presence::InstanceId,
    reply::{Arrivals, Presence, ReplyBackend, memory::MemoryReplies},
    transport::{QueueSpec, Transport as _, memory::MemoryBroker},
};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

const QUEUE: &str = AccountsClient::CONTRACT.queue;
const MINUTE: Duration = Duration::from_secs(60);

/// A bus with a queue that nobody serves any more.
async fn deserted() -> (Bus, AccountsClient) {
    let bus = Bus::in_memory();
    let serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    serving.shutdown().await.unwrap();
    let client = AccountsClient::new(&bus);
    (bus, client)
}

#[tokio::test(start_paused = true)]
async fn a_command_is_told_at_once_and_never_runs() {
    let (bus, client) = deserted().await;
    let asked = Instant::now();
    let failure = client.post(1).timeout(MINUTE).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::NoConsumer));
    assert!(!failure.may_have_executed());
    assert_eq!(asked.elapsed(), CONSUMER_LOOK_AFTER);

    // However lately it was served.
    let serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    client.balance("a".into(), 1).await.unwrap();
    serving.shutdown().await.unwrap();
    let asked = Instant::now();
    client.post(1).timeout(MINUTE).await.unwrap_err();
    assert_eq!(asked.elapsed(), CONSUMER_LOOK_AFTER);

    // Their requests are in the queue still.
    assert_eq!(bus.inspect(QUEUE).await.unwrap().unwrap().waiting, 1);
    let ledger = Ledger::new();
    let _serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .await
        .unwrap();
    assert_eq!(client.post(1).await.unwrap(), 1);
    assert_eq!(ledger.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_record_of_its_own_never_runs_either() {
    let (bus, client) = deserted().await;
    let query = client.wait().timeout(MINUTE).await.unwrap_err();
    let keyed = || client.post(1).idempotency_key("key").timeout(MINUTE);
    let command = keyed().await.unwrap_err();
    for failure in [query.kind(), command.kind()] {
        assert_eq!(failure, Some(FailureKind::NoConsumer));
    }
    assert!(!query.may_have_executed() && !command.may_have_executed());

    // Their requests are in the queue still, and the key is as good as before.
    assert_eq!(bus.inspect(QUEUE).await.unwrap().unwrap().waiting, 2);
    let ledger = Ledger::new();
    let _serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .await
        .unwrap();
    assert_eq!(keyed().await.unwrap(), 1);
    assert_eq!(keyed().await.unwrap(), 1);
    assert_eq!((ledger.runs(), ledger.entered.available_permits()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_service_is_answered_by_the_next() {
    let (bus, client) = deserted().await;
    let waits = client.post(1).wait_for_service().timeout(MINUTE);
    let waits = tokio::spawn(waits.into_future());
    sleep(MINUTE / 2).await;
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), 1);

    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let patient = Bus::builder().wait_for_services();
    let patient = patient
        .connect(broker.clone(), replies.clone())
        .await
        .unwrap();
    let serving = patient
        .serve(AccountsServer::new(Ledger::new()))
        .await
        .unwrap();
    serving.shutdown().await.unwrap();
    let waits = AccountsClient::new(&patient).post(1).timeout(MINUTE);
    assert_eq!(waits.await.unwrap_err().kind(), Some(FailureKind::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_runs_when_the_last_instance_ends_is_answered() {
    let bus = Bus::in_memory();
    let ledger = Ledger::new();
    let serving = bus.serve(AccountsServer::new(ledger.clone()));
    let serving = serving.drain_within(MINUTE).await.unwrap();
    let client = AccountsClient::new(&bus);
    let command = tokio::spawn(client.work().timeout(MINUTE).into_future());
    let query = tokio::spawn(client.wait().timeout(MINUTE).into_future());
    ledger.entered(2).await;
    let stopping = tokio::spawn(serving.shutdown());
    sleep(MINUTE / 4).await;
    // Nobody takes anything from the queue, and what runs is waited for.
    assert_eq!(bus.inspect(QUEUE).await.unwrap().unwrap().consumers, 0);
    ledger.open(2);
    command.await.unwrap().unwrap();
    query.await.unwrap().unwrap();
    stopping.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_service_without_a_record_is_looked_at_once_a_second_for_all() {
    // It keeps no records of instances.
    let looks = looks_at_a_slow_service(FaultyReplies::new(&Arc::default())).await;
    assert!((25..=31).contains(&looks), "{looks} looks in half a minute");
}

#[tokio::test(start_paused = true)]
async fn the_broker_is_not_asked_for_a_slow_service_that_has_a_record() {
    assert_eq!(looks_at_a_slow_service(MemoryReplies::new()).await, 0);
}

/// How often a broker is asked for a queue whose service takes half a minute for each of many calls.
async fn looks_at_a_slow_service(replies: impl ReplyBackend) -> u32 {
    let counted = Between::on(&MemoryBroker::new(), Counted::default());
    let bus = Bus::connect(Arc::clone(&counted), replies).await.unwrap();
    let ledger = Ledger::new();
    let _serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        calls.spawn(client.wait().timeout(MINUTE).into_future());
    }
    ledger.entered(20).await;
    sleep(MINUTE / 2).await;
    ledger.open(20);
    for call in calls.join_all().await {
        call.unwrap();
    }
    counted.0.load(Ordering::SeqCst)
}

/// Counts how often queues are looked at.
#[derive(Debug, Default)]
struct Counted(AtomicU32);

impl Hook for Counted {
    fn inspected(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Nobody;

impl Arrivals for Nobody {
    fn arrived(&self, _: CallId, _: Bytes) {}
    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_connection_is_lost_is_waited_for_until_its_record_is_gone() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let open = async || Bus::connect(broker.clone(), replies.clone()).await.unwrap();
    let (worker, caller) = (open().await, open().await);
    let _serving = worker
        .serve(AccountsServer::new(Ledger::new()))
        .await
        .unwrap();
    let store = Box::new(replies.clone())
        .open("", Arc::new(Nobody))
        .await
        .unwrap();
    let record = store.present(QUEUE).await.unwrap().remove(0);
    worker.close(Duration::ZERO).await;
    // As one that was killed leaves it.
    let killed = InstanceId::from_bytes(*CallId::new().as_bytes());
    store
        .announce(&Presence::new(QUEUE, killed, record))
        .await
        .unwrap();
    broker
        .connect()
        .declare(QueueSpec::new(QUEUE))
        .await
        .unwrap();
    let asked = Instant::now();
    let failure = AccountsClient::new(&caller).post(1).timeout(MINUTE).await;
    assert_eq!(failure.unwrap_err().kind(), Some(FailureKind::NoConsumer));
    let took = asked.elapsed();
    assert!(
        (PRESENCE_TTL..=PRESENCE_TTL + CONSUMER_LOOK_EVERY).contains(&took),
        "{took:?}"
    );
}

/// As it was announced a while before the call, and killed right after.
#[tokio::test(start_paused = true)]
async fn what_an_instance_that_was_killed_may_have_begun_is_not_said_to_be_undone() {
    for after in [Duration::ZERO, PRESENCE_TTL / 6, PRESENCE_TTL / 3] {
        let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
        let caller = Bus::connect(broker.clone(), replies.clone()).await.unwrap();
        let serving = caller.serve(AccountsServer::new(Ledger::new()));
        let serving = serving.await.unwrap();
        let store = Box::new(replies).open("", Arc::new(Nobody)).await.unwrap();
        let record = store.present(QUEUE).await.unwrap().remove(0);
        serving.shutdown().await.unwrap();
        let killed = InstanceId::from_bytes(*CallId::new().as_bytes());
        let presence = Presence::new(QUEUE, killed, record).ttl(PRESENCE_TTL);
        store.announce(&presence).await.unwrap();
        sleep(after).await;
        let failure = AccountsClient::new(&caller).wait().timeout(MINUTE).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind(), Some(FailureKind::NoConsumer), "{after:?}");
        assert!(failure.may_have_executed(), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_that_was_given_back_is_not_said_to_be_undone() {
    let bus = Bus::in_memory();
    let ledger = Ledger::new();
    let serving = bus.serve(AccountsServer::new(ledger.clone()));
    let serving = serving.drain_within(Duration::ZERO).await.unwrap();
    let client = AccountsClient::new(&bus);
    let query = tokio::spawn(client.wait().timeout(MINUTE).into_future());
    ledger.entered(1).await;
    assert_eq!(serving.shutdown().await.unwrap().given_back, 1);
    let failure = query.await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::NoConsumer));
    assert!(failure.may_have_executed());
}

#[tokio::test(start_paused = true)]
async fn of_many_calls_at_once_each_is_told() {
    let (bus, client) = deserted().await;
    let calls = (0..200).map(|_| client.balance("a".into(), 1).timeout(MINUTE));
    let queries = replybus::join(calls).await;
    let calls = (0..200).map(|_| client.post(1).timeout(MINUTE));
    let commands = replybus::join(calls).await;
    let failed = queries.into_iter().map(Result::unwrap_err);
    let failed = failed.chain(commands.into_iter().map(Result::unwrap_err));
    for failure in failed {
        assert_eq!(failure.kind(), Some(FailureKind::NoConsumer));
        assert!(!failure.may_have_executed());
    }
    let ledger = Ledger::new();
    let service = bus.serve(AccountsServer::new(ledger.clone()));
    let _serving = service.await.unwrap();
    assert_eq!(client.post(1).await.unwrap(), 1);
}
