//! Notifications in the database. Each statement stands alone, and so is a transaction of its own;
//! those of events that come at the same time are stored by one (`group`).
//!
//! What is read is shortened and cleaned, whatever an older version may have stored.

use crate::group::{self, Groups, Row};
use chassis::{
    Database,
    database::{Joined, Lane, count, moment, parsed, readable},
};
use contracts::{
    Page, PageRequest, UserId,
    notification::{AdminNotification, Notification},
    shown,
};
use live_feed::NewNotification;
use sqlx::AssertSqlSafe;
use std::{fmt::Write as _, sync::Arc};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Events that are stored alone at once, because a group of theirs came to nothing: fewer than
/// there are connections, so that some are left to those who ask.
const ALONE_MAX: usize = 6;

/// The notifications of all users.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    database: Database,
    /// What waits to be stored is stored together.
    storing: Lane<Arc<[Row]>, ()>,
    alone: Arc<Semaphore>,
}

impl Store {
    pub(crate) fn new(database: Database) -> Self {
        let groups = Groups::new(database.clone());
        let store = move |events| groups.clone().store(events);
        Self {
            storing: Lane::new("notifications", group::TOGETHER, store),
            alone: Arc::new(Semaphore::new(ALONE_MAX)),
            database,
        }
    }

    /// Stores the notifications of `event`, together or not at all. Returns those that are stored
    /// under their own id, and leaves out those that somebody else had stored before. So it may be
    /// repeated with the same ids when it is not known whether it was carried out.
    pub(crate) async fn add(
        &self,
        event: Uuid,
        notifications: &[NewNotification],
    ) -> sqlx::Result<Vec<NewNotification>> {
        let rows = notifications
            .iter()
            .map(|new| Row::of(event, new))
            .collect();
        match self.storing.join(rows).await {
            Joined::Done(()) => Ok(notifications.to_vec()),
            Joined::NotReached => Err(sqlx::Error::PoolTimedOut),
            Joined::Alone => {
                let _place = self.alone.acquire().await;
                self.add_alone(event, notifications).await
            }
        }
    }

    async fn add_alone(
        &self,
        event: Uuid,
        notifications: &[NewNotification],
    ) -> sqlx::Result<Vec<NewNotification>> {
        let event = event.to_string();
        let rows = (0..notifications.len()).map(|row| {
            let [id, user, message, created_at] = [2, 3, 4, 5].map(|column| 4 * row + column);
            format!("(${id}, $1, ${user}, ${message}, ${created_at})")
        });
        let rows: Vec<_> = rows.collect();
        let insert = format!(
            "INSERT INTO notifications (id, event, user_id, message, created_at) VALUES {}
            ON CONFLICT (event, user_id) DO NOTHING",
            rows.join(", ")
        );
        let mut insert = sqlx::query(AssertSqlSafe(insert)).bind(&event);
        for notification in notifications {
            insert = insert
                .bind(notification.id.to_string())
                .bind(notification.user_id.to_string())
                .bind(&notification.message)
                .bind(notification.created_at.as_microsecond());
        }
        let added = insert.execute(self.database.pool()).await?;
        if usize::try_from(added.rows_affected()) == Ok(notifications.len()) {
            return Ok(notifications.to_vec());
        }
        let select = "SELECT id FROM notifications WHERE event = $1";
        let stored: Vec<(String,)> = sqlx::query_as(select)
            .bind(&event)
            .fetch_all(self.database.pool())
            .await?;
        let is_stored = |id: Uuid| {
            let id = id.to_string();
            stored.iter().any(|(stored,)| *stored == id)
        };
        let ours = notifications
            .iter()
            .filter(|notification| is_stored(notification.id));
        Ok(ours.cloned().collect())
    }

