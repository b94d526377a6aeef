//! A call that takes more than one copy of its request: what is true of one need not be of another.

use crate::{
    bank::{AccountsClient, AccountsServer, Ledger, Refused},
    between::Between,
    unsure::Unsure,
};
use replybus::{
    Bus, CallError, FailureKind, Ticket,
    client::{CallRequest, CallResponse, ClientService},
    error::BoxError,
    reply::memory::MemoryReplies,
    server::Serving,
    transport::{QueueSpec, Settled, Source, Transport, Verdict},
};
use std::{future::IntoFuture, sync::Arc};
use tower::{ServiceExt, layer::layer_fn, service_fn};

/// A service with room for one handler that refuses what is too much, over a transport that is
/// unsure of everything.
async fn unsure() -> (Bus, Arc<Between<Unsure>>, Ledger, AccountsClient, Serving) {
    let transport = Unsure::transport();
    let bus = Bus::builder()
        .connect(Arc::clone(&transport), MemoryReplies::new())
        .await
        .unwrap();
    let ledger = Ledger::new();
    let serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .concurrency(1)
        .shed_load()
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    (bus, transport, ledger, client, serving)
}

fn assert_perhaps<T: std::fmt::Debug, E: std::fmt::Debug>(
    outcome: Result<T, CallError<E>>,
    kind: FailureKind,
) {
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Some(kind), "{error:?}");
    assert!(error.may_have_executed(), "{error:?}");
}

#[tokio::test]
async fn a_copy_that_is_refused_says_nothing_of_the_one_that_runs() {
    let (_bus, transport, ledger, client, _serving) = unsure().await;
    let call = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    transport.say(Verdict::Lost);
    assert_perhaps(call.await.unwrap(), FailureKind::Overloaded);
    ledger.open(1);
}

#[tokio::test]
async fn a_ticket_knows_that_its_call_was_repeated() {
    let (bus, transport, ledger, client, _serving) = unsure().await;
    let submitting = tokio::spawn(async move { client.work().submit().await });
    ledger.entered(1).await;
    transport.say(Verdict::Lost);
    transport.published(2).await;
    transport.say(Verdict::Confirmed);
    let ticket = submitting.await.unwrap().unwrap();
    let stored = serde_json::to_string(&ticket).unwrap();
    let ticket: Ticket<Result<u32, Refused>> = serde_json::from_str(&stored).unwrap();
    assert_perhaps(ticket.wait(&bus).await, FailureKind::Overloaded);
    ledger.open(1);
}

#[tokio::test]
async fn a_ticket_of_one_copy_believes_its_reply_and_so_does_one_that_says_nothing() {
    let (bus, transport, ledger, client, _serving) = unsure().await;
    let held = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    let submitting = tokio::spawn(async move { client.work().submit().await });
    transport.published(2).await;
    transport.say(Verdict::Confirmed);
    transport.say(Verdict::Confirmed);
    let ticket = submitting.await.unwrap().unwrap();
    let mut stored = serde_json::to_value(&ticket).unwrap();
    stored.as_object_mut().unwrap().remove("repeated").unwrap();
    let older: Ticket<Result<u32, Refused>> = serde_json::from_value(stored).unwrap();
    for error in [
        ticket.wait(&bus).await.unwrap_err().kind(),
        older.wait(&bus).await.unwrap_err().kind(),
    ] {
        assert_eq!(error, Some(FailureKind::Overloaded));
    }
    assert!(!ticket.wait(&bus).await.unwrap_err().may_have_executed());
    assert!(!older.wait(&bus).await.unwrap_err().may_have_executed());
    ledger.open(1);
    held.await.unwrap().unwrap();
}

#[tokio::test]
async fn further_copies_are_marked() {
    let transport = Unsure::transport();
    let bus = Bus::builder()
        .connect(Arc::clone(&transport), MemoryReplies::new())
        .await
        .unwrap();
    let source = Source::new(QueueSpec::new("account.requests"), 10);
    let mut deliveries = transport.consume(source).await.unwrap();
    let call = tokio::spawn(AccountsClient::new(&bus).post(1).into_future());
    let mut marks = Vec::new();
    for _ in 0..3 {
        let delivery = deliveries.next().await.unwrap();
        let mark = delivery.message.properties.header("repeated");
        marks.push(mark.map(str::to_owned));
        delivery.settler.settle(Settled::Ack);
        transport.say(Verdict::Lost);
    }
    assert_eq!(marks, [None, Some("true".into()), Some("true".into())]);
    call.abort();
}

/// Makes a second attempt as soon as the first one is published.
async fn twice(
    inner: ClientService,
    transport: Arc<Between<Unsure>>,
    request: CallRequest,
) -> Result<CallResponse, BoxError> {
    let first = tokio::spawn(inner.clone().oneshot(request.clone()));
    transport.published(1).await;
    let second = inner.oneshot(request).await;
    first.abort();
    second
}

#[tokio::test]
async fn the_copies_that_a_layer_makes_are_counted_too() {
    let (_bus, transport, ledger, client, _serving) = unsure().await;
    let client = client.layer(layer_fn(move |inner: ClientService| {
        let transport = Arc::clone(&transport);
        service_fn(move |request| twice(inner.clone(), Arc::clone(&transport), request))
    }));
    assert_perhaps(client.wait().await, FailureKind::Overloaded);
    ledger.open(1);
}

/// Makes a second attempt when the first one was surely not run.
async fn once_more(inner: ClientService, request: CallRequest) -> Result<CallResponse, BoxError> {
    let _ = inner.clone().oneshot(request.clone()).await;
    inner.oneshot(request).await
}

#[tokio::test]
async fn a_copy_that_was_refused_before_the_next_was_made_does_not_count() {
    let (_bus, _transport, ledger, client, _serving) = unsure().await;
    let held = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    let client = client.layer(layer_fn(|inner: ClientService| {
        service_fn(move |request| once_more(inner.clone(), request))
    }));
    let error = client.wait().await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Overloaded));
    assert!(!error.may_have_executed());
    ledger.open(1);
    held.await.unwrap().unwrap();
}
