use crate::bank::{AccountsClient, AccountsServer, Ledger, bank};
use replybus::{
    Bus, Context, FailureKind, Never, queue_handler, reply::memory::MemoryReplies,
    transport::memory::MemoryBroker,
};
use std::{future::IntoFuture, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

#[tokio::test]
async fn what_runs_finishes_and_what_waits_goes_back() {
    let bus = Bus::in_memory();
    let (first, second) = (Ledger::new(), Ledger::new());
    let serving = bus
        .serve(AccountsServer::new(first.clone()))
        .concurrency(1)
        .prefetch(8)
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    let running = tokio::spawn(client.work().into_future());
    first.entered(1).await;
    let waiting: Vec<_> = (0..5)
        .map(|_| tokio::spawn(client.post(1).into_future()))
        .collect();
    let stopping = tokio::spawn(serving.shutdown());
    // Those that were prefetched are taken over by another worker while the first still drains.
    let _other = bus
        .serve(AccountsServer::new(second.clone()))
        .await
        .unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    assert_eq!((first.runs(), second.runs()), (0, 5));
    first.open(1);
    assert_eq!(running.await.unwrap().unwrap(), 1);
    assert_eq!(stopping.await.unwrap().unwrap().given_back, 0);
}

#[tokio::test(start_paused = true)]
async fn draining_is_bounded_and_a_query_is_given_to_another() {
    let bus = Bus::in_memory();
    let (stuck, other) = (Ledger::new(), Ledger::new());
    let serving = bus
        .serve(AccountsServer::new(stuck.clone()))
        .drain_within(Duration::from_millis(200))
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    let call = tokio::spawn(client.wait().timeout(Duration::from_secs(60)).into_future());
    stuck.entered(1).await;
    assert_eq!(serving.shutdown().await.unwrap().given_back, 1);
    other.open(1);
    let _other = bus.serve(AccountsServer::new(other)).await.unwrap();
    call.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_command_that_outlasts_the_drain_is_not_run_twice_at_once() {
    let bus = Bus::in_memory();
    let (slow, other) = (Ledger::new(), Ledger::new());
    let serving = bus
        .serve(AccountsServer::new(slow.clone()))
        .drain_within(Duration::from_millis(200))
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    let call = tokio::spawn(client.work().timeout(Duration::from_secs(60)).into_future());
    slow.entered(1).await;
    assert_eq!(serving.shutdown().await.unwrap().given_back, 1);
    let _other = bus.serve(AccountsServer::new(other.clone())).await.unwrap();
    // The other worker has the message, and waits for the first one's claim.
    tokio::time::sleep(Duration::from_secs(30)).await;
    other.open(1);
    slow.open(1);
    assert_eq!(call.await.unwrap().unwrap(), 1);
    assert_eq!((slow.runs(), other.runs()), (1, 0));
}

#[tokio::test]
async fn dropping_the_handle_stops_the_service() {
    let (bus, ledger, client, serving) = bank().await;
    drop(serving);
    let other = Ledger::new();
    let _second = bus.serve(AccountsServer::new(other.clone())).await.unwrap();
    for _ in 0..10 {
        client.post(1).await.unwrap();
    }
    assert_eq!(ledger.runs() + other.runs(), 10);
}

#[tokio::test]
async fn closing_the_bus_ends_calls_that_wait() {
    let (bus, ledger, client, serving) = bank().await;
    let call = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    bus.close(Duration::from_secs(1)).await;
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Disconnected));
    assert!(error.may_have_executed());
    ledger.open(1);
    serving.shutdown().await.unwrap();
    assert!(!bus.health().is_up());
}

#[tokio::test]
async fn closing_the_bus_lets_handlers_finish() {
    let (bus, ledger, client, serving) = bank().await;
    client.work().send().await.unwrap();
    ledger.entered(1).await;
    let closing = tokio::spawn(async move { bus.close(Duration::from_secs(60)).await });
    let drained = tokio::spawn(serving.run_until(std::future::pending::<()>()));
    tokio::task::yield_now().await;
    assert!(!closing.is_finished());
    ledger.open(1);
    closing.await.unwrap();
    assert_eq!(drained.await.unwrap().unwrap().given_back, 0);
    assert_eq!(ledger.runs(), 1);
}

#[queue_handler("relay.requests")]
trait Relay {
    /// Waits at the gate, then has an amount posted.
    async fn post(&self) -> Result<u32, String>;

    /// Runs until it is told to stop.
    async fn endless(&self) -> Result<(), Never>;
}

#[derive(Clone)]
struct Relaying {
    accounts: AccountsClient,
    ledger: Ledger,
    told: Arc<Semaphore>,
}

impl Relay for Relaying {
    async fn post(&self) -> Result<u32, String> {
        self.ledger.entered.add_permits(1);
        self.ledger.gate.acquire().await.unwrap().forget();
        let posted = self.accounts.post(1).await;
        posted.map_err(|error| error.to_string())
    }

    async fn endless(&self) -> Result<(), Never> {
        self.ledger.entered.add_permits(1);
        Context::current().cancelled().await;
        self.told.add_permits(1);
        Ok(())
    }
}

/// A bus that relays to another bus, where the accounts are.
async fn relaying() -> (Bus, Bus, Relaying) {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let far = Bus::connect(broker.clone(), replies.clone()).await.unwrap();
    let near = Bus::connect(broker, replies).await.unwrap();
    let relaying = Relaying {
        accounts: AccountsClient::new(&near),
        ledger: Ledger::new(),
        told: Arc::new(Semaphore::new(0)),
    };
    (near, far, relaying)
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_drains_can_call_others() {
    let (near, far, relaying) = relaying().await;
    let _accounts = far.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let serving = near
        .serve(RelayServer::new(relaying.clone()))
        .await
        .unwrap();
    let call = tokio::spawn(RelayClient::new(&far).post().into_future());
    relaying.ledger.entered(1).await;
    let closing = tokio::spawn(async move { near.close(Duration::from_secs(60)).await });
    tokio::task::yield_now().await;
    relaying.ledger.open(1);
    assert_eq!(call.await.unwrap().unwrap(), 1);
    closing.await.unwrap();
    assert_eq!(serving.shutdown().await.unwrap().given_back, 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_tells_handlers_when_its_time_is_up() {
    let (near, far, relaying) = relaying().await;
    let serving = near
        .serve(RelayServer::new(relaying.clone()))
        .drain_within(Duration::from_secs(600))
        .await
        .unwrap();
    let call = RelayClient::new(&far).endless();
    let call = tokio::spawn(call.timeout(Duration::from_secs(900)).into_future());
    relaying.ledger.entered(1).await;
    near.close(Duration::from_secs(5)).await;
    let told = tokio::time::timeout(Duration::from_secs(5), relaying.told.acquire());
    told.await.unwrap().unwrap().forget();
    assert_eq!(serving.shutdown().await.unwrap().given_back, 1);
    call.abort();
}
