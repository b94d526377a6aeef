//! Replies as the caller's layers see them.

use crate::bank::{AccountsClient, AccountsServer, Ledger};
use replybus::{
    Bus, Bytes, CallFailure, CallId, FailureKind,
    client::{CallRequest, CallResponse, ClientService},
    error::{BoxError, FaultCode},
    reply::{Arrivals, Reply, ReplyBackend, ReplyTarget, memory::MemoryReplies},
    transport::{QueueSpec, Settled, Source, Transport, memory::MemoryBroker},
    wire::ReplyFrame,
};
use std::sync::{Arc, Mutex};
use tower::{ServiceExt, layer::layer_fn, service_fn};

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
        let seen = match &outcome {
            Ok(response) => match response.reply() {
                Some((_, ReplyFrame::Ok(_))) => "ok".to_owned(),
                Some((_, ReplyFrame::Handler(_))) => "handler".to_owned(),
                Some((_, ReplyFrame::Fault(fault))) => fault.code.as_str().to_owned(),
                Some(_) => "unknown".to_owned(),
                None => "accepted".to_owned(),
            },
            Err(error) => match error.downcast_ref::<CallFailure>() {
                Some(failure) => format!("{:?}", failure.kind()),
                None => error.to_string(),
            },
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
    let conflict = FaultCode::KeyConflict.as_str();
    assert_eq!(seen.taken(), ["ok", "accepted", "ok", conflict]);
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
    assert_eq!(seen.taken(), ["BadReply"]);
}
