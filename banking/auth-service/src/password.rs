//! A password that was opened.

use contracts::{
    Refused,
    auth::{AuthError, Password as Sent},
};
use replybus::sealed::OpeningKey;
use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};
use zeroize::Zeroizing;

/// One has come in the clear. It is said once.
static WAS_CLEAR: AtomicBool = AtomicBool::new(false);

/// A password, as it was typed. Wiped from memory, and not shown by `Debug`.
#[derive(Clone)]
pub(crate) struct Password(Zeroizing<String>);

impl Password {
    /// Opens what was sent for a purpose.
    pub(crate) fn open(sent: Sent, key: &OpeningKey, purpose: &str) -> Result<Self, AuthError> {
        if sent.is_clear() && !WAS_CLEAR.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a password came in the clear: a gateway of an older version is still in use"
            );
        }
        let password = sent.open(key, purpose).map_err(|error| {
            // Nobody's mistake who typed it: keys that differ, or a message that somebody made.
            tracing::error!(%error, "a password can't be opened");
            AuthError::from(Refused::Unavailable)
        })?;
        Ok(password.into())
    }

    /// The secret itself.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(password: String) -> Self {
        Self(Zeroizing::new(password))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}
