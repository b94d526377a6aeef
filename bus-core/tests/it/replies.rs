//! Replies as the caller's layers see them.

use crate::bank::{AccountsClient, AccountsServer, Ledger};
use replybus::{
    Bus, Bytes, CallId, FailureKind,
    client::{CallOutcome, CallRequest, CallResponse, ClientService},
    error::{BoxError, FaultCode},
    reply::{Arrivals, Reply, ReplyBackend, ReplyTarget, memory::MemoryReplies},
    server::{Answer, Request, ServerService, Serving},
    transport::{QueueSpec, Settled, Source, Transport, memory::MemoryBroker},
};
use std::sync::{Arc, Mutex};
use tower::{
    ServiceExt,
    layer::layer_fn,
    retry::{Policy, RetryLayer},
    service_fn,
};

/// What a layer saw of the calls that passed it.
#[derive(Debug, Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn around(&self, client: AccountsClient) -> AccountsClient {
        let seen = self.clone();
        client.layer(layer_fn(move |inner: ClientService| {
            let seen = seen.clone();
            service_fn(move |request| seen.clone().call(inner.clone(), request))
        }))
    }

    async fn call(
        self,
        inner: ClientService,
        request: CallRequest,
    ) -> Result<CallResponse, BoxError> {
        let outcome = inner.oneshot(request).await;
        let seen = match CallOutcome::of(&outcome) {
            CallOutcome::Failed {
                kind,
                may_have_executed,
                ..
            } => format!("{} {may_have_executed}", kind.as_str()),
            outcome => outcome.label().to_owned(),
        };
        self.0.lock().unwrap().push(seen);
        outcome
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Nobody;

impl Arrivals for Nobody {
    fn arrived(&self, _: CallId, _: Bytes) {}

    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_layer_sees_each_kind_of_reply_as_it_was_read() {
    let bus = Bus::in_memory();
    let serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let seen = Seen::default();
    let client = seen.around(AccountsClient::new(&bus));
    client.post(1).await.unwrap();
    client.post(1).send().await.unwrap();
    let posted = || client.post(1).idempotency_key("key");
    posted().await.unwrap();
    let conflict = client.post(2).idempotency_key("key").await.unwrap_err();
    assert_eq!(conflict.kind(), Some(FailureKind::KeyConflict));
    client.balance("nobody".into(), 1).await.unwrap_err();
    client.panics().await.unwrap_err();
    assert_eq!(
        seen.taken(),
        [
            "ok",
            "accepted",
            "ok",
            "key_conflict false",
            "handler",
            "panicked true"
        ]
    );
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_is_a_failure_for_layers_too() {
    let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new().connect());
    let replies = MemoryReplies::new();
    let bus = Bus::builder()
        .connect(Arc::clone(&transport), replies.clone())
        .await
        .unwrap();
    let store = Box::new(replies).open("", Arc::new(Nobody)).await.unwrap();
    let source = Source::new(QueueSpec::new("account.requests"), 1);
    let mut deliveries = transport.consume(source).await.unwrap();

    let seen = Seen::default();
    let client = seen.around(AccountsClient::new(&bus));
    let call = tokio::spawn(async move { client.post(1).await });
    let delivery = deliveries.next().await.unwrap();
    let properties = &delivery.message.properties;
    let id = properties.correlation_id.as_deref().unwrap();
    let inbox = properties.reply_to.clone().unwrap();
    let garbage = Reply::new(
        id.parse().unwrap(),
        ReplyTarget::Inbox(inbox),
        Bytes::from_static(b"no reply"),
    );
    store.store(garbage).await.unwrap();
    delivery.settler.settle(Settled::Ack);

    let error = call.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::BadReply));
    assert!(error.may_have_executed());
    assert_eq!(seen.taken(), ["bad_reply true"]);
}

/// Answers each call with the next of these faults.
async fn refusing(codes: &[FaultCode]) -> (Bus, Serving) {
    let bus = Bus::in_memory();
    let codes = Arc::new(Mutex::new(codes.to_vec()));
    let layer = layer_fn(move |_: ServerService| {
        let codes = Arc::clone(&codes);
        service_fn(move |_: Request| {
            let code = codes.lock().unwrap().remove(0);
            async move { Ok::<_, BoxError>(Answer::fault(code, "no")) }
        })
    });
    let serving = bus.serve(AccountsServer::new(Ledger::new())).layer(layer);
    let serving = serving.await.unwrap();
    (bus, serving)
}

#[tokio::test]
async fn what_a_service_refuses_is_an_error_for_layers_with_its_kind() {
    let refused = [
        (FaultCode::Overloaded, "overloaded false"),
        (FaultCode::Denied, "denied false"),
        (FaultCode::Expired, "expired false"),
        (FaultCode::Panicked, "panicked true"),
        (FaultCode::TimedOut, "timed_out true"),
    ];
    let (bus, serving) = refusing(&refused.map(|(code, _)| code)).await;
    let seen = Seen::default();
    let client = seen.around(AccountsClient::new(&bus));
    for (code, expected) in refused {
        let error = client.post(1).await.unwrap_err();
        assert_eq!(error.kind(), Some(code.into()));
        assert_eq!(seen.taken(), [expected]);
    }
    serving.shutdown().await.unwrap();
}

/// Repeats up to twice what surely was not run.
#[derive(Clone)]
struct Twice(u32);

impl Policy<CallRequest, CallResponse, BoxError> for Twice {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut CallRequest,
        result: &mut Result<CallResponse, BoxError>,
    ) -> Option<Self::Future> {
        let surely_not = matches!(
            CallOutcome::of(result),
            CallOutcome::Failed {
                may_have_executed: false,
                ..
            }
        );
        self.0 = self.0.checked_sub(1).filter(|_| surely_not)?;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &CallRequest) -> Option<CallRequest> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn towers_retry_repeats_what_a_service_refused_and_no_more() {
    use FaultCode::{Overloaded, Panicked};
    for (answers, expected) in [
        (
            &[Overloaded, Panicked][..],
            &["overloaded false", "panicked true"][..],
        ),
        (&[Overloaded; 3], &["overloaded false"; 3]),
    ] {
        let (bus, serving) = refusing(answers).await;
        let seen = Seen::default();
        let client = seen.around(AccountsClient::new(&bus));
        let client = client.layer(RetryLayer::new(Twice(2)));
        client.post(1).await.unwrap_err();
        assert_eq!(seen.taken(), expected);
        serving.shutdown().await.unwrap();
    }
}
