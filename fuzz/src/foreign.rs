//! Messages from anybody: of every type and with every header that means something to a reader, and
//! with others.

use arbitrary::Arbitrary;
use replybus::{
    CallId,
    message::{Message, Properties, Text},
};
use std::time::Duration;

#[derive(Debug, Arbitrary)]
pub(crate) struct Foreign {
    kind: Kind,
    content_type: Option<Encoding>,
    message_id: Option<Name>,
    correlation_id: Option<Name>,
    reply_to: Option<String>,
    expiration_ms: Option<u16>,
    timestamp: Option<u64>,
    app_id: Option<String>,
    priority: Option<u8>,
    persistent: bool,
    headers: Vec<Header>,
    body: Body,
}

/// The type of a message.
#[derive(Debug, Arbitrary)]
enum Kind {
    None,
    Known(u8),
    Other(String),
}

/// Methods of the targets' services, events, and what is said on the control line.
const KINDS: [&str; 16] = [
    "say",
    "add",
    "replybus/bundle",
    "till.opened",
    "tick",
    "cancel",
    "stream",
    "watch",
    "ping",
    "info",
    "stats",
    "contract",
    "jobs",
    "drain",
    "copy",
    "count",
];

#[derive(Debug, Arbitrary)]
enum Encoding {
    MessagePack,
    Json,
    Other(String),
}

#[derive(Debug, Arbitrary)]
enum Name {
    /// One of a few calls, so that two messages can be about one.
    Call(u8),
    Other(String),
}

#[derive(Debug, Arbitrary)]
struct Header {
    name: HeaderName,
    value: Value,
}

#[derive(Debug, Arbitrary)]
enum HeaderName {
    Known(u8),
    Other(String),
}

/// All that have a meaning somewhere.
const HEADERS: [&str; 26] = [
    "deadline",
    "idempotency-key",
    "traceparent",
    "tracestate",
    "baggage",
    "repeated",
    "x-replybus-job-started",
    "x-replybus-job-missed",
    "x-replybus-due",
    "x-replybus-unrecorded",
    "x-replybus-stream",
    "x-replybus-partition",
    "x-replybus-signature",
    "x-replybus-retries",
    "x-replybus-retry-error-1",
    "CC",
    "dead-letter-reason",
    "dead-letter-message",
    "dead-letter-queue",
    "dead-letter-at",
    "dead-letter-may-have-executed",
    "dead-letter-known-until",
    "dead-letter-attempts",
    "dead-letter-malformed",
    "dead-letter-redriven",
    "dead-letter-shortened",
];

#[derive(Debug, Arbitrary)]
enum Value {
    Text(String),
    Number(u64),
    Truth(bool),
    Trace([u8; 16], u64, u8),
    Place(u32, u16),
}

#[derive(Debug, Arbitrary)]
enum Body {
    Bytes(Vec<u8>),
    Text(String),
    Second(u64),
    /// Several requests; of a message of another type just as wrong as other bytes.
    Entries(Vec<Entry>),
}

/// A request in a bundle.
#[derive(Debug, Arbitrary)]
struct Entry {
    sooner: u32,
    flags: u8,
    id: [u8; 16],
    kind: Kind,
    headers: Vec<Header>,
    body: Vec<u8>,
    /// Its length is said to be so much more.
    longer: u8,
}

fn one_of<const N: usize>(names: [&str; N], at: u8) -> String {
    names[usize::from(at) % N].to_owned()
}

impl Kind {
    fn name(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Known(at) => Some(one_of(KINDS, at)),
            Self::Other(name) => Some(name),
        }
    }
}

impl Name {
    fn text(self) -> Text {
        match self {
            Self::Call(id) => CallId::from_bytes([id % 4; 16]).to_string().into(),
            Self::Other(name) => name.into(),
        }
    }
}

impl Header {
    fn both(self) -> (String, String) {
        let name = match self.name {
            HeaderName::Known(at) => one_of(HEADERS, at),
            HeaderName::Other(name) => name,
        };
        let value = match self.value {
            Value::Text(text) => text,
            Value::Number(number) => number.to_string(),
            Value::Truth(truth) => truth.to_string(),
            Value::Trace(trace, parent, flags) => {
                let trace = u128::from_be_bytes(trace);
                format!("00-{trace:032x}-{parent:016x}-{flags:02x}")
            }
            Value::Place(key, partitions) => format!("{key}/{partitions}"),
        };
        (name, value)
    }
}

impl Body {
    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Text(text) => text.into_bytes(),
            Self::Second(second) => format!("{{\"second\":{second}}}").into_bytes(),
            Self::Entries(entries) => entries.into_iter().flat_map(Entry::into_bytes).collect(),
        }
    }
}

/// The length of what is written behind it. What is too long for that is cut there by whoever reads.
fn short(length: usize) -> u8 {
    u8::try_from(length % 256).unwrap()
}

impl Entry {
    fn into_bytes(self) -> Vec<u8> {
        let kind = self.kind.name().unwrap_or_default();
        let mut bytes = self.sooner.to_be_bytes().to_vec();
        bytes.push(self.flags);
        bytes.extend(self.id);
        bytes.push(short(kind.len()));
        bytes.extend(kind.into_bytes());
        bytes.push(short(self.headers.len()));
        for (name, value) in self.headers.into_iter().map(Header::both) {
            bytes.push(short(name.len()));
            bytes.extend(name.into_bytes());
            bytes.extend([0, short(value.len())]);
            bytes.extend(value.into_bytes());
        }
        bytes.extend(self.body);
        let length = u32::try_from(bytes.len()).unwrap() + u32::from(self.longer);
        [&length.to_be_bytes()[..], &bytes].concat()
    }
}

impl Foreign {
    /// A message for a queue.
    pub(crate) fn into_message(self, queue: &str) -> Message {
        let content_type = self.content_type.map(|encoding| match encoding {
            Encoding::MessagePack => "application/msgpack".to_owned(),
            Encoding::Json => "application/json".to_owned(),
            Encoding::Other(name) => name,
        });
        let headers = self.headers.into_iter().map(Header::both);
        Message {
            routing_key: queue.into(),
            properties: Properties {
                message_id: self.message_id.map(Name::text),
                correlation_id: self.correlation_id.map(Name::text),
                reply_to: self.reply_to.map(Text::from),
                kind: self.kind.name().map(Text::from),
                content_type: content_type.map(Text::from),
                expiration: self
                    .expiration_ms
                    .map(|ms| Duration::from_millis(ms.into())),
                timestamp: self.timestamp,
                app_id: self.app_id.map(Text::from),
                priority: self.priority,
                persistent: self.persistent,
                headers: headers
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
                ..Properties::default()
            },
            body: self.body.into_bytes().into(),
            ..Message::default()
        }
    }
}
