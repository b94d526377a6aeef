//! The entries on an account.

use super::{Books, holders::no_account};
use crate::{
    failure::{Failure, retry},
    order::Word,
};
use chassis::database::{count, moment, parsed};
use contracts::{
    Page, PageRequest, UserId,
    account::{AccountError, EntryKind, StatementEntry},
};

/// A page is found by the numbers of its entries, which count without a gap: the deepest one costs
/// as much as the first, and the total is that of the same moment.
const STATEMENT: &str = "SELECT account.entries, e.number, p.kind, e.side * e.amount, e.balance,
        other.account_number, other.username, p.posted_at
    FROM accounts account
    LEFT JOIN entries e ON e.account_number = account.account_number
        AND e.number <= account.entries - $2 AND e.number > account.entries - $2 - $3
    LEFT JOIN postings p ON p.id = e.posting
    LEFT JOIN accounts other ON other.account_number =
        CASE e.side WHEN 1 THEN p.from_account ELSE p.to_account END
    WHERE account.user_id = $1
    ORDER BY e.number DESC";

type Row = (
    i64,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

impl Books {
    /// The entries on the account of a user, newest first.
    pub(crate) async fn statement(
        &self,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<StatementEntry>, AccountError> {
        retry(|| self.statement_once(user, page)).await
    }

    async fn statement_once(
        &self,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<StatementEntry>, Failure> {
        let rows: Vec<Row> = sqlx::query_as(STATEMENT)
            .bind(user.to_string())
            .bind(page.offset())
            .bind(page.limit())
            .fetch_all(self.database.pool())
            .await?;
        let total = rows.first().map(|row| row.0).ok_or_else(no_account)?;
        let entries = rows.into_iter().filter_map(|row| entry(row).transpose());
        let entries = entries.collect::<sqlx::Result<Vec<_>>>()?;
        Ok(page.of(count(total)?, entries))
    }
}

/// The entry of a row. A page without entries is one row without one.
fn entry(row: Row) -> sqlx::Result<Option<StatementEntry>> {
    let (_, Some(number), Some(kind), Some(amount), Some(balance), party, name, Some(at)) = row
    else {
        return Ok(None);
    };
    Ok(Some(StatementEntry {
        number,
        kind: EntryKind::read(&kind)?,
        amount,
        balance,
        counterparty: party.as_deref().map(parsed).transpose()?,
        counterparty_username: name,
        created_at: moment(at)?,
    }))
}
