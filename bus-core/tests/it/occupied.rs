//! One queue is for one contract: what would divide its messages is refused where it can be seen,
//! and says who is there where it can't. And a service that ended unasked is no secret.

use crate::{
    bad_input::Nobody,
    bank::{AccountsClient, AccountsServer, Ledger},
    dead_letters::{dead, next},
    logged::Lines,
};
use replybus::{
    Bus, CallId, Event, FailureKind, Never, SetupError,
    contract::QueueType,
    queue_handler,
    reply::{ReplyBackend, memory::MemoryReplies},
    transport::{Outgoing, Transport, Verdict, memory::MemoryBroker},
    wire::ReplyFrame,
};
use replybus_testkit::wait::eventually;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tracing::Level;

#[queue_handler("account.requests")]
trait Rates {
    #[query]
    async fn latest(&self) -> Result<u32, Never>;
}

struct Fixed;

impl Rates for Fixed {
    async fn latest(&self) -> Result<u32, Never> {
        Ok(7)
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event("rate.changed")]
struct Changed {}

#[derive(Event, Serialize, Deserialize)]
#[event("rate.removed")]
struct Removed {}

fn accounts() -> AccountsServer<Ledger> {
    AccountsServer::new(Ledger::new())
}

/// Refused as a setting, with both names and the remedy.
fn refused<T>(outcome: Result<T, SetupError>, names: &[&str]) {
    let Err(SetupError::Setting { reason, .. }) = outcome else {
        panic!("it was not refused");
    };
    for name in names {
        assert!(reason.contains(name), "{name}: {reason}");
    }
}

#[tokio::test]
async fn two_contracts_on_one_queue_are_refused() {
    let bus = Bus::in_memory();
    let serving = bus.serve(accounts()).await.unwrap();
    let names = ["service Accounts", "service Rates", "account.requests"];
    refused(bus.serve(RatesServer::new(Fixed)).await, &names);
    // On a queue of its own it is welcome, and so is another worker of the first.
    let own = bus.serve(RatesServer::new(Fixed)).on_queue("rates");
    let _own = own.await.unwrap();
    let _second = bus.serve(accounts()).await.unwrap();
    refused(bus.serve(accounts()).on_queue("rates").await, &names[..2]);
    serving.shutdown().await.unwrap();
    refused(bus.serve(RatesServer::new(Fixed)).await, &names);
}

#[tokio::test]
async fn a_queue_is_free_again_when_its_service_ended_or_did_not_start() {
    let bus = Bus::in_memory();
    let serving = bus.serve(accounts()).await.unwrap();
    serving.shutdown().await.unwrap();
    let other = bus.serve(RatesServer::new(Fixed));
    let other = other.queue_type(QueueType::Quorum).await;
    assert!(matches!(other, Err(SetupError::Topology { .. })));
    let other = bus.serve(RatesServer::new(Fixed)).await.unwrap();
    other.shutdown().await.unwrap();
    let _serving = bus.serve(accounts()).await.unwrap();
}

#[tokio::test]
async fn a_group_shares_a_queue_with_no_service_and_no_other_event() {
    let bus = Bus::in_memory();
    let _serving = bus.serve(accounts()).await.unwrap();
    let changed = |_: Changed| std::future::ready(());
    let removed = |_: Removed| std::future::ready(());
    let named_like_it = bus.subscribe("account.requests", changed).await;
    refused(named_like_it, &["service Accounts", "rate.changed"]);
    let _group = bus.subscribe("rates", changed).await.unwrap();
    let _member = bus.subscribe("rates", changed).await.unwrap();
    let other_event = bus.subscribe("rates", removed).await;
    refused(other_event, &["rate.changed", "rate.removed", "rates"]);
    let service = bus.serve(RatesServer::new(Fixed)).on_queue("rates").await;
    refused(service, &["service Rates", "rate.changed"]);
}

#[tokio::test]
async fn dead_letters_are_nobodys_requests() {
    let bus = Bus::in_memory();
    let serving = bus.serve(accounts()).await.unwrap();
    let dead = bus.serve(accounts()).on_queue("account.requests.dead");
    refused(dead.await, &["account.requests.dead", "dead letters"]);
    serving.shutdown().await.unwrap();
    let dead = bus.serve(accounts()).on_queue("other.dead");
    let _dead = dead.await.unwrap();
    let other = bus.serve(accounts()).on_queue("other");
    refused(other.await, &["other.dead", "dead letters"]);
}

/// In two processes nobody sees it coming.
#[tokio::test]
async fn an_unknown_method_says_which_service_is_there() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let connect = || Bus::connect(broker.clone(), replies.clone());
    let (theirs, ours) = (connect().await.unwrap(), connect().await.unwrap());
    let _serving = theirs.serve(RatesServer::new(Fixed)).await.unwrap();
    let error = AccountsClient::new(&ours).post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::UnknownMethod));
    let text = format!("{:?}", error);
    for name in ["account.requests", "Rates", "latest", "post"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_call_that_comes_to_a_group_is_told_so() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let connect = || Bus::connect(broker.clone(), replies.clone());
    let (theirs, ours) = (connect().await.unwrap(), connect().await.unwrap());
    let group = theirs.subscribe("account.requests", |_: Changed| std::future::ready(()));
    let _group = group.await.unwrap();
    let client = AccountsClient::new(&ours);
    let error = client.post(1).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::UnknownMethod));
    assert!(!error.may_have_executed());
    let text = format!("{error:?}");
    assert!(
        text.contains("group") && text.contains("rate.changed"),
        "{text}"
    );

    // The same of a submitted one, and a one-way call is kept.
    let id: CallId = client.post(1).send().await.unwrap();
    let transport: Arc<dyn Transport> = Arc::new(broker.connect());
    let mut letters = dead(&transport, "account.requests").await;
    let (reason, letter) = next(&mut letters).await;
    assert_eq!(reason, "bad_request");
    assert_eq!(letter.properties.message_id, Some(id.to_string().into()));
    let id = CallId::new();
    let mut message = letter;
    message.routing_key = "account.requests".into();
    message.properties.correlation_id = Some(id.to_string().into());
    let mut receipt = transport.publish(Outgoing::new(message));
    assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    let store = Box::new(replies).open("", Arc::new(Nobody)).await.unwrap();
    eventually("it is answered", || async {
        let Some(frame) = store.fetch(id).await.unwrap() else {
            return false;
        };
        matches!(ReplyFrame::decode(&frame).unwrap().1, ReplyFrame::Fault(_))
    })
    .await;
}

