//! Refusals that every service may give.

use serde::{Deserialize, Serialize};

/// A service did not do what it was asked, for a reason that has nothing to do with what that was.
/// Part of every service's own error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Refused {
    /// The session is missing, forged, expired or was logged out.
    #[error("Not authenticated")]
    Unauthenticated,
    /// The one who asks is known and may not.
    #[error("Forbidden")]
    Forbidden,
    /// The service can't reach what it needs. Asking again later may help: with the same key if it
    /// moves money, for whether a database that was lost while it committed did so is not known.
    #[error("The service is not available, try again later")]
    Unavailable,
}
