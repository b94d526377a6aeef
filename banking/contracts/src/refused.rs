//! What every service may answer instead of doing what it was asked.

use serde::{Deserialize, Serialize};

/// A service did nothing, for a reason that has nothing to do with what was asked. Part of every
/// service's own error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refused {
    /// The session is missing, forged, expired or was logged out.
    #[error("Not authenticated")]
    Unauthenticated,
    /// Who asks is known and may not.
    #[error("Forbidden")]
    Forbidden,
    /// The service can't reach what it needs. Nothing was done; asking again later may help.
    #[error("The service is not available, try again later")]
    Unavailable,
}
