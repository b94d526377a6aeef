//! The table of users.

use chassis::{
    Database,
    database::{now, parsed, patiently},
};
use contracts::{Refused, UserId};
use sqlx::{Row, any::AnyRow};
use std::fmt;

/// A user who may log in, or is about to.
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) username: String,
    /// Digits only, not masked.
    pub(crate) phone: Option<String>,
    pub(crate) password_hash: String,
    /// The registration that made the user: its key, or its call.
    pub(crate) registered_by: String,
    /// `true` when their account is open.
    pub(crate) is_active: bool,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The table. Each method is one statement, and safe to repeat.
pub(crate) struct Users {
    database: Database,
}

impl Users {
    /// The table in that database.
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// The user with this name in lower case.
    pub(crate) async fn by_username(&self, key: &str) -> Result<Option<User>, Refused> {
        self.find(
            "SELECT id, username, phone, password_hash, registered_by, active_since
             FROM users WHERE username_key = $1",
            key,
        )
        .await
    }

    /// The user with this id.
    pub(crate) async fn by_id(&self, id: UserId) -> Result<Option<User>, Refused> {
        self.find(
            "SELECT id, username, phone, password_hash, registered_by, active_since
             FROM users WHERE id = $1",
            &id.to_string(),
        )
        .await
    }

    /// The user with this phone.
    pub(crate) async fn by_phone(&self, phone: &str) -> Result<Option<User>, Refused> {
        self.find(
            "SELECT id, username, phone, password_hash, registered_by, active_since
             FROM users WHERE phone = $1",
            phone,
        )
        .await
    }

    async fn find(&self, select: &'static str, value: &str) -> Result<Option<User>, Refused> {
        // PostgreSQL has no such character in a text, and so nobody has it in their name.
        if value.contains('\0') {
            return Ok(None);
        }
        let find = || async {
            let select = sqlx::query(select).bind(value);
            let row = select.fetch_optional(self.database.pool()).await?;
            row.as_ref().map(read).transpose()
        };
        patiently(find).await.map_err(|error| unavailable(&error))
    }

    /// Adds a user whose account is not open yet. Returns whether they were added: `false` if
    /// somebody has the name or the phone.
    pub(crate) async fn insert(&self, key: &str, user: &User) -> Result<bool, Refused> {
        let insert = || {
            sqlx::query(
                "INSERT INTO users
                 (id, username, username_key, phone, password_hash, registered_by, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)
                 ON CONFLICT DO NOTHING",
            )
            .bind(user.id.to_string())
            .bind(&user.username)
            .bind(key)
            .bind(user.phone.as_deref())
            .bind(&user.password_hash)
            .bind(&user.registered_by)
            .bind(now())
            .execute(self.database.pool())
        };
        let inserted = patiently(insert)
            .await
            .map_err(|error| unavailable(&error))?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Notes that a user's account is open.
    pub(crate) async fn activate(&self, id: UserId) -> Result<(), Refused> {
        let activate = || {
            sqlx::query("UPDATE users SET active_since = $1 WHERE id = $2 AND active_since IS NULL")
                .bind(now())
                .bind(id.to_string())
                .execute(self.database.pool())
        };
        let activated = patiently(activate).await;
        activated.map(drop).map_err(|error| unavailable(&error))
    }

    /// Gives a user another password, by its hash, unless the stored one is no longer that of `user`.
    /// Returns whether it was: repeated, `false` may mean that it had been done before.
    pub(crate) async fn change_hash(&self, user: &User, hash: &str) -> Result<bool, Refused> {
        let change = || {
            sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
                .bind(hash)
                .bind(user.id.to_string())
                .bind(&user.password_hash)
                .execute(self.database.pool())
        };
        let changed = patiently(change).await;
        let changed = changed.map_err(|error| unavailable(&error))?;
        Ok(changed.rows_affected() == 1)
    }

    /// Replaces the hash of a user's password by another of the same password. If it can't, the
    /// next login will.
    pub(crate) async fn renew_hash(&self, user: &User, renewed: &str) {
        let renew =
            sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
                .bind(renewed)
                .bind(user.id.to_string())
                .bind(&user.password_hash);
        if let Err(error) = renew.execute(self.database.pool()).await {
            tracing::warn!(%error, user = %user.id, "the hash of a password was not renewed");
        }
    }

    /// `true` if the database answers.
    pub(crate) async fn database_is_up(&self) -> bool {
        self.database.is_up().await
    }
}

fn read(row: &AnyRow) -> sqlx::Result<User> {
    let active_since: Option<i64> = row.try_get(5)?;
    Ok(User {
        id: parsed(row.try_get(0)?)?,
        username: row.try_get(1)?,
        phone: row.try_get(2)?,
        password_hash: row.try_get(3)?,
        registered_by: row.try_get(4)?,
        is_active: active_since.is_some(),
    })
}

fn unavailable(error: &sqlx::Error) -> Refused {
    tracing::error!(%error, "the table of users can't be used");
    Refused::Unavailable
}
