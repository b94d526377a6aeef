//! A message in our form and in lapin's.

use super::{
    connect::Marker,
    headers::{decode_headers, encode_headers},
};
use crate::{
    message::{Message, Properties, Text},
    transport::{self, Acknowledger, Settler},
};
use bytes::Bytes;
use lapin::{BasicProperties, message::Delivery, types::ShortString};
use std::{sync::Arc, time::Duration};

/// A message whose names or properties do not fit into AMQP: a short string over 255 bytes, or
/// headers of more than [`HEADERS_BYTES_MAX`](crate::limits::HEADERS_BYTES_MAX).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name or property is too long for AMQP")]
pub(super) struct TooLong;

/// A message as lapin takes it.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: Bytes,
}

/// The message for lapin to publish.
pub(super) fn encode(message: Message) -> Result<Encoded, TooLong> {
    Ok(Encoded {
        exchange: short(message.exchange)?,
        routing_key: short(message.routing_key)?,
        properties: encode_properties(message.properties)?,
        body: message.body,
    })
}

/// A short string; at most 255 bytes.
pub(super) fn short(text: impl Into<String>) -> Result<ShortString, TooLong> {
    ShortString::try_new(text.into()).map_err(|_| TooLong)
}

fn encode_properties(mut from: Properties) -> Result<BasicProperties, TooLong> {
    let mut to = BasicProperties::default().with_delivery_mode(if from.persistent { 2 } else { 1 });
    let headers = encode_headers(&mut from)?;
    if !headers.inner().is_empty() {
        to = to.with_headers(headers);
    }
    if let Some(text) = from.message_id {
        to = to.with_message_id(short(text)?);
    }
    if let Some(text) = from.correlation_id {
        to = to.with_correlation_id(short(text)?);
    }
    if let Some(text) = from.reply_to {
        to = to.with_reply_to(short(text)?);
    }
    if let Some(text) = from.kind {
        to = to.with_type(short(text)?);
    }
    if let Some(text) = from.content_type {
        to = to.with_content_type(short(text)?);
    }
    if let Some(text) = from.content_encoding {
        to = to.with_content_encoding(short(text)?);
    }
    if let Some(priority) = from.priority {
        to = to.with_priority(priority);
    }
    if let Some(text) = from.app_id {
        to = to.with_app_id(short(text)?);
    }
    if let Some(time) = from.expiration {
        to = to.with_expiration(short(expiration(time))?);
    }
    if let Some(seconds) = from.timestamp {
        to = to.with_timestamp(seconds);
    }
    if let Some(text) = from.user_id {
        to = to.with_user_id(short(text)?);
    }
    if let Some(text) = from.cluster_id {
        to = to.with_cluster_id(short(text)?);
    }
    Ok(to)
}

/// Milliseconds as text. At least 1, because 0 means "only to a waiting consumer"; at most what
/// RabbitMQ takes, 49 days.
fn expiration(time: Duration) -> String {
    time.as_millis().clamp(1, u128::from(u32::MAX)).to_string()
}

/// The reason why the message is not as its publisher wrote it, if it is not: parts of it can't be
/// read, and are left out.
fn malformation(properties: &BasicProperties, marker: &Marker) -> Option<String> {
    let note = properties.cluster_id().as_ref()?;
    marker.reason_in(note.as_str()).map(str::to_owned)
}

/// What lapin received, with a handle that settles it.
pub(super) fn received(
    delivery: Delivery,
    acknowledger: &Arc<dyn Acknowledger>,
    marker: &Marker,
) -> transport::Delivery {
    let settler = Settler::new(delivery.delivery_tag, Arc::clone(acknowledger));
    let redelivered = delivery.redelivered;
    let malformed = malformation(&delivery.properties, marker);
    let message = decode(delivery);
    let mut delivery = transport::Delivery::new(message, settler).redelivered(redelivered);
    if malformed.is_some() {
        // Nobody is to learn the connection's mark, out of a dead letter for instance.
        delivery.message.properties.cluster_id = None;
        delivery.malformed = malformed;
    }
    delivery
}

