//! A service whose store, or its names, are not the caller's says so: the caller can't know.

use crate::{
    bank::{AccountsClient, AccountsServer, Ledger},
    logged::Lines,
};
use replybus::{
    Bus, CallId, FailureKind,
    message::{Message, Properties},
    reply::memory::MemoryReplies,
    transport::{Outgoing, Transport, memory::MemoryBroker},
};
use replybus_testkit::wait::until;
use std::{sync::Arc, time::Duration};
use tracing::Level;

/// The lines, once there are any.
async fn told(lines: &Lines) -> Vec<String> {
    until("it is told", || async {
        let lines = lines.taken();
        if lines.is_empty() {
            Err("not yet")
        } else {
            Ok(lines)
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_service_on_another_store_than_its_caller_says_so_once() {
    let lines = Lines::at(Level::WARN);
    let _logging = tracing::subscriber::set_default(lines.clone());
    let broker = MemoryBroker::new();
    // As two databases of one server: names are the same, contents are not.
    let here = Bus::connect(broker.clone(), MemoryReplies::new());
    let there = Bus::connect(broker, MemoryReplies::new());
    let (here, there) = (here.await.unwrap(), there.await.unwrap());
    let ledger = Ledger::new();
    let serving = there.serve(AccountsServer::new(ledger.clone()));
    let serving = serving.await.unwrap();
    let client = AccountsClient::new(&here);
    for query in [true, false, true, false] {
        let wait = Duration::from_millis(50);
        let kind = match query {
            true => client
                .balance("a".into(), 1)
                .timeout(wait)
                .await
                .unwrap_err()
                .kind(),
            false => client.post(1).timeout(wait).await.unwrap_err().kind(),
        };
        assert_eq!(kind, Some(FailureKind::TimedOut));
    }
    let lines = told(&lines).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "service=\"Accounts\"",
        "theirs=inbox:",
        "ours=MemoryStore",
        "another server",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_service_with_another_prefix_than_its_caller_names_both() {
    let lines = Lines::at(Level::WARN);
    let _logging = tracing::subscriber::set_default(lines.clone());
    let broker = MemoryBroker::new();
    let bus = Bus::connect(broker.clone(), MemoryReplies::new());
    let bus = bus.await.unwrap();
    let serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    let transport: Arc<dyn Transport> = Arc::new(broker.connect());
    let inbox = "other:inbox:{0192f0c1-2b3c-7d4e-8f50-617283940a1b}";
    for _ in 0..3 {
        let mut receipt = transport.publish(Outgoing::new(Message {
            routing_key: "account.requests".into(),
            properties: Properties {
                correlation_id: Some(CallId::new().to_string().into()),
                reply_to: Some(inbox.into()),
                kind: Some("post".into()),
                ..Properties::default()
            },
            ..Message::default()
        }));
        receipt.verdict().await;
    }
    let lines = told(&lines).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        &format!("theirs={inbox}"),
        "ours=\"inbox:",
        "key prefix or namespace",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    serving.shutdown().await.unwrap();
}