    /// A page of a user's, newest first.
    pub(crate) async fn listed(
        &self,
        user: UserId,
        page: PageRequest,
    ) -> sqlx::Result<Vec<Notification>> {
        let select = "SELECT id, SUBSTR(message, 1, 512), is_read, created_at FROM notifications
            WHERE user_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3";
        let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(select)
            .bind(user.to_string())
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(self.database.pool())
            .await?;
        let notification = |(id, message, is_read, created_at): (String, String, i64, i64)| {
            Ok(Notification {
                id: parsed(&id)?,
                message: shown(&message),
                is_read: is_read != 0,
                created_at: moment(created_at)?,
            })
        };
        Ok(readable("notifications", rows, notification))
    }

    /// Marks all of a user's notifications as read; returns how many were not.
    pub(crate) async fn mark_all(&self, user: UserId) -> sqlx::Result<u64> {
        let update = "UPDATE notifications SET is_read = 1 WHERE user_id = $1 AND is_read = 0";
        let marked = sqlx::query(update)
            .bind(user.to_string())
            .execute(self.database.pool())
            .await?;
        Ok(marked.rows_affected())
    }

    /// Marks those of these notifications that are the user's; returns how many were not read.
    pub(crate) async fn mark(&self, user: UserId, ids: &[Uuid]) -> sqlx::Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let mut update =
            "UPDATE notifications SET is_read = 1 WHERE user_id = $1 AND is_read = 0 AND id IN ("
                .to_owned();
        for number in 2..ids.len() + 2 {
            // A string takes all that is written to it.
            let _ = write!(update, "${number}, ");
        }
        update.truncate(update.len() - ", ".len());
        update.push(')');
        // Made of constants and numbers. There are many of them, so connections need not keep them.
        let mut update = sqlx::query(AssertSqlSafe(update))
            .persistent(false)
            .bind(user.to_string());
        for id in ids {
            update = update.bind(id.to_string());
        }
        let marked = update.execute(self.database.pool()).await?;
        Ok(marked.rows_affected())
    }

    /// The number of those stored, of all users or one.
    pub(crate) async fn count(&self, user: Option<UserId>) -> sqlx::Result<u64> {
        let select = match user {
            None => sqlx::query_as("SELECT COUNT(*) FROM notifications"),
            Some(user) => sqlx::query_as("SELECT COUNT(*) FROM notifications WHERE user_id = $1")
                .bind(user.to_string()),
        };
        let (stored,): (i64,) = select.fetch_one(self.database.pool()).await?;
        count(stored)
    }

    /// A page of all users' notifications or one's, newest first.
    pub(crate) async fn page(
        &self,
        page: PageRequest,
        user: Option<UserId>,
    ) -> sqlx::Result<Page<AdminNotification>> {
        let total = self.count(user).await?;
        let select = match user {
            None => sqlx::query_as(
                "SELECT id, user_id, SUBSTR(message, 1, 512), is_read, created_at
                FROM notifications
                ORDER BY created_at DESC, id DESC LIMIT $1 OFFSET $2",
            ),
            Some(_) => sqlx::query_as(
                "SELECT id, user_id, SUBSTR(message, 1, 512), is_read, created_at
                FROM notifications
                WHERE user_id = $3 ORDER BY created_at DESC, id DESC LIMIT $1 OFFSET $2",
            ),
        };
        let mut select = select.bind(page.limit()).bind(page.offset());
        if let Some(user) = user {
            select = select.bind(user.to_string());
        }
        let rows: Vec<(String, String, String, i64, i64)> =
            select.fetch_all(self.database.pool()).await?;
        let notification = |row: (String, String, String, i64, i64)| {
            let (id, user, message, is_read, created_at) = row;
            Ok(AdminNotification {
                id: parsed(&id)?,
                user_id: parsed(&user)?,
                message: shown(&message),
                is_read: is_read != 0,
                created_at: moment(created_at)?,
            })
        };
        let items = readable("notifications", rows, notification);
        Ok(page.of(total, items))
    }

    /// `true` if the database answers.
    pub(crate) async fn is_up(&self) -> bool {
        self.database.is_up().await
    }
}