/// The message that lapin received.
fn decode(delivery: Delivery) -> Message {
    let from = &delivery.properties;
    let text = |value: &Option<ShortString>| value.as_ref().map(|text| Text::from(text.as_str()));
    let (headers, other_headers) = from
        .headers()
        .as_ref()
        .map(decode_headers)
        .unwrap_or_default();
    let properties = Properties {
        message_id: text(from.message_id()),
        correlation_id: text(from.correlation_id()),
        reply_to: text(from.reply_to()),
        kind: text(from.kind()),
        content_type: text(from.content_type()),
        content_encoding: text(from.content_encoding()),
        priority: *from.priority(),
        expiration: text(from.expiration())
            .and_then(|text| text.parse().ok())
            .map(Duration::from_millis),
        timestamp: *from.timestamp(),
        app_id: text(from.app_id()),
        user_id: text(from.user_id()),
        cluster_id: text(from.cluster_id()),
        persistent: *from.delivery_mode() == Some(2),
        headers,
        other_headers,
    };
    Message {
        exchange: delivery.exchange.as_str().into(),
        routing_key: delivery.routing_key.as_str().into(),
        properties,
        body: delivery.data.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Bus, Never,
        client::ServiceClient,
        contract::{MethodContract, MethodKind, ServiceContract},
        limits::HEADERS_BYTES_MAX,
        message::OtherHeaders,
        reply::memory::MemoryReplies,
        transport::{QueueSpec, Source, Transport, memory::MemoryBroker},
    };
    use amq_protocol::protocol::basic::gen_properties;

    fn round_trip(message: Message) -> Message {
        let encoded = encode(message).unwrap();
        let mut delivery = Delivery::mock(
            1,
            encoded.exchange,
            encoded.routing_key,
            false,
            encoded.body.to_vec(),
        );
        delivery.properties = encoded.properties;
        decode(delivery)
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let full = Message {
            exchange: "events".into(),
            routing_key: "transaction.completed".into(),
            properties: Properties {
                message_id: Some("m".into()),
                correlation_id: Some("c".into()),
                reply_to: Some("r".into()),
                kind: Some("balance".into()),
                content_type: Some("application/msgpack".into()),
                content_encoding: Some("gzip".into()),
                priority: Some(7),
                expiration: Some(Duration::from_millis(1500)),
                timestamp: Some(1_700_000_000),
                app_id: Some("teller".into()),
                user_id: Some("guest".into()),
                cluster_id: Some("x".into()),
                persistent: true,
                headers: [("a".into(), "ä".into()), ("b".into(), Text::default())].into(),
                other_headers: OtherHeaders::default(),
            },
            body: Bytes::from_static(b"\x00\xff"),
        };
        assert_eq!(round_trip(full.clone()), full);
        assert_eq!(round_trip(Message::default()), Message::default());
    }

    static ACCOUNTS: ServiceContract = ServiceContract::new(
        "Accounts",
        "account.requests",
        &[
            MethodContract::new("balance", MethodKind::Query),
            MethodContract::new("post", MethodKind::Command),
        ],
    );

    /// The message of an awaited call, as it is published.
    async fn published(method: usize) -> Message {
        let broker = MemoryBroker::new();
        let transport = broker.connect();
        let source = Source::new(QueueSpec::new("account.requests"), 1);
        let mut requests = transport.consume(source).await.unwrap();
        let bus = Bus::builder().app_id("teller");
        let bus = bus.connect(broker, MemoryReplies::new()).await.unwrap();
        let accounts = ServiceClient::new(&bus, &ACCOUNTS);
        let call = accounts.call::<_, Result<u64, Never>>(method, &());
        tokio::spawn(call.timeout(Duration::from_secs(2)).into_future());
        let mut message = requests.next().await.unwrap().message;
        // Less by the time it took to get here.
        message.properties.expiration = Some(Duration::from_secs(2));
        message
    }

    /// The bytes that travel with each call beside its body, as docs/wire-protocol.md has them.
    #[tokio::test]
    async fn the_properties_of_an_awaited_call_to_the_byte() {
        for (method, name, mode) in [(0, "balance", 1), (1, "post", 2)] {
            let message = published(method).await;
            let properties = message.properties.clone();
            let short =
                |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
            let deadline = properties.header("deadline").unwrap();
            let expected = [
                b"\x37\x28\x00\x00\x00\x1b\x08deadlineS\x00\x00\x00\x0d".as_slice(),
                deadline.as_bytes(),
                &[mode],
                &short(properties.correlation_id.as_deref().unwrap()),
                &short(properties.reply_to.as_deref().unwrap()),
                &short("2000"),
                &short(name),
                &short("teller"),
            ]
            .concat();
            let encoded = encode(message).unwrap().properties;
            let encoded = gen_properties(&encoded)(Vec::new().into()).unwrap();
            let encoded = encoded.into_inner().0;
            assert_eq!(encoded, expected);
            // Of which 43 are the inbox and 37 the id.
            assert_eq!(encoded.len(), 127 + name.len());
        }
    }

    #[test]
    fn expires_after_one_millisecond_at_least_and_49_days_at_most() {
        assert_eq!(expiration(Duration::ZERO), "1");
        assert_eq!(expiration(Duration::from_micros(2999)), "2");
        assert_eq!(expiration(Duration::MAX), u32::MAX.to_string());
    }

    #[test]
    fn what_does_not_fit_is_an_error_not_a_panic() {
        let long = "x".repeat(256);
        for message in [
            Message {
                exchange: Text::from(&long),
                ..Message::default()
            },
            Message {
                routing_key: Text::from(&long),
                ..Message::default()
            },
            Message {
                properties: Properties {
                    reply_to: Some(Text::from(&long)),
                    ..Properties::default()
                },
                ..Message::default()
            },
            Message {
                properties: Properties {
                    headers: [(long.into(), Text::default())].into(),
                    ..Properties::default()
                },
                ..Message::default()
            },
            Message {
                properties: Properties {
                    headers: [("a".into(), "x".repeat(HEADERS_BYTES_MAX).into())].into(),
                    ..Properties::default()
                },
                ..Message::default()
            },
        ] {
            assert_eq!(encode(message).unwrap_err(), TooLong);
        }
    }
}
