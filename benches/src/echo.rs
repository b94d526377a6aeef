//! What every call carries, there and back.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Bytes of text in an [`Echo`].
pub const TEXT_BYTES: usize = 128;

/// The argument of a call and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// [`TEXT_BYTES`] characters, different in each call, so that a reply that reaches the wrong
    /// caller is noticed.
    pub text: String,
}

impl Echo {
    /// The argument of call `number`.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        Self {
            text: format!("{number:0TEXT_BYTES$}"),
        }
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
        let echo = Echo::numbered(7);
        assert_eq!(echo.text.len(), TEXT_BYTES);
        assert_eq!(Echo::decode(&echo.encode().unwrap()).unwrap(), echo);
        assert_ne!(echo, Echo::numbered(8));
    }
}
