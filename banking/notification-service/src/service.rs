//! Answers users and the administrator.

use crate::store::Store;
use chassis::{Identity, database::patiently};
use contracts::{
    Page, PageRequest, Refused, ServiceHealth, UserId,
    notification::{AdminNotification, MarkedRead, Notification, NotificationError, Notifications},
};
use replybus::{Context, Never};
use std::future::Future;
use uuid::Uuid;

/// The most notifications that are marked by one call; twice what is listed.
const MARK_MAX: usize = 100;

/// The notification service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) identity: Identity,
    pub(crate) store: Store,
}

impl Notifications for Service {
    async fn list(&self, page: PageRequest) -> Result<Vec<Notification>, NotificationError> {
        let user = self.identity.user().await?;
        retry(|| self.store.listed(user.id, page)).await
    }

    async fn mark_read(&self, ids: Option<Vec<Uuid>>) -> Result<MarkedRead, NotificationError> {
        let marked = self.mark(ids).await;
        if marked.is_err() {
            // Marking twice is marking once, so another try under the same key does no harm.
            Context::current().release_key();
        }
        marked
    }

    async fn admin_total(&self) -> Result<u64, NotificationError> {
        self.identity.require_admin()?;
        retry(|| self.store.count(None)).await
    }

    async fn admin_notifications(
        &self,
        page: PageRequest,
        user_id: Option<UserId>,
    ) -> Result<Page<AdminNotification>, NotificationError> {
        self.identity.require_admin()?;
        retry(|| self.store.page(page, user_id)).await
    }

    async fn health(&self) -> Result<ServiceHealth, Never> {
        let (database, redis) = tokio::join!(self.store.is_up(), self.identity.store_is_up());
        Ok(ServiceHealth::new(self.name, database, redis))
    }
}

impl Service {
    async fn mark(&self, ids: Option<Vec<Uuid>>) -> Result<MarkedRead, NotificationError> {
        let user = self.identity.user().await?;
        let marked = match ids {
            Some(ids) if ids.len() > MARK_MAX => return Err(NotificationError::TooMany(MARK_MAX)),
            Some(ids) => retry(|| self.store.mark(user.id, &ids)).await?,
            None => retry(|| self.store.mark_all(user.id)).await?,
        };
        Ok(MarkedRead { marked })
    }
}

/// Asks the database, again if it was in others' way.
async fn retry<T, F>(ask: impl FnMut() -> F) -> Result<T, NotificationError>
where
    F: Future<Output = sqlx::Result<T>>,
{
    patiently(ask).await.map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the database does not answer"
        );
        Refused::Unavailable.into()
    })
}
