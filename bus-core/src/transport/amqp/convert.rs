//! A message in our form and in lapin's.

use crate::{
    message::{Message, Properties},
    wire::headers,
};
use bytes::Bytes;
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};
use std::time::Duration;

/// Headers read from one delivery; further ones are not looked at.
const HEADERS_MAX: usize = 64;

/// Bytes of all headers of a message we send. They travel in one frame, and RabbitMQ's are 128 KiB.
const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// A message whose names or properties do not fit into AMQP: a short string over 255 bytes, or
/// headers of more than [`HEADERS_BYTES_MAX`].
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
pub(super) fn short(text: String) -> Result<ShortString, TooLong> {
    ShortString::try_new(text).map_err(|_| TooLong)
}

fn encode_properties(from: Properties) -> Result<BasicProperties, TooLong> {
    let mut to = BasicProperties::default().with_delivery_mode(if from.persistent { 2 } else { 1 });
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
    if let Some(text) = from.app_id {
        to = to.with_app_id(short(text)?);
    }
    if let Some(time) = from.expiration {
        to = to.with_expiration(short(expiration(time))?);
    }
    if let Some(seconds) = from.timestamp {
        to = to.with_timestamp(seconds);
    }
    if !from.headers.is_empty() {
        to = to.with_headers(encode_headers(from.headers)?);
    }
    Ok(to)
}

/// Milliseconds as text. At least 1, because 0 means "only to a waiting consumer"; at most what
/// RabbitMQ takes, 49 days.
fn expiration(time: Duration) -> String {
    time.as_millis().clamp(1, u128::from(u32::MAX)).to_string()
}

fn encode_headers(headers: Vec<(String, String)>) -> Result<FieldTable, TooLong> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > HEADERS_BYTES_MAX {
        return Err(TooLong);
    }
    let mut table = FieldTable::default();
    for (name, value) in headers {
        let value = match name.as_str() {
            headers::REPEATED => AMQPValue::Boolean(value == headers::TRUE),
            _ => AMQPValue::LongString(value.into()),
        };
        table.insert(short(name)?, value);
    }
    Ok(table)
}

/// The message that lapin received.
pub(super) fn decode(delivery: Delivery) -> Message {
    let from = &delivery.properties;
    let text = |value: &Option<ShortString>| value.as_ref().map(|text| text.as_str().to_owned());
    let properties = Properties {
        message_id: text(from.message_id()),
        correlation_id: text(from.correlation_id()),
        reply_to: text(from.reply_to()),
        kind: text(from.kind()),
        content_type: text(from.content_type()),
        expiration: text(from.expiration())
            .and_then(|text| text.parse().ok())
            .map(Duration::from_millis),
        timestamp: *from.timestamp(),
        app_id: text(from.app_id()),
        persistent: *from.delivery_mode() == Some(2),
        headers: from
            .headers()
            .as_ref()
            .map(decode_headers)
            .unwrap_or_default(),
    };
    Message {
        exchange: delivery.exchange.into(),
        routing_key: delivery.routing_key.into(),
        properties,
        body: delivery.data.into(),
    }
}

fn decode_headers(table: &FieldTable) -> Vec<(String, String)> {
    table
        .inner()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), header_text(value)?)))
        .take(HEADERS_MAX)
        .collect()
}

/// A header as text: texts, integers and booleans; what else there is has no obvious text.
fn header_text(value: &AMQPValue) -> Option<String> {
    Some(match value {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok()?.to_owned(),
        AMQPValue::ShortString(text) => text.as_str().to_owned(),
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::ShortShortInt(value) => value.to_string(),
        AMQPValue::ShortShortUInt(value) => value.to_string(),
        AMQPValue::ShortInt(value) => value.to_string(),
        AMQPValue::ShortUInt(value) => value.to_string(),
        AMQPValue::LongInt(value) => value.to_string(),
        AMQPValue::LongUInt(value) => value.to_string(),
        AMQPValue::LongLongInt(value) => value.to_string(),
        AMQPValue::Timestamp(value) => value.to_string(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
                expiration: Some(Duration::from_millis(1500)),
                timestamp: Some(1_700_000_000),
                app_id: Some("teller".into()),
                persistent: true,
                headers: vec![("a".into(), "ä".into()), ("b".into(), String::new())],
            },
            body: Bytes::from_static(b"\x00\xff"),
        };
        assert_eq!(round_trip(full.clone()), full);
        assert_eq!(round_trip(Message::default()), Message::default());
    }

    #[test]
    fn the_mark_of_a_repetition_is_a_boolean() {
        let mark = vec![(headers::REPEATED.to_owned(), headers::TRUE.to_owned())];
        let table = encode_headers(mark.clone()).unwrap();
        assert_eq!(
            table.inner().get(headers::REPEATED),
            Some(&AMQPValue::Boolean(true))
        );
        assert_eq!(decode_headers(&table), mark);
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
                exchange: long.clone(),
                ..Message::default()
            },
            Message {
                routing_key: long.clone(),
                ..Message::default()
            },
            Message {
                properties: Properties {
                    reply_to: Some(long.clone()),
                    ..Properties::default()
                },
                ..Message::default()
            },
            Message {
                properties: Properties {
                    headers: vec![(long, String::new())],
                    ..Properties::default()
                },
                ..Message::default()
            },
            Message {
                properties: Properties {
                    headers: vec![("a".into(), "x".repeat(HEADERS_BYTES_MAX))],
                    ..Properties::default()
                },
                ..Message::default()
            },
        ] {
            assert_eq!(encode(message).unwrap_err(), TooLong);
        }
    }

    #[test]
    fn headers_of_other_types_become_text_or_are_left_out() {
        let mut table = FieldTable::default();
        table.insert("bool".into(), AMQPValue::Boolean(true));
        table.insert("int".into(), AMQPValue::LongInt(-7));
        table.insert("bytes".into(), AMQPValue::LongString(vec![0xff].into()));
        table.insert("double".into(), AMQPValue::Double(0.5));
        table.insert("nothing".into(), AMQPValue::Void);
        table.insert("text".into(), AMQPValue::LongString("t".into()));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            decode_headers(&table),
            [pair("bool", "true"), pair("int", "-7"), pair("text", "t")]
        );
    }

    #[test]
    fn reads_no_more_than_64_headers() {
        let mut table = FieldTable::default();
        for i in 0..100 {
            table.insert(format!("h{i}").into(), AMQPValue::Boolean(true));
        }
        assert_eq!(decode_headers(&table).len(), HEADERS_MAX);
    }
}
