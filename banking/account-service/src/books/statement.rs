//! The entries on an account.

use super::{Books, holders::no_account};
use crate::{
    failure::{Failure, retry},
    order::Word,
};
use chassis::database::{count, like_containing, moment, parsed, readable};
use contracts::{
    Page, PageRequest, UserId,
    account::{AccountError, EntryKind, StatementEntry, StatementFilter},
};

/// A page is found by the numbers of its entries, which count without a gap: the deepest one costs
/// as much as the first, and the total is that of the same moment.
const STATEMENT: &str = "SELECT account.entries, e.number, p.id, p.kind, e.side * e.amount,
        e.balance, other.account_number, other.username, p.reference, p.posted_at
    FROM accounts account
    LEFT JOIN entries e ON e.account_number = account.account_number
        AND e.number <= account.entries - $2 AND e.number > account.entries - $2 - $3
    LEFT JOIN postings p ON p.id = e.posting
    LEFT JOIN accounts other ON other.account_number =
        CASE e.side WHEN 1 THEN p.from_account ELSE p.to_account END
    WHERE account.user_id = $1
    ORDER BY e.number DESC";

/// Those that pass a filter are looked for among all of the account, and counted in the same
/// statement.
const FILTERED: &str = "WITH chosen AS (
        SELECT e.number, p.id, p.kind, e.side * e.amount AS amount, e.balance,
            other.account_number, other.username, p.reference, p.posted_at
        FROM accounts account
        JOIN entries e ON e.account_number = account.account_number
        JOIN postings p ON p.id = e.posting
        LEFT JOIN accounts other ON other.account_number =
            CASE e.side WHEN 1 THEN p.from_account ELSE p.to_account END
        WHERE account.user_id = $1 AND p.posted_at >= $4 AND p.posted_at < $5 AND e.number <= $6
            AND ($7 = '%%' OR other.username_key LIKE $7 ESCAPE '!'
                OR other.account_number LIKE $8 ESCAPE '!' OR p.reference_key LIKE $7 ESCAPE '!')
    )
    SELECT counted.total, listed.number, listed.id, listed.kind, listed.amount, listed.balance,
        listed.account_number, listed.username, listed.reference, listed.posted_at
    FROM (SELECT COUNT(*) AS total FROM chosen) counted
    LEFT JOIN (SELECT * FROM chosen ORDER BY number DESC LIMIT $3 OFFSET $2) listed ON 1 = 1
    ORDER BY listed.number DESC";

pub(super) type Row = (
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

impl Books {
    /// The entries on the account of a user that pass the filter, newest first.
    pub(crate) async fn statement(
        &self,
        user: UserId,
        page: PageRequest,
        filter: &StatementFilter,
    ) -> Result<Page<StatementEntry>, AccountError> {
        if *filter == StatementFilter::default() {
            return retry(|| self.statement_once(user, page)).await;
        }
        // Who has no account has no statement either, whatever they look for.
        self.profile(user).await?;
        let Some(patterns) = Patterns::of(filter.search.as_deref().unwrap_or_default()) else {
            return Ok(page.of(0, Vec::new()));
        };
        retry(|| self.filtered_once(user, page, filter, &patterns)).await
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
        listed(page, rows)
    }

    async fn filtered_once(
        &self,
        user: UserId,
        page: PageRequest,
        filter: &StatementFilter,
        patterns: &Patterns,
    ) -> Result<Page<StatementEntry>, Failure> {
        let rows: Vec<Row> = sqlx::query_as(FILTERED)
            .bind(user.to_string())
            .bind(page.offset())
            .bind(page.limit())
            .bind(filter.from.map_or(i64::MIN, |from| from.as_microsecond()))
            .bind(filter.to.map_or(i64::MAX, |to| to.as_microsecond()))
            .bind(filter.up_to.unwrap_or(i64::MAX))
            .bind(&patterns.text)
            .bind(&patterns.number)
            .fetch_all(self.database.pool())
            .await?;
        listed(page, rows)
    }
}

/// The patterns that texts and numbers of accounts are `LIKE`.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    pub(super) text: String,
    pub(super) number: String,
}

impl Patterns {
    /// `None` if nothing contains it. Numbers of accounts are found as people write them, too: with
    /// spaces.
    pub(super) fn of(search: &str) -> Option<Self> {
        let text = like_containing(search)?;
        let digits = search.chars().filter(|letter| !letter.is_whitespace());
        let digits: String = digits.collect();
        let number = if digits.is_empty() { search } else { &digits };
        Some(Self {
            number: like_containing(number)?,
            text,
        })
    }
}

fn listed(page: PageRequest, rows: Vec<Row>) -> Result<Page<StatementEntry>, Failure> {
    let total = rows.first().map(|row| row.0).ok_or_else(no_account)?;
    let entries = readable("entries", rows, entry).into_iter().flatten();
    Ok(page.of(count(total)?, entries.collect()))
}

/// The entry of a row. A page without entries is one row without one.
pub(super) fn entry(row: Row) -> sqlx::Result<Option<StatementEntry>> {
    let (_, Some(number), Some(id), Some(kind), Some(amount), Some(balance), other, name, text, at) =
        row
    else {
        return Ok(None);
    };
    Ok(Some(StatementEntry {
        id: parsed(&id)?,
        number,
        kind: EntryKind::read(&kind)?,
        amount,
        balance,
        counterparty: other.as_deref().map(parsed).transpose()?,
        counterparty_username: name,
        reference: text.as_deref().map(parsed).transpose()?,
        created_at: moment(at.ok_or(sqlx::Error::RowNotFound)?)?,
    }))
}
