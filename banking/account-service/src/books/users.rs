//! The accounts, as the administrator sees them.

use super::Books;
use crate::failure::{Failure, retry};
use chassis::database::{count, like_containing, moment, parsed, readable, summed};
use contracts::{
    Page, PageRequest, UserId,
    account::{AccountError, AccountTotals, AdminUser},
};

/// The number of accounts, and the sum of their balances in two parts.
const TOTALS: &str = "SELECT COUNT(*),
        CAST(COALESCE(SUM(balance / 1000000000), 0) AS BIGINT),
        CAST(COALESCE(SUM(balance % 1000000000), 0) AS BIGINT)
    FROM accounts";

/// One statement, so that total and page are of the same moment. Ids of users are in the order of
/// their registration.
const USERS: &str = "SELECT counted.total, listed.user_id, listed.username, listed.phone,
        listed.account_number, listed.balance, listed.opened_at
    FROM (
        SELECT COUNT(*) AS total FROM accounts
        WHERE username_key LIKE $1 ESCAPE '!' OR account_number LIKE $1 ESCAPE '!'
    ) counted
    LEFT JOIN (
        SELECT * FROM accounts
        WHERE username_key LIKE $1 ESCAPE '!' OR account_number LIKE $1 ESCAPE '!'
        ORDER BY user_id DESC LIMIT $2 OFFSET $3
    ) listed ON 1 = 1
    ORDER BY listed.user_id DESC";

type Row = (
    i64,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
);

impl Books {
    /// Totals of all accounts.
    pub(crate) async fn totals(&self) -> Result<AccountTotals, AccountError> {
        retry(|| async {
            let (users, billions, rest): (i64, i64, i64) = sqlx::query_as(TOTALS)
                .fetch_one(self.database.pool())
                .await?;
            Ok(AccountTotals {
                users: count(users)?,
                balance: summed(billions, rest),
            })
        })
        .await
    }

    /// Users, the newest first; only those whose name or account number contains `search`.
    pub(crate) async fn users(
        &self,
        page: PageRequest,
        search: Option<&str>,
    ) -> Result<Page<AdminUser>, AccountError> {
        match like_containing(search.unwrap_or_default()) {
            Some(pattern) => retry(|| self.users_once(page, &pattern)).await,
            None => Ok(page.of(0, Vec::new())),
        }
    }

    async fn users_once(
        &self,
        page: PageRequest,
        pattern: &str,
    ) -> Result<Page<AdminUser>, Failure> {
        let rows: Vec<Row> = sqlx::query_as(USERS)
            .bind(pattern)
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(self.database.pool())
            .await?;
        let total = rows.first().map_or(0, |row| row.0);
        let users = readable("users", rows, user).into_iter().flatten();
        Ok(page.of(count(total)?, users.collect()))
    }

    /// One user.
    pub(crate) async fn user(&self, id: UserId) -> Result<AdminUser, AccountError> {
        retry(|| async {
            let select = "SELECT CAST(1 AS BIGINT), user_id, username, phone, account_number,
                    balance, opened_at
                FROM accounts WHERE user_id = $1";
            let row: Option<Row> = sqlx::query_as(select)
                .bind(id.to_string())
                .fetch_optional(self.database.pool())
                .await?;
            let found = row.map(user).transpose()?.flatten();
            Ok(found.ok_or_else(|| AccountError::NotFound("User".to_owned()))?)
        })
        .await
    }
}

/// The user of a row. A page without users is one row without one.
fn user(row: Row) -> sqlx::Result<Option<AdminUser>> {
    let (_, Some(id), Some(username), phone, Some(number), Some(balance), Some(opened_at)) = row
    else {
        return Ok(None);
    };
    Ok(Some(AdminUser {
        id: parsed(&id)?,
        username,
        phone,
        account_number: parsed(&number)?,
        balance,
        created_at: moment(opened_at)?,
    }))
}
