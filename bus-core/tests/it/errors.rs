use crate::bank::{AccountsClient, Refused, bank};
use replybus::{Bus, CallError, FailureKind, limits};
use replybus_testkit::wait::eventually;
use std::{error::Error, future::IntoFuture, time::Duration};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_handlers_own_error_is_kept_apart() {
    let (_bus, _, client, _serving) = bank().await;
    let error = client.balance("nobody".into(), 0).await.unwrap_err();
    assert_eq!(error.handler(), Some(&Refused::NoAccount("nobody".into())));
    assert!(error.may_have_executed());
    assert_eq!(error.to_string(), "no account nobody");
}

#[tokio::test]
async fn a_service_that_was_never_served_is_unroutable_at_once() {
    let bus = Bus::in_memory();
    let client = AccountsClient::new(&bus);
    let error = client.post(1).await.unwrap_err();
    let CallError::Bus(failure) = error else {
        panic!("{error}");
    };
    assert_eq!(failure.kind(), FailureKind::Unroutable);
    assert!(!failure.may_have_executed());
    assert_eq!((failure.service(), failure.method()), ("Accounts", "post"));
    assert_eq!(failure.timeout(), Duration::from_secs(2));
    let id = failure.call_id();
    assert!(
        failure
            .to_string()
            .contains(&format!("Accounts.post ({id})"))
    );
    assert_ne!(client.post(1).send().await.unwrap_err().call_id(), id);
    assert!(client.post(1).send().await.is_err());
    assert!(client.post(1).submit().await.is_err());
    assert_eq!(bus.health().calls_waiting, 0);
}

#[tokio::test]
async fn a_panic_is_answered_and_the_service_lives() {
    let (_bus, _, client, _serving) = bank().await;
    for _ in 0..100 {
        let error = client.panics().await.unwrap_err();
        assert_eq!(error.kind(), Some(FailureKind::Panicked));
        assert!(error.may_have_executed());
    }
    let error = client.panics_half_way().await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Panicked));
    assert_eq!(client.balance("a".into(), 1).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_too_large_is_refused_on_its_own_side() {
    let (_bus, _, client, _serving) = bank().await;
    let account = "x".repeat(limits::REQUEST_BYTES_MAX);
    let error = client.balance(account, 0).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::NotSent));
    let error = client.too_much(limits::REPLY_BYTES_MAX).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::BadReply));
    assert!(error.to_string().contains("are allowed"), "{error}");
}

#[tokio::test]
async fn options_that_make_no_sense_are_refused_before_anything_is_sent() {
    let (_bus, ledger, client, _serving) = bank().await;
    for call in [
        client.post(1).idempotency_key(""),
        client.post(1).idempotency_key("x".repeat(256)),
        client.post(1).idempotency_key("a\nb"),
        client.post(1).metadata("Bad Name", "v"),
        client.post(1).timeout(limits::CALL_TIMEOUT_MAX + SECOND),
        client.post(1).timeout(Duration::MAX),
    ] {
        let error = call.await.unwrap_err();
        assert_eq!(error.kind(), Some(FailureKind::NotSent), "{error}");
        let CallError::Bus(failure) = &error else {
            panic!("{error}");
        };
        let cause = failure.cause().unwrap().to_string();
        assert!(error.to_string().ends_with(&cause), "{error}");
    }
    // Nobody waits for the end of these.
    let later = || client.post(1).timeout(limits::SEND_TTL + SECOND);
    let error = later().send().await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotSent);
    assert!(error.to_string().contains("timeout: "), "{error}");
    assert!(later().submit().await.is_err());
    assert!(
        client
            .post(1)
            .timeout(limits::SEND_TTL)
            .send()
            .await
            .is_ok()
    );
    eventually("the only one that was sent runs", || async {
        ledger.runs() == 1
    })
    .await;
    assert_eq!(
        client
            .post(1)
            .timeout(limits::CALL_TIMEOUT_MAX)
            .await
            .unwrap(),
        2
    );
}

#[tokio::test]
async fn a_failure_names_its_reason_and_compares() {
    let (_bus, _, client, _serving) = bank().await;
    let posted = |amount| client.post(amount).idempotency_key("k");
    posted(1).await.unwrap();
    let error = posted(2).await.unwrap_err();
    let said = "the idempotency key was used for another request";
    assert!(error.to_string().ends_with(said), "{error}");
    assert!(error.source().is_none(), "{error}");
    let failure = error.into_handler().unwrap_err();
    assert_eq!(failure, failure);
    let other = posted(2).await.unwrap_err().into_handler().unwrap_err();
    assert_ne!(failure, other, "another call");

    let refused = client.balance("nobody".into(), 0).await;
    let handler = Refused::NoAccount("nobody".into());
    assert_eq!(refused, Err(CallError::Handler(handler.clone())));
    assert_eq!(refused.unwrap_err().into_handler().unwrap(), handler);
}

#[tokio::test]
async fn a_queue_whose_name_is_too_long_with_its_namespace_is_not_sent_to() {
    use replybus::{reply::memory::MemoryReplies, transport::memory::MemoryBroker};
    let bus = Bus::builder()
        .namespace("n".repeat(64))
        .connect(MemoryBroker::new(), MemoryReplies::new())
        .await
        .unwrap();
    let client = AccountsClient::new(&bus).on_queue("q".repeat(191));
    let error = client.post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::NotSent), "{error}");
    let client = AccountsClient::new(&bus).on_queue("q".repeat(190));
    let error = client.post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Unroutable), "{error}");
}

#[tokio::test]
async fn a_full_queue_is_overload_and_surely_not_executed() {
    use crate::bank::{AccountsServer, Ledger};
    let bus = Bus::in_memory();
    let ledger = Ledger::new();
    let _serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .concurrency(1)
        .prefetch(1)
        .queue_length_max(1)
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    let held = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    // One is inside and keeps the only place of the prefetch; one fills the queue.
    let queued = client.post(1).send().await.unwrap();
    let error = client.post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Overloaded), "{error}");
    assert!(!error.may_have_executed());
    ledger.open(1);
    held.await.unwrap().unwrap();
    let _ = queued;
}

#[tokio::test]
async fn a_closed_bus_says_so() {
    let (bus, _, client, serving) = bank().await;
    bus.close(Duration::from_secs(1)).await;
    let error = client.post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Disconnected));
    assert!(!error.may_have_executed());
    serving
        .run_until(std::future::pending::<()>())
        .await
        .unwrap();
}
