//! The records of transfers, as they are read: by their two sides, and by the administrator.

use crate::record::{Transfer, columns};
use chassis::{
    Database,
    database::{count, like_containing, readable, summed},
};
use contracts::{
    Page, PageRequest, UserId,
    transfer::{AdminTransfer, Transaction, TransferTotals},
};
use sqlx::AssertSqlSafe;

/// Reads records. Statements stand alone: a query may be dropped at any of them.
#[derive(Debug, Clone)]
pub(crate) struct History {
    database: Database,
}

impl History {
    pub(crate) fn new(database: Database) -> Self {
        Self { database }
    }

    /// Transfers that this user sent, whatever came of them, and those that reached them, newest
    /// first.
    pub(crate) async fn of_user(
        &self,
        user: UserId,
        page: PageRequest,
    ) -> sqlx::Result<Page<Transaction>> {
        const COUNT: &str = "SELECT sent + received FROM counts WHERE user_id = $1";
        // Each side by its own index, and no further than the page: nobody sends to themselves.
        const PAGE: &str = concat!(
            "SELECT * FROM (
                SELECT * FROM (SELECT ",
            columns!(),
            "   FROM transfers WHERE from_user = $1 ORDER BY id DESC LIMIT $2) AS sent
                UNION ALL
                SELECT * FROM (SELECT ",
            columns!(),
            "   FROM transfers WHERE to_user = $1 AND state = 'completed'
                    ORDER BY id DESC LIMIT $2) AS received
            ) AS either_side ORDER BY id DESC LIMIT $3 OFFSET $4"
        );
        let reader = user.to_string();
        let counted: Option<(i64,)> = sqlx::query_as(COUNT)
            .bind(reader.as_str())
            .fetch_optional(self.database.pool())
            .await?;
        let (total,) = counted.unwrap_or((0,));
        if page.offset() >= total {
            return Ok(page.of(count(total)?, Vec::new()));
        }
        let rows = sqlx::query(PAGE)
            .bind(reader.as_str())
            .bind(page.offset().saturating_add(page.limit()))
            .bind(page.limit())
            .bind(page.offset())
            .fetch_all(self.database.pool())
            .await?;
        let items = readable("transfers", &rows, |row| {
            Ok(Transfer::read(row)?.into_transaction(user))
        });
        Ok(page.of(count(total)?, items))
    }

    /// Totals of all users.
    pub(crate) async fn totals(&self) -> sqlx::Result<TransferTotals> {
        // Each was received once.
        const TOTALS: &str = "SELECT CAST(COALESCE(SUM(received), 0) AS BIGINT),
                CAST(COALESCE(SUM(received_billions), 0) AS BIGINT),
                CAST(COALESCE(SUM(received_rest), 0) AS BIGINT)
            FROM counts";
        let (transfers, billions, rest): (i64, i64, i64) = sqlx::query_as(TOTALS)
            .fetch_one(self.database.pool())
            .await?;
        Ok(TransferTotals {
            transfers: count(transfers)?,
            amount: summed(billions, rest),
        })
    }

    /// Transfers of all users or one, of which a name or an account number contains `search`,
    /// newest first.
    pub(crate) async fn of_all(
        &self,
        page: PageRequest,
        user: Option<UserId>,
        search: Option<&str>,
    ) -> sqlx::Result<Page<AdminTransfer>> {
        let Some(pattern) = like_containing(search.unwrap_or_default()) else {
            return Ok(page.of(0, Vec::new()));
        };
        let mut chosen = Chosen::default();
        if let Some(user) = user {
            chosen.and("from_user = $ OR to_user = $", user.to_string());
        }
        if search.is_some_and(|search| !search.trim().is_empty()) {
            chosen.and(
                "LOWER(from_username) LIKE $ ESCAPE '!' OR LOWER(to_username) LIKE $ ESCAPE '!'
                    OR from_account LIKE $ ESCAPE '!' OR to_account LIKE $ ESCAPE '!'",
                pattern,
            );
        }
        let Chosen { sql, values } = chosen;
        // All of them are counted as they are written: each was sent once.
        let total = if values.is_empty() {
            "SELECT CAST(COALESCE(SUM(sent), 0) AS BIGINT) FROM counts".to_owned()
        } else {
            format!("SELECT COUNT(*) FROM transfers WHERE state <> ''{sql}")
        };
        let mut total = sqlx::query_as(AssertSqlSafe(total));
        let rows = format!(
            "SELECT {} FROM transfers WHERE state <> ''{sql} ORDER BY id DESC LIMIT ${} OFFSET ${}",
            columns!(),
            values.len() + 1,
            values.len() + 2,
        );
        let mut rows = sqlx::query(AssertSqlSafe(rows));
        for value in &values {
            total = total.bind(value.as_str());
            rows = rows.bind(value.as_str());
        }
        let (total,): (i64,) = total.fetch_one(self.database.pool()).await?;
        if page.offset() >= total {
            return Ok(page.of(count(total)?, Vec::new()));
        }
        let rows = rows.bind(page.limit()).bind(page.offset());
        let rows = rows.fetch_all(self.database.pool()).await?;
        let items = readable("transfers", &rows, |row| {
            Ok(Transfer::read(row)?.into_admin_transfer())
        });
        Ok(page.of(count(total)?, items))
    }
}

/// Conditions, made of constants, and the values of their parameters.
#[derive(Default)]
struct Chosen {
    sql: String,
    values: Vec<String>,
}

impl Chosen {
    /// Adds a condition, in which each `$` is `value`.
    fn and(&mut self, condition: &'static str, value: String) {
        self.values.push(value);
        let parameter = format!("${}", self.values.len());
        let condition = condition.replace('$', &parameter);
        self.sql.push_str(&format!(" AND ({condition})"));
    }
}
