//! Messages that no client of ours would send, straight through the transport.

use crate::bank::{AccountsClient, AccountsServer, Ledger};
use bytes::Bytes;
use replybus::{
    Bus, CallId, limits,
    message::{Message, Properties},
    reply::memory::MemoryReplies,
    transport::{Outgoing, Transport, Verdict, memory::MemoryBroker},
    wire::ReplyFrame,
};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

struct Site {
    bus: Bus,
    transport: Arc<dyn Transport>,
    replies: MemoryReplies,
    ledger: Ledger,
    _serving: replybus::server::Serving,
}

async fn site() -> Site {
    let transport: Arc<dyn Transport> = Arc::new(MemoryBroker::new().connect());
    let replies = MemoryReplies::new();
    let bus = Bus::builder()
        .connect(Arc::clone(&transport), replies.clone())
        .await
        .unwrap();
    let ledger = Ledger::new();
    let serving = bus
        .serve(AccountsServer::new(ledger.clone()))
        .await
        .unwrap();
    Site {
        bus,
        transport,
        replies,
        ledger,
        _serving: serving,
    }
}

impl Site {
    async fn publish(&self, properties: Properties, body: impl Into<Bytes>) {
        let message = Message {
            routing_key: "account.requests".into(),
            properties,
            body: body.into(),
            ..Message::default()
        };
        let outgoing = Outgoing::new(message);
        let mut receipt = self.transport.publish(outgoing);
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }

    /// The code of the fault, or "ok", under the call's own key.
    async fn reply(&self, id: CallId) -> String {
        let store = replybus::reply::ReplyBackend::open(
            Box::new(self.replies.clone()),
            "",
            Arc::new(Nobody),
        );
        let store = store.await.unwrap();
        loop {
            if let Some(frame) = store.fetch(id).await.unwrap() {
                return match ReplyFrame::decode(&frame).unwrap().1 {
                    ReplyFrame::Fault(fault) => fault.code.as_str().to_owned(),
                    ReplyFrame::Ok(_) => "ok".to_owned(),
                    ReplyFrame::Handler(_) => "handler".to_owned(),
                    other => panic!("{other:?}"),
                };
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}

pub(crate) struct Nobody;

impl replybus::reply::Arrivals for Nobody {
    fn arrived(&self, _: CallId, _: Bytes) {}
    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

pub(crate) fn request(id: CallId, method: &str) -> Properties {
    Properties {
        correlation_id: Some(id.to_string().into()),
        kind: Some(method.into()),
        content_type: Some("application/json".into()),
        ..Properties::default()
    }
}

#[tokio::test]
async fn each_mistake_is_answered_by_its_name() {
    let site = site().await;
    let header = |name: &str, value: &str| [(name.into(), value.into())].into();
    let deep = "[".repeat(100_000);
    let large = " ".repeat(limits::REQUEST_BYTES_MAX + 1);
    let cases: Vec<(&str, Properties, &str)> = vec![
        ("ok", request(CallId::new(), "post"), r#"{"amount":1}"#),
        ("unknown_method", request(CallId::new(), "steal"), "{}"),
        ("unknown_method", request(CallId::new(), ""), "{}"),
        (
            "unknown_method",
            request(CallId::new(), &"m".repeat(10_000)),
            "{}",
        ),
        ("bad_request", request(CallId::new(), "post"), ""),
        ("bad_request", request(CallId::new(), "post"), "{}"),
        (
            "bad_request",
            request(CallId::new(), "post"),
            r#"{"amount":"1"}"#,
        ),
        (
            "bad_request",
            request(CallId::new(), "post"),
            r#"{"amount":1} trailing"#,
        ),
        ("bad_request", request(CallId::new(), "post"), &deep),
        ("bad_request", request(CallId::new(), "post"), &large),
        (
            "ok",
            Properties {
                content_type: Some("application/json; charset=utf-8".into()),
                ..request(CallId::new(), "post")
            },
            r#"{"amount":1}"#,
        ),
        (
            "bad_request",
            Properties {
                content_type: Some("application/json; charset=utf-16".into()),
                ..request(CallId::new(), "post")
            },
            r#"{"amount":1}"#,
        ),
        (
            "bad_request",
            Properties {
                content_type: Some("text/plain".into()),
                ..request(CallId::new(), "post")
            },
            r#"{"amount":1}"#,
        ),
        (
            "bad_request",
            Properties {
                reply_to: Some("session:admin".into()),
                ..request(CallId::new(), "post")
            },
            r#"{"amount":1}"#,
        ),
        (
            "bad_request",
            Properties {
                headers: header("deadline", "tomorrow"),
                ..request(CallId::new(), "post")
            },
            r#"{"amount":1}"#,
        ),
        (
            "bad_request",
            Properties {
                headers: header("idempotency-key", &"k".repeat(300)),
                ..request(CallId::new(), "post")
            },
            r#"{"amount":1}"#,
        ),
        (
            "expired",
            Properties {
                headers: header("deadline", "1000"),
                ..request(CallId::new(), "post")
            },
            r#"{"amount":1}"#,
        ),
    ];
    for (expected, properties, body) in cases {
        let id = properties.correlation_id.as_ref().unwrap().parse().unwrap();
        let about = format!("{properties:?}");
        site.publish(properties, body.to_owned()).await;
        assert_eq!(site.reply(id).await, expected, "{about}");
    }
    assert_eq!(site.ledger.runs(), 2, "only the good ones ran");
}

#[tokio::test]
async fn what_can_not_be_answered_takes_no_place_for_ever() {
    let site = site().await;
    // Far more than the prefetch: if any stayed unsettled, the last call would not be served.
    for n in 0_u32..300 {
        let mut properties = request(CallId::new(), "steal");
        properties.correlation_id = (n % 2 == 0).then(|| "not an id".into());
        properties.message_id = (n % 3 == 0).then(|| "\u{0}".repeat(9).into());
        site.publish(properties, "\u{0}\u{1}").await;
    }
    let client = AccountsClient::new(&site.bus);
    assert_eq!(client.post(1).await.unwrap(), 1);
}

#[tokio::test]
async fn a_second_reply_and_a_reply_to_nobody_are_discarded() {
    let site = site().await;
    let client = AccountsClient::new(&site.bus);
    let id = CallId::new();
    // The same request twice, as after a redelivery: one effect, one reply.
    for _ in 0..2 {
        site.publish(request(id, "post"), r#"{"amount":1}"#).await;
        assert_eq!(site.reply(id).await, "ok");
    }
    assert_eq!(client.post(1).await.unwrap(), 2);
}
