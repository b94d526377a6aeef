//! The name of one call, the same for all its attempts.

use crate::{contract::id_of_now, message::Text};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};
use uuid::Uuid;

/// The name of one call, from its first attempt to its reply. A UUIDv7 (RFC 9562, section 5.7), so
/// that ids sort by the time of the call.
///
/// It travels as text, in one spelling only: lower case, with hyphens.
///
/// ```
/// use replybus::CallId;
///
/// let id = CallId::new();
/// let text = id.to_string(); // in a log, in a header, in a URL
/// assert_eq!(text.parse(), Ok(id));
///
/// let bytes = *id.as_bytes(); // in a column of a database
/// assert_eq!(CallId::from_bytes(bytes), id);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(Uuid);

impl CallId {
    /// A new id, unique across processes.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default is the same each time; an id never is"
    )]
    pub fn new() -> Self {
        Self(id_of_now())
    }

    /// The id with these 16 bytes, such as one that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id as it travels.
    pub(crate) fn to_text(self) -> Text {
        let mut text = Uuid::encode_buffer();
        Text::from(&*self.0.as_hyphenated().encode_lower(&mut text))
    }

    /// When it was made, since the Unix epoch; `None` of an id in another form than ours.
    pub(crate) fn made_at(self) -> Option<Duration> {
        let is_ours = self.0.get_version_num() == 7;
        let (seconds, nanos) = self.0.get_timestamp().filter(|_| is_ours)?.to_unix();
        Some(Duration::new(seconds, nanos))
    }

    /// The half of the id that is random.
    pub(crate) fn random_bits(self) -> u64 {
        self.0.as_u64_pair().1
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CallId {
    type Err = InvalidCallId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Only one spelling: two of one id would be two Redis keys.
        if text.len() != 36 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidCallId);
        }
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidCallId)
    }
}

/// The text is not a call id: 36 characters, a lower-case UUID with hyphens.
///
/// ```
/// use replybus::{CallId, InvalidCallId};
///
/// // Upper case would be a second name of the same call.
/// let text = "01890A5D-AC96-774B-BCCE-B302099A8057";
/// assert_eq!(text.parse::<CallId>(), Err(InvalidCallId));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a call id: expected a lower-case UUID of 36 characters with hyphens")]
pub struct InvalidCallId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_prints() {
        let id = CallId::new();
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn bytes_make_the_same_id() {
        let id = CallId::new();
        assert_eq!(CallId::from_bytes(*id.as_bytes()), id);
    }

    #[test]
    fn refuses_other_spellings() {
        let id = CallId::new().to_string();
        for text in [
            "",
            "x",
            &id.replace('-', ""),
            &id.to_uppercase(),
            &format!("{{{id}}}"),
            &format!("{id} "),
        ] {
            assert_eq!(text.parse::<CallId>(), Err(InvalidCallId), "{text:?}");
        }
    }
}
