//! All entries on an account, one after the other, however many they are.
//!
//! The numbers of its entries count without a gap, and an entry never changes: where reading goes
//! on is a number, and what is posted meanwhile has a higher one than all that are read.

use super::{
    Books,
    holders::no_account,
    statement::{Patterns, Row, entry},
};
use crate::failure::{Failure, retry};
use chassis::database::readable;
use contracts::{
    UserId,
    account::{AccountError, StatementEntry, StatementFilter},
};

/// Numbers that one statement looks at. Whatever is looked for, and wherever it is, a statement is
/// over in some milliseconds, and has some hundred kilobytes to give at most.
const SPAN: i64 = 1_000;

/// The columns are those of a statement, the first of which counts there.
const ENTRIES: &str = "SELECT account.entries, e.number, p.id, p.kind, e.side * e.amount,
        e.balance, other.account_number, other.username, p.reference, p.posted_at
    FROM accounts account
    JOIN entries e ON e.account_number = account.account_number
        AND e.number <= $2 AND e.number > $3
    JOIN postings p ON p.id = e.posting
    LEFT JOIN accounts other ON other.account_number =
        CASE e.side WHEN 1 THEN p.from_account ELSE p.to_account END
    WHERE account.user_id = $1 AND p.posted_at >= $4 AND p.posted_at < $5
        AND ($6 = '%%' OR other.username_key LIKE $6 ESCAPE '!'
            OR other.account_number LIKE $7 ESCAPE '!' OR p.reference_key LIKE $6 ESCAPE '!')
    ORDER BY e.number DESC";

/// The entries on one account that pass a filter, from the newest on.
#[derive(Debug)]
pub(crate) struct Entries {
    books: Books,
    user: UserId,
    filter: StatementFilter,
    patterns: Patterns,
    /// The highest number that was not looked at.
    newest: i64,
    /// The lowest number to look at.
    oldest: i64,
}

impl Books {
    /// The entries on the account of a user that pass the filter, as of now.
    pub(crate) async fn entries(
        &self,
        user: UserId,
        filter: StatementFilter,
    ) -> Result<Entries, AccountError> {
        let entries = retry(|| self.count_entries(user)).await?;
        let patterns = Patterns::of(filter.search.as_deref().unwrap_or_default());
        // Nothing contains what has no patterns.
        let newest = patterns.as_ref().map_or(0, |_| entries);
        Ok(Entries {
            books: self.clone(),
            user,
            newest: newest.min(filter.up_to.unwrap_or(newest)),
            oldest: 1,
            patterns: patterns.unwrap_or_default(),
            filter,
        })
    }

    async fn count_entries(&self, user: UserId) -> Result<i64, Failure> {
        let select = "SELECT entries FROM accounts WHERE user_id = $1";
        let row: Option<(i64,)> = sqlx::query_as(select)
            .bind(user.to_string())
            .fetch_optional(self.database.pool())
            .await?;
        Ok(row.ok_or_else(no_account)?.0)
    }
}

impl Entries {
    /// The same, but for those with a lower number than this.
    pub(crate) fn down_to(self, oldest: i64) -> Self {
        Self {
            oldest: oldest.max(1),
            ..self
        }
    }

    /// Those among the next numbers, of which there may be none; `None` at the end.
    ///
    /// # Cancel safety
    /// Safe: they are the next ones again.
    pub(crate) async fn next_span(&mut self) -> Result<Option<Vec<StatementEntry>>, AccountError> {
        if self.newest < self.oldest {
            return Ok(None);
        }
        let below = self.newest.saturating_sub(SPAN).max(self.oldest - 1);
        let rows = retry(|| self.read(below)).await?;
        self.newest = below;
        let entries = readable("entries", rows, entry).into_iter().flatten();
        Ok(Some(entries.collect()))
    }

    async fn read(&self, below: i64) -> Result<Vec<Row>, Failure> {
        let (from, to) = (self.filter.from, self.filter.to);
        let rows = sqlx::query_as(ENTRIES)
            .bind(self.user.to_string())
            .bind(self.newest)
            .bind(below)
            .bind(from.map_or(i64::MIN, |from| from.as_microsecond()))
            .bind(to.map_or(i64::MAX, |to| to.as_microsecond()))
            .bind(&self.patterns.text)
            .bind(&self.patterns.number)
            .fetch_all(self.books.database.pool())
            .await?;
        Ok(rows)
    }
}
