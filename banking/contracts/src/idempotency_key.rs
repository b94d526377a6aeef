//! The name that a caller gives an effect, so that it can be asked for twice and happens once.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A caller's name for one effect: 1 to 128 printable ASCII characters. It belongs to the user who
/// sent it; another user's same key is another effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The longest key, in bytes.
    pub const BYTES_MAX: usize = 128;

    /// The key of an effect that its caller did not name: no other call has it.
    #[must_use]
    pub fn draw() -> Self {
        Self(uuid::Uuid::now_v7().hyphenated().to_string())
    }

    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = InvalidIdempotencyKey;

    fn try_from(key: String) -> Result<Self, InvalidIdempotencyKey> {
        let printable = key.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if printable && (1..=Self::BYTES_MAX).contains(&key.len()) {
            Ok(Self(key))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

/// Not an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "Idempotency-Key: 1 to {max} printable ASCII characters are allowed",
    max = IdempotencyKey::BYTES_MAX
)]
pub struct InvalidIdempotencyKey;
