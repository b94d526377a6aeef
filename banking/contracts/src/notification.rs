//! Notifications of users.

use crate::{Page, PageRequest, Refused, ServiceHealth, UserId};
use jiff::Timestamp;
use replybus::{Never, queue_handler};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The size of a page of notifications that names none.
pub const PAGE_SIZE: u32 = 50;

/// The group of subscribers that is told of each transfer; a queue of that name.
pub const GROUP: &str = "notifications";

/// Notifications of users.
#[queue_handler("notification.requests", timeout = "5s")]
pub trait Notifications {
    /// Those on a page of the user's who asks, newest first.
    #[query]
    async fn list(&self, page: PageRequest) -> Result<Vec<Notification>, NotificationError>;

    /// Marks notifications of the user who asks as read, or all of them if none is named. Returns
    /// how many were not read before; another user's are left alone.
    async fn mark_read(&self, ids: Option<Vec<Uuid>>) -> Result<MarkedRead, NotificationError>;

    /// The number of those stored, of all users. For the administrator.
    #[query]
    async fn admin_total(&self) -> Result<u64, NotificationError>;

    /// Those of all users or one, newest first. For the administrator.
    #[query]
    async fn admin_notifications(
        &self,
        page: PageRequest,
        user_id: Option<UserId>,
    ) -> Result<Page<AdminNotification>, NotificationError>;

    /// The health of the service.
    #[query]
    async fn health(&self) -> Result<ServiceHealth, Never>;
}

/// Something a user is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Notification {
    /// The notification.
    #[schema(value_type = String, format = Uuid)]
    pub id: Uuid,
    /// What happened, as a sentence.
    pub message: String,
    /// Whether its user has read it.
    pub is_read: bool,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// How many notifications were marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MarkedRead {
    /// Those that were not read before.
    pub marked: u64,
}

/// A notification, as the administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdminNotification {
    /// The notification.
    #[schema(value_type = String, format = Uuid)]
    pub id: Uuid,
    /// Who is told.
    pub user_id: UserId,
    /// What happened, as a sentence.
    pub message: String,
    /// Whether its user has read it.
    pub is_read: bool,
    /// When it was stored.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The reason why nothing was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum NotificationError {
    /// At most this many can be marked at once.
    #[error("ids: at most {0} are allowed")]
    TooMany(usize),
    /// A refusal that any service may give.
    #[error(transparent)]
    Refused(#[from] Refused),
}
