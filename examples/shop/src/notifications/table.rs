//! The tables of deliveries, and of what users prefer.

use super::template::Language;
use crate::{
    contracts::{OrderCreated, Told},
    http::Page,
};
use chassis::{
    Database,
    database::{moment, now, patiently},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use uuid::Uuid;

/// What a user wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Preferences {
    pub(super) language: Language,
    pub(super) enabled: bool,
    pub(super) email: Option<String>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            language: Language::default(),
            enabled: true,
            email: None,
        }
    }
}

/// What is to be changed of it; the rest stays.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    pub(super) language: Option<Language>,
    pub(super) enabled: Option<bool>,
    pub(super) email: Option<String>,
}

/// A row, as it is read.
type Row = (String, i64, Option<String>);

impl From<Row> for Preferences {
    fn from((language, enabled, email): Row) -> Self {
        Self {
            language: Language::of(&language),
            enabled: enabled != 0,
            email,
        }
    }
}

/// The table of preferences. Each method is one statement, and safe to repeat.
#[derive(Clone)]
pub(super) struct PreferenceTable(Database);

impl PreferenceTable {
    pub(super) fn new(database: Database) -> Self {
        Self(database)
    }

    /// The default is that of somebody who never said.
    pub(super) async fn find(&self, user: i64) -> sqlx::Result<Preferences> {
        const FIND: &str = "SELECT language, enabled, email FROM preferences WHERE user_id = $1";
        let found = patiently(|| {
            let find = sqlx::query_as(FIND).bind(user);
            find.fetch_optional(self.0.pool())
        });
        let found: Option<Row> = found.await?;
        Ok(found.map(Preferences::from).unwrap_or_default())
    }

    /// Changes what is to be changed, and leaves the rest to whoever changes it meanwhile; returns
    /// what is wanted then.
    pub(super) async fn change(&self, user: i64, change: &Change) -> sqlx::Result<Preferences> {
        const CHANGE: &str = "INSERT INTO preferences (user_id, language, enabled, email)
            VALUES ($1, COALESCE($2, $5), COALESCE($3, $6), $4) ON CONFLICT (user_id) DO UPDATE
            SET language = COALESCE($2, preferences.language),
                enabled = COALESCE($3, preferences.enabled),
                email = COALESCE($4, preferences.email)
            RETURNING language, enabled, email";
        let never_said = Preferences::default();
        let change = sqlx::query_as(CHANGE)
            .bind(user)
            .bind(change.language.map(Language::as_str))
            .bind(change.enabled.map(i64::from))
            .bind(change.email.as_deref())
            .bind(never_said.language.as_str())
            .bind(i64::from(never_said.enabled));
        let changed: Row = change.fetch_one(self.0.pool()).await?;
        Ok(changed.into())
    }
}

/// What became of a notification, as its user sees it.
#[derive(Debug, Serialize)]
pub(super) struct Delivery {
    event: String,
    order_id: i64,
    language: String,
    subject: String,
    body: String,
    /// `pending`, `sent` or `not_sent`.
    status: String,
    detail: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// The table of deliveries. Each method is one statement, and safe to repeat.
#[derive(Clone)]
pub(super) struct DeliveryTable(Database);

impl DeliveryTable {
    pub(super) fn new(database: Database) -> Self {
        Self(database)
    }

    /// Notes that somebody is to be told; returns whether there is something left to do.
    pub(super) async fn begin(
        &self,
        order: &OrderCreated,
        language: Language,
        (subject, body): &(String, String),
    ) -> sqlx::Result<bool> {
        const BEGIN: &str = "INSERT INTO deliveries (event, user_id, order_id, language, subject,
            body, status, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $7)
            ON CONFLICT (event) DO NOTHING";
        const STATUS: &str = "SELECT status FROM deliveries WHERE event = $1";
        let event = order.id.to_string();
        let begin = sqlx::query(BEGIN)
            .bind(&event)
            .bind(order.user_id)
            .bind(order.order_id)
            .bind(language.as_str())
            .bind(subject)
            .bind(body)
            .bind(now());
        begin.execute(self.0.pool()).await?;
        let status = sqlx::query_as(STATUS).bind(&event);
        let (status,): (String,) = status.fetch_one(self.0.pool()).await?;
        Ok(status == "pending")
    }

    /// Notes what came of it.
    pub(super) async fn note(
        &self,
        event: Uuid,
        status: &str,
        detail: Option<&str>,
    ) -> sqlx::Result<()> {
        const NOTE: &str = "UPDATE deliveries SET status = $2, detail = $3, updated_at = $4
            WHERE event = $1";
        let note = sqlx::query(NOTE)
            .bind(event.to_string())
            .bind(status)
            .bind(detail)
            .bind(now());
        note.execute(self.0.pool()).await.map(drop)
    }

    /// Those of a user, the newest first.
    pub(super) async fn list(&self, user: i64, page: Page) -> sqlx::Result<Vec<Delivery>> {
        const LIST: &str = "SELECT event, order_id, language, subject, body, status, detail,
            created_at, updated_at FROM deliveries WHERE user_id = $1
            ORDER BY created_at DESC, event DESC LIMIT $2 OFFSET $3";
        let list = sqlx::query(LIST)
            .bind(user)
            .bind(page.limit)
            .bind(page.skip);
        let rows = list.fetch_all(self.0.pool()).await?;
        let read = rows.iter().map(|row| {
            Ok(Delivery {
                event: row.try_get("event")?,
                order_id: row.try_get("order_id")?,
                language: row.try_get("language")?,
                subject: row.try_get("subject")?,
                body: row.try_get("body")?,
                status: row.try_get("status")?,
                detail: row.try_get("detail")?,
                created_at: moment(row.try_get("created_at")?)?,
                updated_at: moment(row.try_get("updated_at")?)?,
            })
        });
        read.collect()
    }

    pub(super) async fn count(&self, user: i64) -> sqlx::Result<Told> {
        const COUNT: &str = "SELECT COUNT(CASE WHEN status = 'sent' THEN 1 END), COUNT(*)
            FROM deliveries WHERE user_id = $1";
        let count = sqlx::query_as(COUNT).bind(user);
        let (sent, total): (i64, i64) = count.fetch_one(self.0.pool()).await?;
        Ok(Told { sent, total })
    }
}
