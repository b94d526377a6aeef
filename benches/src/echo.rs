//! What every call carries, there and back.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Bytes of text, unless others are asked for.
pub const TEXT_BYTES: u32 = 128;
/// The number of a call has room in this.
pub const TEXT_BYTES_MIN: u32 = 16;
/// A body of 256 KiB, the most a request may have, has room for this and what is around it.
pub const TEXT_BYTES_MAX: u32 = 255 * 1024;

/// The argument of a call and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Different in each call, so that a reply that reaches the wrong caller is noticed.
    pub text: String,
}

impl Echo {
    /// The argument of call `number`: so many bytes of text, or as many as the number has digits.
    #[must_use]
    pub fn numbered(number: u64, bytes: usize) -> Self {
        let digits = number.to_string();
        // A format pads character by character, which is most of the time of a large call.
        let mut text = "0".repeat(bytes.saturating_sub(digits.len()));
        text.push_str(&digits);
        Self { text }
    }

    /// Encodes it as a named map in MessagePack.
    ///
    /// # Errors
    /// The encoder fails.
    pub fn encode(&self) -> Result<Vec<u8>> {
        rmp_serde::to_vec_named(self).context("could not encode an echo")
    }

    /// Decodes what [`encode`](Self::encode) made.
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        rmp_serde::from_slice(bytes).context("could not decode an echo")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_as_it_was_and_differs_by_number() {
        let echo = Echo::numbered(7, 128);
        assert_eq!(echo.text.len(), 128);
        assert!(echo.text.ends_with("007"));
        assert_eq!(Echo::decode(&echo.encode().unwrap()).unwrap(), echo);
        assert_ne!(echo, Echo::numbered(8, 128));
    }
}
