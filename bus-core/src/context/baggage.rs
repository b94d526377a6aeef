//! W3C Baggage: read, checked, handed on.

use crate::{
    limits::{BAGGAGE_BYTES_MAX, BAGGAGE_MEMBERS_MAX},
    message::{Properties, Text},
    wire::headers,
};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::{borrow::Cow, fmt, sync::Arc};

/// What of a value can't be written as it is (section 3.3.1.3 of the specification).
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b',')
    .add(b';')
    .add(b'\\');

/// Text by name that goes along with a trace, through programs in any language: the header
/// `baggage` of W3C Baggage. What is for services of this bus alone is [`Metadata`](super::Metadata).
///
/// Calls and events that a handler makes inherit it, and everybody behind them reads it: it is no
/// place for a secret. It holds at most [`BAGGAGE_MEMBERS_MAX`] members and [`BAGGAGE_BYTES_MAX`]
/// bytes, as the specification says; what arrives and is larger, or malformed, is dropped as a whole.
///
/// ```
/// use replybus::{Context, context::Baggage};
///
/// # async fn make_calls() {
/// #     assert_eq!(Context::current().baggage().get("tenant").as_deref(), Some("acme & sons"));
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut baggage = Context::current().baggage().clone();
/// baggage.insert("tenant", "acme & sons")?;
/// Context::current().with_baggage(baggage).scope(make_calls()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Baggage(Vec<Member>);

#[derive(Clone, PartialEq, Eq)]
struct Member {
    name: String,
    /// Encoded, as it travels.
    value: String,
    /// What stands behind the value, as it came.
    properties: String,
}

/// A member of baggage is refused. Says which and why; never its value.
///
/// ```
/// let refused = replybus::context::Baggage::new().insert("a b", "1").unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     r#"baggage "a b": a name has one or more letters, digits and !#$%&'*+-.^_`|~"#,
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("baggage {name:?}: {reason}")]
pub struct InvalidBaggage {
    name: String,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("a name has one or more letters, digits and !#$%&'*+-.^_`|~")]
    Name,
    #[error("at most {BAGGAGE_MEMBERS_MAX} members travel")]
    Members,
    #[error("at most {BAGGAGE_BYTES_MAX} bytes of baggage travel")]
    Bytes,
}

/// Characters of a name that an error repeats.
const NAMED_MAX: usize = 64;

impl Baggage {
    /// No members.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The baggage that a header holds; `None` if any of it is malformed, or it is larger than is
    /// allowed.
    ///
    /// ```
    /// use replybus::context::Baggage;
    ///
    /// let baggage = Baggage::parse("tenant=acme%20%26%20sons, beta=1;ttl=3").unwrap();
    /// assert_eq!(baggage.get("tenant").as_deref(), Some("acme & sons"));
    /// assert_eq!(baggage.to_header(), "tenant=acme%20%26%20sons,beta=1;ttl=3");
    /// assert_eq!(Baggage::parse("no value"), None);
    /// ```
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        if header.len() > BAGGAGE_BYTES_MAX {
            return None;
        }
        let mut members = Vec::new();
        for member in header.split(',') {
            let (pair, properties) = member.split_once(';').unwrap_or((member, ""));
            let (name, value) = pair.split_once('=')?;
            let [name, value, properties] =
                [name, value, properties].map(|part| part.trim_matches([' ', '\t']));
            let is_written = |byte| matches!(byte, b' ' | b'\t' | b'!'..=b'~');
            let is_valid =
                is_name(name) && value.bytes().all(is_plain) && properties.bytes().all(is_written);
            if !is_valid || members.len() == BAGGAGE_MEMBERS_MAX {
                return None;
            }
            members.push(Member {
                name: name.to_owned(),
                value: value.to_owned(),
                properties: properties.to_owned(),
            });
        }
        Some(Self(members))
    }

    /// The baggage of a message, if it has such; one that can't be read is none.
    pub(crate) fn of(properties: &Properties) -> Option<Arc<Self>> {
        let header = properties.header(headers::BAGGAGE)?;
        let baggage = Self::parse(header);
        if baggage.is_none() {
            tracing::debug!("baggage that is malformed or too large was dropped");
        }
        baggage.filter(|baggage| !baggage.is_empty()).map(Arc::new)
    }

    /// Sets a member, replacing those of the same name. A value may be any text.
    ///
    /// # Errors
    /// The name is empty or has a character that none may have, or there would be too much of it.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        value: impl AsRef<str>,
    ) -> Result<(), InvalidBaggage> {
        let name = name.into();
        let member = Member {
            value: utf8_percent_encode(value.as_ref(), ENCODED).to_string(),
            properties: String::new(),
            name,
        };
        let others = || self.0.iter().filter(|other| other.name != member.name);
        let reason = if !is_name(&member.name) {
            Some(Reason::Name)
        } else if others().count() >= BAGGAGE_MEMBERS_MAX {
            Some(Reason::Members)
        } else {
            let bytes = others().chain([&member]).map(|member| member.bytes() + 1);
            (bytes.sum::<usize>() > BAGGAGE_BYTES_MAX + 1).then_some(Reason::Bytes)
        };
        if let Some(reason) = reason {
            let name = member.name.chars().take(NAMED_MAX).collect();
            return Err(InvalidBaggage { name, reason });
        }
        self.0.retain(|other| other.name != member.name);
        self.0.push(member);
        Ok(())
    }

    /// Takes the members of a name out; `true` if there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|member| member.name != name);
        self.0.len() < before
    }

    /// The value under a name, decoded.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.iter().filter(|(other, _)| *other == name);
        values.next().map(|(_, value)| value)
    }

    /// The members, as name and decoded value, in the order they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let members = self.0.iter();
        members.map(|member| {
            let value = percent_decode_str(&member.value).decode_utf8_lossy();
            (member.name.as_str(), value)
        })
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there is no member.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The header `baggage`, as another program takes it.
    #[must_use]
    pub fn to_header(&self) -> String {
        let mut header = String::new();
        for member in &self.0 {
            if !header.is_empty() {
                header.push(',');
            }
            header.push_str(&member.name);
            header.push('=');
            header.push_str(&member.value);
            if !member.properties.is_empty() {
                header.push(';');
                header.push_str(&member.properties);
            }
        }
        header
    }

    /// The header of a message.
    pub(crate) fn header(&self) -> (Text, Text) {
        let name = Text::from_static(headers::BAGGAGE);
        (name, Text::from(self.to_header()))
    }
}

