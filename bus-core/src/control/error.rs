//! Instances could not be asked.

use crate::error::SetupError;

/// Instances could not be asked, or drained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// No queue can have this name.
    #[error("nobody can be asked")]
    Misnamed(#[source] SetupError),
    /// The broker does not let this user publish to the control exchange, or to the instance's
    /// control queue; the text is its own.
    #[error("the broker does not let this user ask: {reason}")]
    #[non_exhaustive]
    Denied {
        /// The broker's words.
        reason: String,
    },
    /// The question did not reach the broker.
    #[error("it was not sent: {reason}")]
    #[non_exhaustive]
    NotSent {
        /// Why.
        reason: String,
    },
    /// Too much is being asked or published already.
    #[error("too much is asked at once")]
    Busy,
}

impl ControlError {
    pub(super) fn denied(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Denied { reason }
    }

    pub(super) fn not_sent(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::NotSent { reason }
    }
}
