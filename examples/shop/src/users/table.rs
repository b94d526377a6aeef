//! The table of users.

use crate::{contracts::Profile, numbers};
use chassis::{Database, database::now};

/// A user and the hash of their password.
pub(super) struct Known {
    pub(super) id: i64,
    pub(super) username: String,
    pub(super) password_hash: String,
}

/// The table. Each method is one statement, and safe to repeat.
#[derive(Clone)]
pub(super) struct UserTable {
    database: Database,
}

impl UserTable {
    pub(super) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds a user, and returns their id; `None` if somebody has the name.
    pub(super) async fn insert(
        &self,
        username: &str,
        password_hash: &str,
        credit: i64,
    ) -> sqlx::Result<Option<i64>> {
        const INSERT: &str = "INSERT INTO users
            (id, username, username_key, password_hash, credit, created_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (username_key) DO NOTHING";
        let id = numbers::next(&self.database, "users").await?;
        let inserted = sqlx::query(INSERT)
            .bind(id)
            .bind(username)
            .bind(username.to_lowercase())
            .bind(password_hash)
            .bind(credit)
            .bind(now())
            .execute(self.database.pool())
            .await?;
        Ok((inserted.rows_affected() == 1).then_some(id))
    }

    pub(super) async fn by_name(&self, username: &str) -> sqlx::Result<Option<Known>> {
        const FIND: &str = "SELECT id, username, password_hash FROM users WHERE username_key = $1";
        let find = sqlx::query_as(FIND).bind(username.to_lowercase());
        let found: Option<(i64, String, String)> =
            find.fetch_optional(self.database.pool()).await?;
        Ok(found.map(|(id, username, password_hash)| Known {
            id,
            username,
            password_hash,
        }))
    }

    pub(super) async fn by_id(&self, id: i64) -> sqlx::Result<Option<Profile>> {
        const FIND: &str = "SELECT username, credit FROM users WHERE id = $1";
        let find = sqlx::query_as(FIND).bind(id);
        let found: Option<(String, i64)> = find.fetch_optional(self.database.pool()).await?;
        Ok(found.map(|(username, credit)| Profile {
            id,
            username,
            credit,
        }))
    }
}
