//! What nobody would otherwise learn of is kept, with its reason.

use crate::bank::{AccountsClient, AccountsServer, Ledger, Refused};
use replybus::{
    Bus, Never,
    contract::QueueType,
    message::Message,
    queue_handler,
    reply::memory::MemoryReplies,
    transport::{
        Deliveries, Outgoing, QueueSpec, Settled, Source, Transport, Verdict, memory::MemoryBroker,
    },
};
use std::{future::IntoFuture, sync::Arc, time::Duration};

#[queue_handler("refusing.requests")]
trait Refusing {
    async fn refuse(&self) -> Result<Never, Refused>;
}

struct Refuses;

impl Refusing for Refuses {
    async fn refuse(&self) -> Result<Never, Refused> {
        Err(Refused::NoAccount("x".into()))
    }
}

pub(crate) async fn bus() -> (Bus, Arc<dyn Transport>) {
    let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new().connect());
    let bus = Bus::builder()
        .connect(Arc::clone(&transport), MemoryReplies::new())
        .await
        .unwrap();
    (bus, transport)
}

/// How many messages of a queue are kept as dead letters.
pub(crate) async fn kept(transport: &Arc<dyn Transport>, of: &str) -> u64 {
    let dead = transport.inspect(&format!("{of}.dead")).await.unwrap();
    dead.unwrap().waiting
}

pub(crate) async fn dead(transport: &Arc<dyn Transport>, of: &str) -> Box<dyn Deliveries> {
    let queue = QueueSpec::new(format!("{of}.dead")).or_existing();
    let source = Source::new(queue, 10);
    transport.consume(source).await.unwrap()
}

pub(crate) async fn next(dead: &mut Box<dyn Deliveries>) -> (String, Message) {
    let delivery = dead.next().await.unwrap();
    delivery.settler.settle(Settled::Ack);
    let message = delivery.message;
    let reason = message.properties.header("dead-letter-reason").unwrap();
    (reason.to_owned(), message)
}

#[tokio::test]
async fn a_one_way_command_that_fails_is_kept_whole() {
    let (bus, transport) = bus().await;
    let _serving = bus.serve(RefusingServer::new(Refuses)).await.unwrap();
    let mut dead = dead(&transport, "refusing.requests").await;
    let client = RefusingClient::new(&bus);
    // Its caller waits and is told: nothing is kept.
    assert!(client.refuse().await.unwrap_err().handler().is_some());
    let call = client.refuse().idempotency_key("k").metadata("token", "t");
    let id = call.send().await.unwrap();
    let (reason, message) = next(&mut dead).await;
    assert_eq!(reason, "handler");
    let properties = &message.properties;
    assert_eq!(
        properties.message_id.as_deref(),
        Some(id.to_string().as_str())
    );
    assert_eq!(properties.kind.as_deref(), Some("refuse"));
    assert_eq!(properties.header("idempotency-key"), Some("k"));
    assert_eq!(properties.header("token"), Some("t"));
    assert_eq!(
        properties.header("dead-letter-queue"),
        Some("refusing.requests")
    );
    assert_eq!(properties.expiration, None);
    assert!(properties.persistent);
}

#[tokio::test]
async fn secrets_are_not_kept() {
    let (bus, transport) = bus().await;
    let serving = bus.serve(RefusingServer::new(Refuses));
    let _serving = serving.secret_metadata(["session"]).await.unwrap();
    let mut dead = dead(&transport, "refusing.requests").await;
    let call = RefusingClient::new(&bus).refuse();
    let call = call.metadata("session", "s3cret").metadata("tenant", "7");
    call.send().await.unwrap();
    let (_, message) = next(&mut dead).await;
    assert_eq!(message.properties.header("session"), None);
    assert_eq!(message.properties.header("tenant"), Some("7"));
}

#[tokio::test]
async fn a_command_that_may_be_half_done_is_kept_even_when_its_caller_knows() {
    let (bus, transport) = bus().await;
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let mut dead = dead(&transport, "account.requests").await;
    let client = AccountsClient::new(&bus);
    client.panics().await.unwrap_err();
    client.panics_half_way().await.unwrap_err();
    let (reason, message) = next(&mut dead).await;
    // The query's panic left nothing.
    assert_eq!(reason, "panicked");
    assert_eq!(message.properties.kind.as_deref(), Some("panics_half_way"));
}

#[tokio::test]
async fn a_letter_that_is_moved_back_is_handled_again() {
    let (bus, transport) = bus().await;
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let mut dead = dead(&transport, "account.requests").await;
    let client = AccountsClient::new(&bus);
    client.panics_half_way().await.unwrap_err();
    let (_, mut letter) = next(&mut dead).await;
    // Its caller's time is not the time of whoever moves it.
    assert_eq!(letter.properties.header("deadline"), None);
    letter.routing_key = "account.requests".into();
    let mut receipt = transport.publish(Outgoing::new(letter));
    assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    let (reason, again) = next(&mut dead).await;
    assert_eq!(reason, "panicked", "it ran");
    let reasons = again.properties.headers.iter();
    let reasons = reasons.filter(|(name, _)| name == "dead-letter-reason");
    assert_eq!(reasons.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_repetition_of_a_command_that_still_runs_is_not_kept() {
    let (bus, transport) = bus().await;
    let ledger = Ledger::new();
    let serving = bus.serve(AccountsServer::new(ledger.clone()));
    let serving = serving.await.unwrap();
    let client = AccountsClient::new(&bus);
    let work = |timeout| client.work().idempotency_key("k").timeout(timeout);
    let running = tokio::spawn(work(Duration::from_secs(60)).into_future());
    ledger.entered(1).await;
    let error = work(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.is_timeout() && error.may_have_executed());
    ledger.open(1);
    assert_eq!(running.await.unwrap().unwrap(), 1);
    serving.shutdown().await.unwrap();
    assert_eq!(kept(&transport, "account.requests").await, 0);
}

#[tokio::test]
async fn serving_declares_the_queue_of_dead_letters() {
    let (bus, transport) = bus().await;
    let _serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let other = QueueSpec::new("account.requests.dead").queue_type(QueueType::Quorum);
    let error = transport.declare(other).await.unwrap_err().to_string();
    assert!(error.contains("account.requests.dead"), "{error}");
}