#[tokio::test]
async fn a_service_that_was_dropped_says_so_and_health_names_its_queue() {
    let lines = Lines::at(Level::INFO);
    let _logging = tracing::subscriber::set_default(lines.clone());
    let bus = Bus::in_memory();
    // By mistake: there is no name to keep it.
    let _ = bus.serve(accounts()).await.unwrap();
    eventually("health names it", || async { !bus.health().is_up() }).await;
    let reason = &bus.health().not_consumed["account.requests"];
    assert!(reason.contains("dropped"), "{reason}");
    let lines = lines.taken();
    let told = lines
        .iter()
        .filter(|line| line.contains("takes no more messages"));
    let told: Vec<&String> = told.collect();
    assert_eq!(told.len(), 1, "{lines:?}");
    for part in ["service Accounts", "account.requests", "dropped"] {
        assert!(told[0].contains(part), "{told:?}");
    }

    // Served again, and ended on purpose.
    let again = bus.serve(accounts()).await.unwrap();
    assert!(bus.health().is_up());
    again.shutdown().await.unwrap();
    assert!(bus.health().is_up(), "{:?}", bus.health());
}

#[tokio::test]
async fn one_of_two_workers_that_is_dropped_leaves_the_queue_served() {
    let bus = Bus::in_memory();
    let kept = bus.serve(accounts()).await.unwrap();
    drop(bus.serve(accounts()).await.unwrap());
    eventually("one consumer is left", || async {
        let state = bus.inspect("account.requests").await.unwrap();
        state.unwrap().consumers == 1
    })
    .await;
    assert!(bus.health().is_up());
    drop(kept);
    eventually("health names it", || async { !bus.health().is_up() }).await;
}

#[tokio::test]
async fn a_subscription_that_is_dropped_is_named_and_one_of_a_closed_bus_is_not() {
    let bus = Bus::in_memory();
    let changed = |_: Changed| std::future::ready(());
    let kept = bus.subscribe("kept", changed).await.unwrap();
    drop(bus.subscribe("dropped", changed).await.unwrap());
    eventually("health names it", || async {
        bus.health().not_consumed.keys().eq(["dropped"])
    })
    .await;
    bus.close(Duration::from_secs(1)).await;
    assert!(bus.health().not_consumed.keys().eq(["dropped"]));
    drop(kept);
}
