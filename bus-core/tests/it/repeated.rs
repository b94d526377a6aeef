//! A call that takes more than one copy of its request: what is true of one need not be of another.

use crate::{
    bank::{AccountsClient, AccountsServer, Ledger, Refused},
    unsure::Unsure,
};
use replybus::{
    Bus, CallError, FailureKind, Ticket,
    client::{CallRequest, CallResponse, ClientService},
    contract::QueueType,
    error::BoxError,
    reply::memory::MemoryReplies,
    server::Serving,
    transport::{QueueSpec, Settled, Source, Transport, Verdict},
};
use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Service, layer::layer_fn};

/// A service with room for one handler that refuses what is too much, over a transport that is
/// unsure of everything.
async fn unsure() -> (Bus, Arc<Unsure>, Ledger, AccountsClient, Serving) {
    let transport = Unsure::new();
    let bus = Bus::builder()
        .open(Arc::<Unsure>::clone(&transport), MemoryReplies::new())
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
    let transport = Unsure::new();
    let bus = Bus::builder()
        .open(Arc::<Unsure>::clone(&transport), MemoryReplies::new())
        .await
        .unwrap();
    let source = Source {
        queue: QueueSpec {
            name: "account.requests".into(),
            queue_type: QueueType::Classic,
            length_max: None,
        },
        prefetch: 10,
        bindings: Vec::new(),
    };
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
#[derive(Clone)]
struct Twice(ClientService, Arc<Unsure>);

impl Service<CallRequest> for Twice {
    type Response = CallResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<CallResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        let first = self.0.call(request.clone());
        let transport = Arc::clone(&self.1);
        let mut service = self.0.clone();
        Box::pin(async move {
            let first = tokio::spawn(first);
            transport.published(1).await;
            let second = service.call(request).await;
            first.abort();
            second
        })
    }
}

#[tokio::test]
async fn the_copies_that_a_layer_makes_are_counted_too() {
    let (_bus, transport, ledger, client, _serving) = unsure().await;
    let unsure = Arc::clone(&transport);
    let client = client.layer(layer_fn(move |inner| Twice(inner, Arc::clone(&unsure))));
    assert_perhaps(client.wait().await, FailureKind::Overloaded);
    ledger.open(1);
}

/// Makes a second attempt when the first one was surely not run.
#[derive(Clone)]
struct OnceMore(ClientService);

impl Service<CallRequest> for OnceMore {
    type Response = CallResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<CallResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        let first = self.0.call(request.clone());
        let mut service = self.0.clone();
        Box::pin(async move {
            first.await?;
            service.call(request).await
        })
    }
}

#[tokio::test]
async fn a_copy_that_was_refused_before_the_next_was_made_does_not_count() {
    let (_bus, _transport, ledger, client, _serving) = unsure().await;
    let held = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    let error = client.layer(layer_fn(OnceMore)).wait().await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Overloaded));
    assert!(!error.may_have_executed());
    ledger.open(1);
    held.await.unwrap().unwrap();
}
