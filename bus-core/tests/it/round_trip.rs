use crate::bank::{AccountsClient, AccountsServer, Ledger, bank};
use replybus::{Bus, ContentType};
use replybus_testkit::wait::AT_MOST;
use std::future::IntoFuture;

#[tokio::test]
async fn a_value_comes_back() {
    let (bus, _, client, _serving) = bank().await;
    assert_eq!(client.balance("a".into(), -7).await.unwrap(), -7);
    assert_eq!(client.post(1).await.unwrap(), 1);
    assert_eq!(bus.health().calls_waiting, 0);
    assert!(bus.health().is_up());
}

#[tokio::test]
async fn the_caller_chooses_the_encoding() {
    let (_bus, _, client, _serving) = bank().await;
    let client = client.with_content_type(ContentType::Json);
    assert_eq!(
        client.balance("a".into(), i64::MIN).await.unwrap(),
        i64::MIN
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_find_their_own_replies() {
    let (bus, _, client, _serving) = bank().await;
    let calls = (0..1_000).map(|n| {
        // On a machine that does much else they take their time.
        let call = client.balance("a".into(), n).timeout(AT_MOST);
        tokio::spawn(async move { assert_eq!(call.await.unwrap(), n) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(bus.health().calls_waiting, 0);
}

#[tokio::test]
async fn two_members_share_one_queue_and_other_queues_are_apart() {
    let (bus, ledger, client, _serving) = bank().await;
    let _second = bus.serve(AccountsServer::new(ledger)).await.unwrap();
    let other = Ledger::new();
    let _third = bus
        .serve(AccountsServer::new(other.clone()))
        .on_queue("account.tenant-7")
        .await
        .unwrap();
    for n in 1..=10 {
        assert_eq!(client.post(0).await.unwrap(), n);
    }
    assert_eq!(other.runs(), 0);
    let tenant = AccountsClient::new(&bus).on_queue("account.tenant-7");
    assert_eq!(tenant.post(0).await.unwrap(), 1);
}

#[tokio::test]
async fn a_dropped_call_frees_its_place() {
    let (bus, ledger, client, _serving) = bank().await;
    let call = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    assert_eq!(bus.health().calls_waiting, 1);
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(bus.health().calls_waiting, 0);
    // The service goes on, and its late reply harms nobody.
    ledger.open(1);
    assert_eq!(client.balance("a".into(), 1).await.unwrap(), 1);
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_by_name() {
    let bus = Bus::in_memory();
    let serve = || bus.serve(AccountsServer::new(Ledger::new()));
    for (serving, named) in [
        (serve().concurrency(0), "concurrency"),
        (serve().concurrency(9).prefetch(8), "prefetch"),
        (serve().prefetch(u16::MAX), "prefetch"),
        (serve().queue_length_max(0), "queue_length_max"),
        (serve().on_queue(""), "queue"),
        (serve().on_queue("a b"), "queue"),
        (serve().on_queue("amq.direct"), "queue"),
    ] {
        let error = serving.await.unwrap_err().to_string();
        assert!(error.starts_with(named), "{error}");
    }
}
