//! A message as a transport carries it: where it goes, its properties, its bytes.
//!
//! The fields are those of AMQP 0-9-1 (basic class, section 1.8 of the specification), because
//! that is what travels; the in-memory transport carries the same.

mod headers;
mod other_headers;
mod text;

pub use headers::{Headers, IntoIter};
pub use other_headers::OtherHeaders;
pub use text::Text;

#[cfg(feature = "amqp")]
pub(crate) use other_headers::HeaderValue;

use other_headers::{header_bytes, text_bytes};

use bytes::Bytes;
use std::{collections::BTreeMap, fmt, time::Duration};

/// A message on its way to a queue, or out of one.
///
/// End a literal of it, or of its properties, with `..Default::default()`: fields may be added.
///
/// ```
/// use replybus::message::{Message, Properties};
///
/// // A request as a caller in any language would send it.
/// let request = Message {
///     routing_key: "greeter.requests".into(),
///     properties: Properties {
///         kind: Some("greet".into()),
///         content_type: Some("application/json".into()),
///         ..Properties::default()
///     },
///     body: r#"{"name":"Ada"}"#.into(),
///     ..Message::default()
/// };
/// // A log may show it: no body, no values of headers.
/// assert!(!format!("{request:?}").contains("Ada"));
/// ```
#[derive(Clone, PartialEq, Default)]
pub struct Message {
    /// The exchange; empty for the default exchange, which routes to the queue named by the key.
    pub exchange: Text,
    /// The routing key; for the default exchange, the queue.
    pub routing_key: Text,
    /// The properties.
    pub properties: Properties,
    /// The encoded arguments, event or dead request.
    pub body: Bytes,
}

/// The AMQP properties that calls use. What came from the network may hold anything.
#[derive(Clone, PartialEq, Default)]
pub struct Properties {
    /// Names this publish; a returned message is recognised by it.
    pub message_id: Option<Text>,
    /// The call id.
    pub correlation_id: Option<Text>,
    /// The caller's inbox, if it has one.
    pub reply_to: Option<Text>,
    /// The AMQP property `type`: the method, or the event's routing key.
    pub kind: Option<Text>,
    /// The encoding of the body.
    pub content_type: Option<Text>,
    /// What was done to the encoded body, such as `gzip`; nothing here reads it.
    pub content_encoding: Option<Text>,
    /// The priority among messages of one queue, where queues have such.
    pub priority: Option<u8>,
    /// Time to live in the queue, counted from the publish.
    pub expiration: Option<Duration>,
    /// Seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// The calling program.
    pub app_id: Option<Text>,
    /// The user of the broker that published it: RabbitMQ has checked it, and refuses a message
    /// that names another user than its connection's.
    pub user_id: Option<Text>,
    /// The AMQP property `cluster_id`, which is reserved.
    pub cluster_id: Option<Text>,
    /// Delivery mode 2: written to disk.
    pub persistent: bool,
    /// Headers as text, in the order they were set: texts, integers and booleans.
    pub headers: Headers,
    /// Headers that are not text, as they came.
    pub other_headers: OtherHeaders,
}

impl Properties {
    /// The first header called `name`.
    ///
    /// ```
    /// use replybus::message::Properties;
    ///
    /// let headers = [("dead-letter-reason".into(), "panicked".into())].into();
    /// let properties = Properties { headers, ..Properties::default() };
    /// assert_eq!(properties.header("dead-letter-reason"), Some("panicked"));
    /// ```
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    /// Bytes that all headers take in a message.
    pub(crate) fn headers_bytes(&self) -> usize {
        if self.other_headers.names().next().is_some() {
            return self.header_sizes().values().sum();
        }
        let texts = self.headers.iter();
        texts
            .map(|(name, value)| header_bytes(name, text_bytes(value)))
            .sum()
    }

    /// The names of all headers, text or not, and the bytes that each takes in a message.
    pub(crate) fn header_sizes(&self) -> BTreeMap<&str, usize> {
        let texts = self.headers.iter();
        let texts =
            texts.map(|(name, value)| (name.as_str(), header_bytes(name, text_bytes(value))));
        texts.chain(self.other_headers.sizes()).collect()
    }

    /// Keeps the headers whose names `keep` is true of, text or not.
    pub(crate) fn retain_headers(&mut self, keep: impl Fn(&str) -> bool) {
        self.headers.retain(|(name, _)| keep(name));
        self.other_headers.retain(keep);
    }

    /// Sets a header, in place of what there is under its name.
    pub(crate) fn set_header(&mut self, name: &'static str, value: impl Into<Text>) {
        self.retain_headers(|other| other != name);
        self.headers.push((Text::from_static(name), value.into()));
    }

    /// `true` if there is a header called `name` whose value can't be read as text.
    pub(crate) fn is_unreadable(&self, name: &str) -> bool {
        self.header(name).is_none() && self.other_headers.names().any(|other| other == name)
    }
}

// Neither Debug prints a header's value or the body: they can hold a token.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("exchange", &self.exchange)
            .field("routing_key", &self.routing_key)
            .field("properties", &self.properties)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Properties")
            .field("message_id", &self.message_id)
            .field("correlation_id", &self.correlation_id)
            .field("reply_to", &self.reply_to)
            .field("kind", &self.kind)
            .field("content_type", &self.content_type)
            .field("content_encoding", &self.content_encoding)
            .field("priority", &self.priority)
            .field("expiration", &self.expiration)
            .field("persistent", &self.persistent)
            .field("headers", &self.headers)
            .field("other_headers", &self.other_headers)
            .finish_non_exhaustive()
    }
}