impl Member {
    fn bytes(&self) -> usize {
        let properties = match self.properties.len() {
            0 => 0,
            bytes => bytes + 1,
        };
        self.name.len() + 1 + self.value.len() + properties
    }
}

/// `true` of a token of HTTP (RFC 9110, section 5.6.2).
fn is_name(name: &str) -> bool {
    let others = b"!#$%&'*+-.^_`|~";
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || others.contains(&byte);
    !name.is_empty() && name.bytes().all(is_of_it)
}

/// `true` of what a value may hold as it is written.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

// Without values: what is for others to read need not be in a log.
impl fmt::Debug for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|member| &member.name);
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_malformed_or_too_large_is_none() {
        let long = format!("a={}", "v".repeat(BAGGAGE_BYTES_MAX));
        let members: Vec<_> = (0..=BAGGAGE_MEMBERS_MAX)
            .map(|n| format!("n{n}=1"))
            .collect();
        for header in [
            "",
            "a",
            "=1",
            "a b=1",
            "a=1,",
            "a=1,,b=2",
            "a=\"1\"",
            "a=1 2",
            "a=\u{e4}",
            "a=1;p=\u{7}",
            "a=1\r\nb: 2",
            &long,
            &members.join(","),
        ] {
            assert_eq!(Baggage::parse(header), None, "{header:?}");
        }
    }

    #[test]
    fn any_value_comes_back_as_it_was_and_is_read_as_it_is_written() {
        let mut baggage = Baggage::new();
        let values = ["", "plain", "a,b;c=d", "100 %", "\u{fc}ber\n\"alles\"\\"];
        for (n, value) in values.iter().enumerate() {
            baggage.insert(format!("n{n}"), value).unwrap();
        }
        let again = Baggage::parse(&baggage.to_header()).unwrap();
        assert_eq!(again, baggage);
        for (n, value) in values.iter().enumerate() {
            assert_eq!(again.get(&format!("n{n}")).as_deref(), Some(*value));
        }
    }

    #[test]
    fn it_is_full_at_the_bounds_of_the_specification_and_not_before() {
        let mut baggage = Baggage::new();
        baggage
            .insert("a", "v".repeat(BAGGAGE_BYTES_MAX - 2))
            .unwrap();
        assert_eq!(baggage.to_header().len(), BAGGAGE_BYTES_MAX);
        assert!(Baggage::parse(&baggage.to_header()).is_some());
        assert_eq!(baggage.insert("b", "").unwrap_err().reason, Reason::Bytes);
        baggage.insert("a", "replaced").unwrap();
        for n in 1..BAGGAGE_MEMBERS_MAX {
            baggage.insert(format!("n{n}"), "1").unwrap();
        }
        assert_eq!(baggage.insert("b", "").unwrap_err().reason, Reason::Members);
        assert!(baggage.remove("a") && !baggage.remove("a"));
        baggage.insert("b", "").unwrap();
    }

    #[test]
    fn debug_shows_no_values() {
        let mut baggage = Baggage::new();
        baggage.insert("tenant", "acme").unwrap();
        assert_eq!(format!("{baggage:?}"), r#"{"tenant"}"#);
    }
}
