//! What other versions and other languages rely on, byte for byte.

use crate::bank::AccountsClient;
use replybus::{
    Bus, CallId, ContentType,
    message::Message,
    reply::memory::MemoryReplies,
    transport::{QueueSpec, Settled, Source, Transport, memory::MemoryBroker},
};
use std::{future::IntoFuture, sync::Arc, time::Duration};

/// The requests a client sends, caught where a service would take them.
async fn caught(content_type: ContentType) -> (Message, Message, Message) {
    let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new().connect());
    let bus = Bus::builder()
        .app_id("teller")
        .connect(Arc::clone(&transport), MemoryReplies::new())
        .await
        .unwrap();
    let source = Source::new(QueueSpec::new("account.requests"), 10);
    let mut deliveries = transport.consume(source).await.unwrap();
    let client = AccountsClient::new(&bus).with_content_type(content_type);
    let call = client.balance("ab".into(), 5).metadata("token", "t");
    let call = tokio::spawn(call.into_future());
    client.post(7).idempotency_key("k").send().await.unwrap();
    client
        .post(7)
        .timeout(Duration::from_secs(60))
        .submit()
        .await
        .unwrap();
    let mut messages = Vec::new();
    for _ in 0..3 {
        let delivery = deliveries.next().await.unwrap();
        delivery.settler.settle(Settled::Ack);
        messages.push(delivery.message);
    }
    call.abort();
    // The spawned call may have been published at any time among them.
    messages.sort_by_key(|message| {
        let properties = &message.properties;
        (
            properties.reply_to.is_none(),
            properties.correlation_id.is_some(),
        )
    });
    let mut messages = messages.into_iter();
    let mut next = || messages.next().unwrap();
    (next(), next(), next())
}

#[tokio::test]
async fn arguments_are_a_named_map() {
    let (call, send, _) = caught(ContentType::MessagePack).await;
    assert_eq!(call.body, &b"\x82\xa7account\xa2ab\xa6amount\x05"[..]);
    assert_eq!(send.body, &b"\x81\xa6amount\x07"[..]);
    let (call, ..) = caught(ContentType::Json).await;
    assert_eq!(call.body, &br#"{"account":"ab","amount":5}"#[..]);
    assert_eq!(
        call.properties.content_type.as_deref(),
        Some("application/json")
    );
}

#[tokio::test]
async fn properties_of_a_call() {
    let (call, ..) = caught(ContentType::MessagePack).await;
    let properties = &call.properties;
    assert_eq!(
        (call.exchange.as_str(), call.routing_key.as_str()),
        ("", "account.requests")
    );
    let id = properties.correlation_id.as_ref().unwrap();
    assert!(id.parse::<CallId>().is_ok());
    assert_eq!(properties.message_id, None, "the correlation id is enough");
    assert_eq!(properties.timestamp, None);
    assert!(properties.reply_to.as_ref().unwrap().contains("inbox:"));
    assert_eq!(properties.kind.as_deref(), Some("balance"));
    assert_eq!(properties.content_type, None, "MessagePack");
    assert_eq!(properties.app_id.as_deref(), Some("teller"));
    assert!(!properties.persistent, "a query is transient");
    let ttl = properties.expiration.unwrap();
    assert!(
        ttl <= Duration::from_secs(2) && ttl > Duration::from_secs(1),
        "{ttl:?}"
    );
    let names: Vec<_> = properties
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["deadline", "token"]);
}

#[tokio::test]
async fn properties_of_one_way_and_submitted_calls() {
    let (_, send, submit) = caught(ContentType::MessagePack).await;
    assert_eq!(send.properties.correlation_id, None, "nothing to answer to");
    assert!(send.properties.message_id.is_some());
    assert_eq!(send.properties.header("idempotency-key"), Some("k"));
    assert!(submit.properties.correlation_id.is_some());
    assert!(submit.properties.expiration.unwrap() <= Duration::from_secs(60));
    for message in [send, submit] {
        assert!(message.properties.message_id.is_some());
        assert!(message.properties.timestamp.is_some());
        assert!(message.properties.content_type.is_some());
        assert_eq!(message.properties.reply_to, None);
        assert_eq!(message.properties.header("deadline"), None, "nobody waits");
        assert!(message.properties.persistent);
    }
}
