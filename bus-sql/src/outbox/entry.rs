//! An event as a row of the outbox.

use super::statements::PUT_COLUMNS;
use crate::{
    OutboxError,
    database::{Value, now},
};
use replybus::{
    CallId, ContentType, Context, Event, codec, context::TraceContext, limits::REQUEST_BYTES_MAX,
};
use serde::Serialize;

/// Bytes of the longest key that events are in order of.
const ORDER_KEY_BYTES_MAX: usize = 255;

/// An event to be put into an outbox. Serialized it is an object of the columns of its row, for
/// statements that are given rows as JSON.
///
/// ```
/// use replybus::{CallId, Event};
/// use replybus_sql::Entry;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Event, Serialize, Deserialize)]
/// #[event("stock.changed")]
/// struct StockChanged { product: u64, left: u64 }
///
/// let event = StockChanged { product: 4, left: 11 };
/// let id = CallId::new();
/// // All that is told of a product is told in the order in which it was put.
/// let entry = Entry::of(&event)?.with_id(id).with_key("product-4")?;
/// assert_eq!(entry.id(), id);
/// assert!(Entry::of(&event)?.with_key("").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    id: String,
    exchange: &'static str,
    name: &'static str,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    put_at: i64,
    #[serde(skip)]
    of: CallId,
}

/// A key that events are to be in order of is 1 to 255 bytes, without control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key has {bytes} bytes or a control character: 1 to {ORDER_KEY_BYTES_MAX} bytes are \
     allowed, and no control characters"
)]
pub struct InvalidOrderKey {
    bytes: usize,
}

impl Entry {
    /// The columns of an entry that a statement is given as JSON: what it leaves out is `NULL`.
    pub const COLUMNS: [&'static str; 8] = PUT_COLUMNS;
    /// Those of them that hold a number, `BIGINT`; all others hold `TEXT`.
    pub const INTEGERS: [&'static str; 1] = ["put_at"];

    /// An event of a new id, told in the trace of the call that is being served, put now.
    ///
    /// # Errors
    /// It can't be written as JSON, or is larger than [`REQUEST_BYTES_MAX`].
    pub fn of<E: Event>(event: &E) -> Result<Self, OutboxError> {
        let encode = |source| OutboxError::Encode {
            event: E::ROUTING_KEY,
            source,
        };
        let body = codec::encode(ContentType::Json, event, REQUEST_BYTES_MAX).map_err(encode)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        let id = CallId::new();
        let entry = Self {
            id: id.to_string(),
            exchange: E::EXCHANGE,
            name: E::ROUTING_KEY,
            event: text,
            order_key: None,
            traceparent: None,
            tracestate: None,
            put_at: now(),
            of: id,
        };
        Ok(entry.with_trace(Context::current().trace()))
    }

    /// Sets its id, by which subscribers know it: of two of one id none is put.
    #[must_use]
    pub fn with_id(mut self, id: CallId) -> Self {
        self.id = id.to_string();
        self.of = id;
        self
    }

    /// Sets the key that it is in order of: events of one key reach the broker in the order in which
    /// they were put, by whichever relays, if the transactions that put them came one after the other,
    /// as those that lock or change one row do. One that can't be emitted holds up those of its key
    /// that come after it, and no others.
    ///
    /// # Errors
    /// The key is empty, longer than 255 bytes, or has a control character.
    pub fn with_key(mut self, key: impl Into<String>) -> Result<Self, InvalidOrderKey> {
        let key = key.into();
        let bytes = key.len();
        if !(1..=ORDER_KEY_BYTES_MAX).contains(&bytes) || key.contains(char::is_control) {
            return Err(InvalidOrderKey { bytes });
        }
        self.order_key = Some(key);
        Ok(self)
    }

    /// Sets the trace that it is told in; none, for a trace of its own.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<&TraceContext>) -> Self {
        self.traceparent = trace.map(ToString::to_string);
        self.tracestate = trace.and_then(|trace| Some(trace.state()?.to_owned()));
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.of
    }

    /// In the order of the columns.
    pub(super) fn values(&self) -> Vec<Value> {
        vec![
            self.id.as_str().into(),
            self.exchange.into(),
            self.name.into(),
            self.event.as_str().into(),
            Value::Text(self.order_key.clone()),
            Value::Text(self.traceparent.clone()),
            Value::Text(self.tracestate.clone()),
            self.put_at.into(),
        ]
    }
}
