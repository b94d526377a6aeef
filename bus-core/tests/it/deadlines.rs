use crate::bank::{AccountsClient, AccountsServer, Ledger, bank};
use replybus::{Bus, CallError, FailureKind, Never, queue_handler};
use std::{future::IntoFuture, time::Duration};
use tokio::time::{Instant, sleep};

#[queue_handler("front.requests", timeout = "4s")]
trait Front {
    /// Spends `spend`, then asks the account service what is left.
    #[query]
    async fn relay(&self, spend: Duration) -> Result<Option<Duration>, Never>;

    /// Spends all it has, then asks; returns the kind of failure.
    async fn too_late(&self) -> Result<bool, Never>;
}

struct Relay(AccountsClient);

impl Front for Relay {
    async fn relay(&self, spend: Duration) -> Result<Option<Duration>, Never> {
        sleep(spend).await;
        Ok(self.0.seen().await.unwrap().remaining)
    }

    async fn too_late(&self) -> Result<bool, Never> {
        sleep(Duration::from_secs(9)).await;
        let error = self.0.seen().await.unwrap_err();
        Ok(error.kind() == Some(FailureKind::Expired) && !error.may_have_executed())
    }
}

async fn two_hops() -> (Bus, FrontClient, Vec<replybus::server::Serving>) {
    let (bus, _, accounts, serving) = bank().await;
    let front = bus.serve(FrontServer::new(Relay(accounts))).await.unwrap();
    let client = FrontClient::new(&bus);
    (bus, client, vec![serving, front])
}

#[tokio::test(start_paused = true)]
async fn nested_calls_share_one_deadline() {
    let (_bus, client, _serving) = two_hops().await;
    let left = client.relay(Duration::from_secs(3)).await.unwrap().unwrap();
    // The account service's own timeout is 2 s; what is left of the outer call is less.
    assert!(left <= Duration::from_secs(1), "{left:?}");
    assert!(left > Duration::from_millis(900), "{left:?}");
    let left = client.relay(Duration::ZERO).await.unwrap().unwrap();
    assert!(left <= Duration::from_secs(2), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_nested_call_without_time_is_not_sent() {
    let (_bus, client, _serving) = two_hops().await;
    let error = client.too_late().idempotency_key("k").await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    // The command went on past its caller's deadline; this is what its own call came to.
    let again = client.too_late().idempotency_key("k");
    assert!(again.timeout(Duration::from_secs(60)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_waited_too_long_is_not_run() {
    let bus = Bus::in_memory();
    let ledger = Ledger::new();
    let _serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .concurrency(1)
        .prefetch(16)
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    let held = client.wait().timeout(Duration::from_secs(60));
    let held = tokio::spawn(held.into_future());
    ledger.entered(1).await;
    let error = client
        .post(1)
        .timeout(Duration::from_secs(1))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    sleep(Duration::from_millis(1)).await;
    ledger.open(1);
    held.await.unwrap().unwrap();
    assert_eq!(
        client.post(1).await.unwrap(),
        1,
        "the one that expired did not run"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_in_the_past_is_expired_and_not_sent() {
    let (_bus, ledger, client, _serving) = bank().await;
    for call in [
        client.post(1).timeout(Duration::ZERO),
        client.post(1).deadline(Instant::now()),
    ] {
        let CallError::Bus(failure) = call.await.unwrap_err() else {
            panic!("a handler's error");
        };
        assert_eq!(failure.kind(), FailureKind::Expired);
        assert!(!failure.may_have_executed());
    }
    assert_eq!(ledger.runs(), 0);
}

#[tokio::test]
async fn a_wait_beyond_any_clock_is_the_longest_there_is() {
    let (bus, _, client, _serving) = bank().await;
    let long = Duration::MAX;
    let ticket = client.post(1).submit().await.unwrap();
    assert_eq!(ticket.wait_for(&bus, long).await.unwrap(), 1);
    bus.close(long).await;
}
