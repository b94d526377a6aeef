//! The notifications of events that come at the same time are stored by one statement.

use chassis::{
    Database,
    database::{Column, rows},
};
use live_feed::NewNotification;
use serde::Serialize;
use sqlx::AssertSqlSafe;
use std::{collections::HashSet, sync::Arc};
use uuid::Uuid;

/// Events whose notifications are stored together.
pub(crate) const TOGETHER: usize = 64;

/// A notification as it is stored.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    id: String,
    event: String,
    user_id: String,
    message: String,
    created_at: i64,
}

impl Row {
    pub(crate) fn of(event: Uuid, notification: &NewNotification) -> Self {
        Self {
            id: notification.id.to_string(),
            event: event.to_string(),
            user_id: notification.user_id.to_string(),
            message: notification.message.clone(),
            created_at: notification.created_at.as_microsecond(),
        }
    }
}

/// Stores groups.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    database: Database,
    insert: Arc<str>,
}

impl Groups {
    pub(crate) fn new(database: Database) -> Self {
        use Column::{Integer, Text};
        let given = [
            Text("id"),
            Text("event"),
            Text("user_id"),
            Text("message"),
            Integer("created_at"),
        ];
        // In one order, so that two groups with the same events never wait for each other in a
        // circle.
        let insert = format!(
            "INSERT INTO notifications (id, event, user_id, message, created_at)
            SELECT id, event, user_id, message, created_at FROM {}
            WHERE true ORDER BY event, user_id
            ON CONFLICT (event, user_id) DO NOTHING RETURNING id",
            database.given(1, "given", &given)
        );
        Self {
            database,
            insert: insert.into(),
        }
    }

    /// Stores the notifications of events. An event of which some were stored before, or are there
    /// twice, is left out: what is there is looked for by who stores it alone.
    pub(crate) async fn store(self, events: Vec<Arc<[Row]>>) -> sqlx::Result<Vec<Option<()>>> {
        let given: Vec<&Row> = events.iter().flat_map(|rows| rows.iter()).collect();
        let stored: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(Arc::clone(&self.insert)))
            .bind(rows(&given)?)
            .fetch_all(self.database.pool())
            .await?;
        let stored: HashSet<String> = stored.into_iter().map(|(id,)| id).collect();
        let all = |rows: &Arc<[Row]>| rows.iter().all(|row| stored.contains(&row.id));
        Ok(events.iter().map(|rows| all(rows).then_some(())).collect())
    }
}
