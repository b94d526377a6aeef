use crate::bank::{AccountsClient, AccountsServer, Ledger, bank};
use replybus::{Bus, FailureKind};
use std::{future::IntoFuture, time::Duration};

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
