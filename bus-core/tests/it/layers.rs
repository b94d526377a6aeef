use crate::{
    bank::{AccountsClient, AccountsServer, Ledger, bank},
    dead_letters,
};
use replybus::{
    Bus, FailureKind,
    client::{CallRequest, ClientService},
    error::{BoxError, FaultCode},
    server::{Answer, Request, ServerService, ServingError},
};
use std::{
    error::Error,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::timeout;
use tower::{Service, layer::layer_fn, limit::ConcurrencyLimitLayer, timeout::TimeoutLayer};

/// Adds a token to calls, and counts them.
#[derive(Clone)]
struct AddToken(ClientService, Arc<AtomicU32>);

impl Service<CallRequest> for AddToken {
    type Response = <ClientService as Service<CallRequest>>::Response;
    type Error = BoxError;
    type Future = <ClientService as Service<CallRequest>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: CallRequest) -> Self::Future {
        self.1.fetch_add(1, Ordering::SeqCst);
        request.metadata_mut().insert("token", "layer").unwrap();
        self.0.call(request)
    }
}

/// Refuses requests without a token.
#[derive(Clone)]
struct NeedToken(ServerService);

impl Service<Request> for NeedToken {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if request.context().metadata().get("token").is_none() {
            let refusal = Answer::fault(FaultCode::BadRequest, "no token");
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        Box::pin(self.0.call(request))
    }
}

#[tokio::test]
async fn layers_go_around_either_end() {
    let bus = Bus::in_memory();
    let _serving = bus
        .serve(AccountsServer::new(Ledger::new()))
        .layer(layer_fn(NeedToken))
        .await
        .unwrap();
    let plain = AccountsClient::new(&bus);
    let error = plain.post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::BadRequest));
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let client = plain.layer(layer_fn(move |inner| AddToken(inner, Arc::clone(&counted))));
    assert_eq!(client.seen().await.unwrap().token.as_deref(), Some("layer"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn towers_own_layers_mean_what_they_mean() {
    let (_bus, ledger, client, _serving) = bank().await;
    let limited = client
        .clone()
        .layer(TimeoutLayer::new(Duration::from_millis(50)))
        .layer(ConcurrencyLimitLayer::new(1));
    let error = limited.wait().await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    ledger.entered(1).await;
    assert_eq!(limited.post(1).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_survives_a_layer_that_gives_up_on_it() {
    let (bus, transport) = dead_letters::bus().await;
    let ledger = Ledger::new();
    let serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .layer(TimeoutLayer::new(Duration::from_millis(50)))
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    let error = client.work().idempotency_key("k").await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    assert!(error.may_have_executed());
    ledger.entered(1).await;
    ledger.open(1);
    // What it came to is recorded, and given to whoever asks under the same key.
    let again = client.work().idempotency_key("k");
    let again = again.timeout(Duration::from_secs(10)).into_future();
    let mut outcome = again.await;
    while outcome
        .as_ref()
        .err()
        .is_some_and(|error| error.is_timeout())
    {
        outcome = client.work().idempotency_key("k").await;
    }
    assert_eq!(outcome.unwrap(), 1);
    assert_eq!(ledger.runs(), 1);
    // It was not half done.
    serving.shutdown().await.unwrap();
    assert_eq!(dead_letters::kept(&transport, "account.requests").await, 0);
}

#[tokio::test]
async fn load_is_shed_only_when_asked_to() {
    let bus = Bus::in_memory();
    let ledger = Ledger::new();
    let _serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .concurrency(1)
        .shed_load()
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    let held = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    let error = client.post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Overloaded));
    assert!(!error.may_have_executed());
    ledger.open(1);
    held.await.unwrap().unwrap();
    assert_eq!(client.post(1).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_way_calls_are_not_shed() {
    let (bus, transport) = dead_letters::bus().await;
    let ledger = Ledger::new();
    let serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .concurrency(1)
        .shed_load()
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    client.work().send().await.unwrap();
    ledger.entered(1).await;
    client.work().send().await.unwrap();
    // Taken after the other.
    let shed = client.post(1).await.unwrap_err();
    assert_eq!(shed.kind(), Some(FailureKind::Overloaded));
    ledger.open(1);
    let second = timeout(Duration::from_secs(60), ledger.entered(1));
    second.await.unwrap();
    ledger.open(1);
    serving.shutdown().await.unwrap();
    assert_eq!(ledger.runs(), 2);
    assert_eq!(dead_letters::kept(&transport, "account.requests").await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_a_layer_gave_up_on_keeps_its_share_of_the_concurrency() {
    let bus = Bus::in_memory();
    let ledger = Ledger::new();
    let serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .concurrency(1)
        .layer(TimeoutLayer::new(Duration::from_millis(50)))
        .await
        .unwrap();
    let client = AccountsClient::new(&bus);
    client.work().await.unwrap_err();
    ledger.entered(1).await;
    client.work().send().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ledger.entered.available_permits(), 0);
    ledger.open(1);
    ledger.entered(1).await;
    ledger.open(1);
    serving.shutdown().await.unwrap();
    assert_eq!(ledger.runs(), 2);
}

/// A layer that is not ready, and then fails for good.
#[tokio::test]
async fn a_layer_that_fails_for_good_ends_the_service_and_says_so() {
    #[derive(Clone)]
    struct Broken(#[allow(dead_code)] ServerService);
    impl Service<Request> for Broken {
        type Response = Answer;
        type Error = BoxError;
        type Future = std::future::Ready<Result<Answer, BoxError>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err("broken".into()))
        }
        fn call(&mut self, _: Request) -> Self::Future {
            std::future::ready(Ok(Answer::fault(FaultCode::Failed, "broken")))
        }
    }
    let bus = Bus::in_memory();
    let serving = bus
        .serve(AccountsServer::new(Ledger::new()))
        .layer(layer_fn(Broken))
        .await
        .unwrap();
    let served = serving.run_until(std::future::pending::<()>()).await;
    let error = served.unwrap_err();
    assert!(matches!(error, ServingError::Stopped { .. }), "{error}");
    assert!(error.to_string().contains("Accounts"), "{error}");
    assert_eq!(error.source().unwrap().to_string(), "broken");
}

#[tokio::test]
async fn a_layer_that_denies_is_believed() {
    let bus = Bus::in_memory();
    let _serving = bus
        .serve(AccountsServer::new(Ledger::new()))
        .layer(layer_fn(|_: ServerService| {
            tower::service_fn(|_: Request| async {
                Ok::<_, BoxError>(Answer::fault(FaultCode::Denied, "not yours"))
            })
        }))
        .await
        .unwrap();
    let error = AccountsClient::new(&bus).post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Denied));
    assert!(!error.may_have_executed());
}
