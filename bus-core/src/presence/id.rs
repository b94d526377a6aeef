//! The name of one serving instance.

use crate::call_id::CallId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The name of one instance of a service: one `serve` of one process, from its start to its end.
///
/// A UUIDv7, so that ids sort by their start; as text, in one spelling only: lower case, with
/// hyphens. The instance's control queue is named after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(CallId);

impl InstanceId {
    /// That of an instance that starts.
    pub(crate) fn new() -> Self {
        Self(CallId::new())
    }

    /// The id with these 16 bytes, such as one that was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(CallId::from_bytes(bytes))
    }

    /// The 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for InstanceId {
    type Err = InvalidInstanceId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| InvalidInstanceId)
    }
}

/// The text is no id of an instance: 36 characters, a lower-case UUID with hyphens.
///
/// ```
/// use replybus::presence::{InstanceId, InvalidInstanceId};
///
/// let id: InstanceId = "01890a5d-ac96-774b-bcce-b302099a8057".parse()?;
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert_eq!("the first".parse::<InstanceId>(), Err(InvalidInstanceId));
/// # Ok::<(), InvalidInstanceId>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an instance: expected a lower-case UUID of 36 characters with hyphens")]
pub struct InvalidInstanceId;
