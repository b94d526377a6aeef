use crate::{
    bank::{AccountsClient, AccountsServer, Ledger, bank},
    faulty_store::{Faults, FaultyReplies},
};
use replybus::{
    Bus, Context, FailureKind, limits, queue_handler, server::Serving,
    transport::memory::MemoryBroker,
};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};

#[tokio::test]
async fn a_key_is_run_once_and_its_reply_given_again() {
    let (_bus, ledger, client, _serving) = bank().await;
    for _ in 0..5 {
        assert_eq!(client.post(1).idempotency_key("k").await.unwrap(), 1);
    }
    assert_eq!(ledger.runs(), 1);
    assert_eq!(client.post(1).idempotency_key("l").await.unwrap(), 2);
    assert_eq!(client.post(1).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_with_one_key_are_one_effect() {
    let (_bus, ledger, client, _serving) = bank().await;
    let calls: Vec<_> = (0..100)
        .map(|_| tokio::spawn(client.post(1).idempotency_key("k").into_future()))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    assert_eq!(ledger.runs(), 1);
}

#[tokio::test]
async fn a_key_used_for_another_request_is_a_conflict() {
    let (_bus, ledger, client, _serving) = bank().await;
    client.post(1).idempotency_key("k").await.unwrap();
    let error = client.post(2).idempotency_key("k").await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::KeyConflict));
    assert!(!error.may_have_executed());
    assert_eq!(ledger.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_forgotten_after_its_retention() {
    let (_bus, _, client, _serving) = bank().await;
    assert_eq!(client.post(1).idempotency_key("k").await.unwrap(), 1);
    tokio::time::advance(limits::KEYED_RETENTION + Duration::from_secs(1)).await;
    assert_eq!(client.post(1).idempotency_key("k").await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_command_runs_to_its_end_whoever_stops_waiting() {
    let (_bus, ledger, client, _serving) = bank().await;
    let call = client
        .work()
        .idempotency_key("k")
        .timeout(Duration::from_secs(1));
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    assert!(error.may_have_executed());
    ledger.entered(1).await;
    ledger.open(1);
    // The same key is given what the first run came to.
    let call = client
        .work()
        .idempotency_key("k")
        .timeout(Duration::from_secs(5));
    assert_eq!(call.await.unwrap(), 1);
    assert_eq!(ledger.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_outlives_a_long_run() {
    let (_bus, ledger, client, _serving) = bank().await;
    let long = client
        .work()
        .idempotency_key("k")
        .timeout(Duration::from_secs(120));
    let long = tokio::spawn(long.into_future());
    ledger.entered(1).await;
    let again = client
        .work()
        .idempotency_key("k")
        .timeout(Duration::from_secs(120));
    let again = tokio::spawn(again.into_future());
    tokio::time::sleep(limits::CLAIM_LEASE * 5).await;
    ledger.open(1);
    assert_eq!(long.await.unwrap().unwrap(), 1);
    assert_eq!(again.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_query_is_dropped_at_its_deadline() {
    let (_bus, ledger, client, _serving) = bank().await;
    let started = Instant::now();
    let error = client
        .wait()
        .timeout(Duration::from_millis(300))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    assert!(started.elapsed() < Duration::from_secs(1));
    ledger.entered(1).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    ledger.open(1);
    let left = timeout(Duration::from_secs(5), ledger.left.acquire());
    assert!(
        left.await.is_err(),
        "the handler was dropped before the gate opened"
    );
}

#[tokio::test]
async fn a_request_that_can_not_be_read_leaves_its_key_free() {
    use replybus::{
        Never,
        client::ServiceClient,
        contract::{MethodContract, MethodKind, ServiceContract},
    };
    static OTHER: ServiceContract = ServiceContract::new(
        "Accounts",
        "account.requests",
        &[MethodContract::new("post", MethodKind::Command)],
    );
    let (bus, ledger, client, _serving) = bank().await;
    let wrong = ServiceClient::new(&bus, &OTHER);
    let arguments = std::collections::BTreeMap::from([("amount", "not a number")]);
    let call = wrong.call::<_, Result<u32, Never>>(0, &arguments);
    let error = call.idempotency_key("k").await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::BadRequest), "{error}");
    assert!(!error.may_have_executed());
    assert_eq!(client.post(1).idempotency_key("k").await.unwrap(), 1);
    assert_eq!(ledger.runs(), 1);
    let _: AccountsClient = client;
}

#[tokio::test]
async fn a_key_belongs_to_its_queue() {
    let (bus, ledger, client, _serving) = bank().await;
    let other = Ledger::new();
    let _tenant = bus
        .serve(AccountsServer::new(other.clone()))
        .on_queue("account.tenant-7")
        .await
        .unwrap();
    let tenant = client.clone().on_queue("account.tenant-7");
    assert_eq!(client.post(1).idempotency_key("k").await.unwrap(), 1);
    assert_eq!(tenant.post(2).idempotency_key("k").await.unwrap(), 1);
    assert_eq!((ledger.runs(), other.runs()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_panicked_may_be_tried_again_at_once() {
    let (_bus, ledger, client, _serving) = bank().await;
    for runs in 1..=limits::ATTEMPTS_MAX {
        let error = client.panics_half_way().idempotency_key("k").await;
        assert_eq!(error.unwrap_err().kind(), Some(FailureKind::Panicked));
        assert_eq!(ledger.runs(), runs);
    }
    // Its runs are counted all the same.
    let error = client.panics_half_way().idempotency_key("k").await;
    assert_eq!(error.unwrap_err().kind(), Some(FailureKind::Interrupted));
    assert_eq!(ledger.runs(), limits::ATTEMPTS_MAX);
}

/// A bus whose store fails when told to, with the service on it.
async fn faulty_bank() -> (Bus, Arc<Faults>, Ledger, AccountsClient, Serving) {
    let faults = Arc::new(Faults::default());
    let builder = Bus::builder();
    let bus = builder.connect(MemoryBroker::new(), FaultyReplies::new(&faults));
    let (bus, ledger) = (bus.await.unwrap(), Ledger::new());
    let service = bus.serve(AccountsServer::new(ledger.clone()));
    let serving = service.drain_within(Duration::ZERO).await.unwrap();
    let client = AccountsClient::new(&bus);
    (bus, faults, ledger, client, serving)
}

#[tokio::test(start_paused = true)]
async fn what_is_seen_running_is_not_called_unstarted_when_the_store_goes_away() {
    let (_bus, faults, ledger, client, _serving) = faulty_bank().await;
    let work = || client.work().idempotency_key("k");
    let running = tokio::spawn(work().timeout(Duration::from_secs(60)).into_future());
    ledger.entered(1).await;
    let again = tokio::spawn(work().timeout(Duration::from_secs(5)).into_future());
    // Until it has seen the first one run.
    tokio::time::sleep(Duration::from_secs(1)).await;
    faults.no_claims.store(true, Ordering::SeqCst);
    let error = again.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    assert!(error.may_have_executed());
    ledger.open(1);
    assert_eq!(running.await.unwrap().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_kept_until_its_outcome_is_recorded() {
    let (_bus, faults, ledger, client, _serving) = faulty_bank().await;
    faults.no_replies.store(true, Ordering::SeqCst);
    let post = || {
        let call = client.post(1).idempotency_key("k");
        tokio::spawn(call.timeout(Duration::from_secs(120)).into_future())
    };
    let first = post();
    tokio::time::sleep(limits::CLAIM_LEASE * 2).await;
    let again = post();
    tokio::time::sleep(limits::CLAIM_LEASE * 2).await;
    faults.no_replies.store(false, Ordering::SeqCst);
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert_eq!(again.await.unwrap().unwrap(), 1);
    assert_eq!(ledger.runs(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_recorded_though_its_delivery_was_given_back() {
    for before in [false, true] {
        let (bus, faults, ledger, client, serving) = faulty_bank().await;
        let call = client.work().timeout(Duration::from_secs(60));
        let call = tokio::spawn(call.into_future());
        ledger.entered(1).await;
        faults.no_replies.store(true, Ordering::SeqCst);
        // It ends while the delivery still waits for it, or when that is gone.
        if before {
            ledger.open(1);
            ledger.left.acquire().await.unwrap().forget();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(serving.shutdown().await.unwrap().given_back, 1);
        if !before {
            ledger.open(1);
        }
        let other = Ledger::new();
        let _other = bus.serve(AccountsServer::new(other.clone())).await.unwrap();
        tokio::time::sleep(limits::CLAIM_LEASE * 2).await;
        faults.no_replies.store(false, Ordering::SeqCst);
        assert_eq!(call.await.unwrap().unwrap(), 1);
        assert_eq!((ledger.runs(), other.runs()), (1, 0));
    }
}

#[queue_handler("vault.requests")]
trait Vault {
    /// Fails twice, then counts its runs. Says that the runs that failed did nothing, if
    /// `released`.
    async fn open(&self, released: bool) -> Result<u32, String>;
}

#[derive(Clone, Default)]
struct Stuck(Arc<AtomicU32>);

impl Vault for Stuck {
    async fn open(&self, released: bool) -> Result<u32, String> {
        let run = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        if released {
            Context::current().release_key();
        }
        if run < 3 {
            return Err(format!("stuck {run}"));
        }
        Ok(run)
    }
}

#[tokio::test]
async fn an_error_is_the_outcome_for_its_key_unless_the_handler_releases_it() {
    let bus = Bus::in_memory();
    let vault = Stuck::default();
    let serving = bus.serve(VaultServer::new(vault.clone())).await.unwrap();
    let client = VaultClient::new(&bus);
    let open = async |released| client.open(released).idempotency_key("k").await;

    for failed in ["stuck 1", "stuck 2"] {
        let error = open(true).await.unwrap_err();
        assert_eq!(error.handler().map(String::as_str), Some(failed));
    }
    // A value is always the outcome.
    assert_eq!(open(true).await.unwrap(), 3);
    assert_eq!(open(true).await.unwrap(), 3);

    vault.0.store(0, Ordering::SeqCst);
    for _ in 0..2 {
        let error = client.open(false).idempotency_key("l").await.unwrap_err();
        assert_eq!(error.handler().map(String::as_str), Some("stuck 1"));
    }
    serving.shutdown().await.unwrap();
}
