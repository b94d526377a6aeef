//! Headers that are no text: nothing here reads them, and whoever is handed the message on gets
//! them as they came.

use std::{collections::BTreeMap, fmt};

#[cfg(feature = "amqp")]
pub(crate) use lapin::types::AMQPValue as HeaderValue;

/// Without a broker there are none.
#[cfg(not(feature = "amqp"))]
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum HeaderValue {}

/// The headers of a message whose values are of other types than text, and those beyond the most
/// that are read. One that [`headers`](super::Properties::headers) holds as text keeps its type
/// here, such as an integer.
#[derive(Clone, PartialEq, Default)]
pub struct OtherHeaders(BTreeMap<String, HeaderValue>);

impl OtherHeaders {
    /// Their names, in alphabetical order.
    ///
    /// ```
    /// use replybus::message::Properties;
    ///
    /// assert_eq!(Properties::default().other_headers.names().count(), 0);
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| keep(name));
    }

    /// Puts a header under another name.
    pub(crate) fn rename(&mut self, from: &str, to: &str) {
        if let Some(value) = self.0.remove(from) {
            self.0.insert(to.to_owned(), value);
        }
    }

    /// Their names, and the bytes that each takes in a message.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (&str, usize)> {
        let entries = self.0.iter();
        entries.map(|(name, value)| (name.as_str(), header_bytes(name, value_bytes(value))))
    }
}

/// Bytes of one header as AMQP encodes it: the length of its name, its name, its type, its value.
pub(crate) const fn header_bytes(name: &str, value_bytes: usize) -> usize {
    2 + name.len() + value_bytes
}

/// Bytes of a text as the value of a header.
pub(crate) const fn text_bytes(text: &str) -> usize {
    4 + text.len()
}

#[cfg(feature = "amqp")]
fn value_bytes(value: &HeaderValue) -> usize {
    match value {
        HeaderValue::Void => 0,
        HeaderValue::Boolean(_)
        | HeaderValue::ShortShortInt(_)
        | HeaderValue::ShortShortUInt(_) => 1,
        HeaderValue::ShortInt(_) | HeaderValue::ShortUInt(_) => 2,
        HeaderValue::LongInt(_) | HeaderValue::LongUInt(_) | HeaderValue::Float(_) => 4,
        HeaderValue::DecimalValue(_) => 5,
        HeaderValue::LongLongInt(_) | HeaderValue::Double(_) | HeaderValue::Timestamp(_) => 8,
        HeaderValue::ShortString(text) => 1 + text.as_str().len(),
        HeaderValue::LongString(text) => 4 + text.as_bytes().len(),
        HeaderValue::ByteArray(bytes) => 4 + bytes.as_slice().len(),
        HeaderValue::FieldArray(values) => {
            let values = values.as_slice().iter();
            4 + values.map(|value| 1 + value_bytes(value)).sum::<usize>()
        }
        HeaderValue::FieldTable(table) => {
            let entries = table.inner().iter();
            let bytes =
                entries.map(|(name, value)| header_bytes(name.as_str(), value_bytes(value)));
            4 + bytes.sum::<usize>()
        }
    }
}

#[cfg(not(feature = "amqp"))]
fn value_bytes(value: &HeaderValue) -> usize {
    match *value {}
}

#[cfg(feature = "amqp")]
impl OtherHeaders {
    pub(crate) fn insert(&mut self, name: String, value: HeaderValue) {
        self.0.insert(name, value);
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<HeaderValue> {
        self.0.remove(name)
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = (String, HeaderValue)> {
        self.0.into_iter()
    }
}

// Names only: a value can hold a token.
impl fmt::Debug for OtherHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
