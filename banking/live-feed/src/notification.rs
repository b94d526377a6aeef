//! The message that travels between processes.

use contracts::UserId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A notification that was just stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewNotification {
    /// The notification, as in the list.
    pub id: Uuid,
    /// The user it is for.
    pub user_id: UserId,
    /// The event, as a sentence.
    pub message: String,
    /// When it was stored.
    pub created_at: Timestamp,
}
