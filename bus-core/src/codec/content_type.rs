//! The names of the encodings, as they travel.

use super::CodecError;
use serde::{Deserialize, Serialize};

/// The encoding of a body. The caller chooses; the service answers in kind.
///
/// ```
/// use replybus::ContentType;
///
/// assert_eq!(ContentType::default(), ContentType::MessagePack);
/// assert_eq!(ContentType::Json.as_str(), "application/json");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ContentType {
    /// `application/msgpack`: MessagePack with named maps, so that fields can be added.
    #[default]
    MessagePack,
    /// `application/json`, for callers in other languages and for reading along.
    Json,
}

impl ContentType {
    /// The AMQP property `content_type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MessagePack => "application/msgpack",
            Self::Json => "application/json",
        }
    }

    /// The content type a property names; absent means MessagePack. Case and parameters make no
    /// difference, but for a `charset` other than UTF-8.
    ///
    /// ```
    /// use replybus::ContentType;
    ///
    /// assert_eq!(ContentType::from_wire(None)?, ContentType::MessagePack);
    /// let json = ContentType::from_wire(Some("application/json; charset=utf-8"))?;
    /// assert_eq!(json, ContentType::Json);
    /// assert!(ContentType::from_wire(Some("text/xml")).is_err());
    /// # Ok::<(), replybus::codec::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// It names another encoding.
    pub fn from_wire(content_type: Option<&str>) -> Result<Self, CodecError> {
        let Some(text) = content_type else {
            return Ok(Self::MessagePack);
        };
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let known = [Self::MessagePack, Self::Json]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(name));
        known
            .filter(|_| parts.all(is_read))
            .ok_or_else(|| CodecError::UnknownContentType(text.chars().take(64).collect()))
    }

    /// The encoding that whoever sent this reads most likely, though its content type is not known.
    pub(crate) fn guess(content_type: Option<&str>, body: &[u8]) -> Self {
        let text = content_type.unwrap_or_default().to_ascii_lowercase();
        // No map of MessagePack begins with this byte.
        let is_object = || body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if text.contains("json") || !text.contains("msgpack") && is_object() {
            Self::Json
        } else {
            Self::MessagePack
        }
    }
}

/// True for a parameter that changes nothing.
fn is_read(parameter: &str) -> bool {
    match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            let value = value.trim().trim_matches('"');
            ["utf-8", "utf8"]
                .iter()
                .any(|utf8| value.eq_ignore_ascii_case(utf8))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_make_no_difference() {
        for (text, expected) in [
            ("application/json", Some(ContentType::Json)),
            ("application/json; charset=utf-8", Some(ContentType::Json)),
            (
                "Application/JSON;CHARSET=\"UTF-8\"",
                Some(ContentType::Json),
            ),
            (" application/json ; profile=x", Some(ContentType::Json)),
            ("application/msgpack; v=1", Some(ContentType::MessagePack)),
            ("application/json; charset=utf-16", None),
            ("application/jsonp", None),
            ("text/json", None),
            (";", None),
            ("", None),
        ] {
            assert_eq!(ContentType::from_wire(Some(text)).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_refusal_is_in_the_encoding_of_the_caller_as_far_as_it_can_be_told() {
        for (text, body, expected) in [
            (Some("text/json"), "", ContentType::Json),
            (
                Some("application/problem+json"),
                "\u{80}",
                ContentType::Json,
            ),
            (
                Some("application/json; charset=latin1"),
                "{}",
                ContentType::Json,
            ),
            (Some("text/plain"), " {\"a\":1}", ContentType::Json),
            (Some("application/x-msgpack"), "{", ContentType::MessagePack),
            (Some("text/plain"), "\u{81}", ContentType::MessagePack),
            (Some("text/plain"), "", ContentType::MessagePack),
        ] {
            assert_eq!(
                ContentType::guess(text, body.as_bytes()),
                expected,
                "{text:?}"
            );
        }
    }
}
