//! A posting happens once for each key, in a transaction that it shares with others or has alone.

use super::{Books, holders::no_account};
use crate::{
    failure::{Failure, retry},
    ledger::{self, Account, Entry},
    order::{Order, Verdict, Word},
};
use chassis::{
    database::{Joined, Transaction, moment, now},
    outbox::entry,
};
use contracts::{
    AccountNumber, Reference, Refused,
    account::{AccountError, EntryKind},
};
use jiff::Timestamp;
use replybus::Context;
use sqlx::{AnyConnection, AssertSqlSafe};
use std::sync::Arc;

/// Something is in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Since when.
    pub(crate) posted_at: Timestamp,
    /// The balance of the account afterwards; of a transfer, of the one that paid.
    pub(crate) balance: i64,
}

impl Receipt {
    pub(super) fn of(posted_at: Timestamp, entries: &[Entry; 2]) -> sqlx::Result<Self> {
        let mut accounts = entries.iter().filter_map(|entry| entry.account.as_ref());
        let own = accounts.next().ok_or(sqlx::Error::RowNotFound)?;
        let balance = own.balance;
        Ok(Self { posted_at, balance })
    }
}

impl Books {
    /// Posts an order, or gives the verdict that it was given before: together with those that wait
    /// at the same time, or alone, if that came to nothing.
    ///
    /// Whether a lost connection had committed is unknown. It need not be known: the order is
    /// posted again under its key, and that decides.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may be posted or not.
    pub(crate) async fn post(&self, order: Order) -> Result<Receipt, AccountError> {
        let order = Arc::new(order);
        match self.lane.join(Arc::clone(&order)).await {
            Joined::Done(decided) => decided.map_err(AccountError::from),
            Joined::NotReached => Err(Refused::Unavailable.into()),
            // Nobody waits for it any more, and who asks again is told what became of it.
            Joined::Alone if Context::current().is_cancelled() => Err(Refused::Unavailable.into()),
            Joined::Alone => self.post_alone(&order).await,
        }
    }

    async fn post_alone(&self, order: &Order) -> Result<Receipt, AccountError> {
        retry(|| {
            self.database
                .transaction(|writing| self.settle(writing, order))
        })
        .await
    }

    /// Ends a transaction that has yet written nothing, or only the account it pays in to, by
    /// posting an order.
    pub(super) async fn settle(
        &self,
        mut writing: Transaction,
        order: &Order,
    ) -> Result<Receipt, Failure> {
        let posted_at = moment(now())?;
        // The first to insert decides. Another one waits here until that has ended.
        if !insert(&mut writing, order, posted_at).await? {
            let verdict = recorded(&mut writing, order).await;
            writing.rollback().await?;
            return verdict;
        }
        let (from, to) = self.lock(&mut writing, order).await?;
        match ledger::post(from, to, order.amount) {
            Ok(entries) => {
                enter(&mut writing, order, &entries).await?;
                let receipt = Receipt::of(posted_at, &entries)?;
                let event = order.completed(posted_at, receipt.balance);
                if let Some(event) = &event {
                    let put = self.outbox.put_entry(&mut *writing, &entry(event)?).await;
                    put.map_err(sqlx::Error::from)?;
                }
                writing.commit().await?;
                count_verdict(order, Verdict::Posted);
                if event.is_some() {
                    self.outbox.wake();
                }
                Ok(receipt)
            }
            Err(rejection) => {
                let verdict = Verdict::Rejected(rejection);
                record(&mut writing, order, verdict).await?;
                writing.commit().await?;
                count_verdict(order, verdict);
                Err(AccountError::from(rejection).into())
            }
        }
    }

    /// Both accounts of an order, until the transaction ends. They are locked in the order of their
    /// numbers, so that crossing transfers wait for each other and never in a circle.
    async fn lock(
        &self,
        writing: &mut AnyConnection,
        order: &Order,
    ) -> Result<(Option<Account>, Option<Account>), Failure> {
        let select = "SELECT account_number, balance, entries FROM accounts
            WHERE account_number IN ($1, $2) ORDER BY account_number";
        let select = AssertSqlSafe(format!("{select}{}", self.database.for_update()));
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(select)
            .bind(text(order.from.as_ref()))
            .bind(text(order.to.as_ref()))
            .fetch_all(writing)
            .await?;
        let find = |number: &Option<AccountNumber>| {
            let Some(number) = number else {
                return Ok(None);
            };
            let mut rows = rows.iter();
            let row = rows.find(|(stored, ..)| stored == number.as_str());
            let (_, balance, entries) = row.ok_or_else(no_account)?;
            Ok::<_, Failure>(Some(Account {
                number: number.clone(),
                balance: *balance,
                entries: *entries,
            }))
        };
        Ok((find(&order.from)?, find(&order.to)?))
    }
}

/// Inserts the posting, unless its key is taken. It is as good as posted: what does not get that
/// far is rolled back, or says so.
async fn insert(
    writing: &mut AnyConnection,
    order: &Order,
    posted_at: Timestamp,
) -> sqlx::Result<bool> {
    let insert = "INSERT INTO postings
        (id, owner, idempotency_key, kind, from_account, to_account, amount, verdict, posted_at,
        reference, reference_key)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT DO NOTHING";
    // Any conflict, not only that of the key: of two that come at once with the same id too,
    // PostgreSQL can find that one first, and would fail.
    let inserted = sqlx::query(insert)
        .bind(order.id.to_string())
        .bind(&order.owner)
        .bind(&order.key)
        .bind(order.kind.word())
        .bind(text(order.from.as_ref()))
        .bind(text(order.to.as_ref()))
        .bind(order.amount.minor_units())
        .bind(Verdict::Posted.word())
        .bind(posted_at.as_microsecond())
        .bind(order.reference.as_ref().map(Reference::as_str))
        .bind(order.reference.as_ref().map(Reference::key))
        .execute(writing)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The answer that was given under this key before.
async fn recorded(writing: &mut AnyConnection, order: &Order) -> Result<Receipt, Failure> {
    let select = "SELECT p.kind, p.from_account, p.to_account, p.amount, p.verdict, p.posted_at,
            e.balance
        FROM postings p LEFT JOIN entries e ON e.posting = p.id AND e.account_number = $3
        WHERE p.owner = $1 AND p.idempotency_key = $2";
    let own = order.from.as_ref().or(order.to.as_ref());
    let (kind, from, to, amount, verdict, posted_at, balance): Recorded = sqlx::query_as(select)
        .bind(&order.owner)
        .bind(&order.key)
        .bind(text(own))
        .fetch_one(writing)
        .await?;
    let same = EntryKind::read(&kind)? == order.kind
        && from.as_deref() == text(order.from.as_ref())
        && to.as_deref() == text(order.to.as_ref())
        && amount == order.amount.minor_units();
    if !same {
        return Err(AccountError::KeyConflict.into());
    }
    match Verdict::read(&verdict)? {
        Verdict::Posted => Ok(Receipt {
            posted_at: moment(posted_at)?,
            balance: balance.ok_or(sqlx::Error::RowNotFound)?,
        }),
        Verdict::Rejected(rejection) => Err(AccountError::from(rejection).into()),
    }
}

type Recorded = (
    String,
    Option<String>,
    Option<String>,
    i64,
    String,
    i64,
    Option<i64>,
);

/// Writes both entries, and what is on the accounts now. Should two postings ever have read the
/// same balance, they give their entries the same number, and the second one fails.
async fn enter(
    writing: &mut AnyConnection,
    order: &Order,
    entries: &[Entry; 2],
) -> sqlx::Result<()> {
    for account in entries.iter().filter_map(|entry| entry.account.as_ref()) {
        let update = "UPDATE accounts SET balance = $2, entries = $3 WHERE account_number = $1";
        sqlx::query(update)
            .bind(account.number.as_str())
            .bind(account.balance)
            .bind(account.entries)
            .execute(&mut *writing)
            .await?;
    }
    let insert = "INSERT INTO entries (posting, side, amount, account_number, number, balance)
        VALUES ($1, $2, $3, $4, $5, $6), ($7, $8, $9, $10, $11, $12)";
    let mut insert = sqlx::query(insert);
    for entry in entries {
        let account = entry.account.as_ref();
        insert = insert
            .bind(order.id.to_string())
            .bind(entry.side.sign())
            .bind(entry.amount.minor_units())
            .bind(account.map(|account| account.number.as_str()))
            .bind(account.map(|account| account.entries))
            .bind(account.map(|account| account.balance));
    }
    insert.execute(writing).await?;
    Ok(())
}

/// Changes what is recorded as the verdict.
async fn record(writing: &mut AnyConnection, order: &Order, verdict: Verdict) -> sqlx::Result<()> {
    sqlx::query("UPDATE postings SET verdict = $2 WHERE id = $1")
        .bind(order.id.to_string())
        .bind(verdict.word())
        .execute(writing)
        .await?;
    Ok(())
}

pub(super) fn count_verdict(order: &Order, verdict: Verdict) {
    metrics::counter!(
        "bank_postings_total",
        "kind" => order.kind.word(),
        "verdict" => verdict.word(),
    )
    .increment(1);
}

pub(super) fn text(number: Option<&AccountNumber>) -> Option<&str> {
    number.map(AccountNumber::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::open::tests::{books, holder};
    use contracts::{Amount, IdempotencyKey, Party, account::OPENING_BALANCE};

    #[tokio::test]
    async fn a_copy_of_a_rejected_order_that_comes_late_is_rejected_too() {
        let books = books().await;
        let ada = books.open(&holder("ada"), AccountNumber::draw).await;
        let ada = ada.unwrap();
        let ada = books.party(ada.id).await.unwrap();
        let order = |order: fn(Party, IdempotencyKey, Amount) -> Order, key: &str, units| {
            let key = key.to_owned().try_into().unwrap();
            order(ada.clone(), key, Amount::new(units).unwrap())
        };
        let copies = [(); 2].map(|()| order(Order::withdrawal, "out", OPENING_BALANCE + 1));
        let insufficient = Err(AccountError::InsufficientBalance);
        assert_eq!(books.post(copies[0].clone()).await, insufficient);
        let deposit = order(Order::deposit, "in", 10);
        books.post(deposit).await.unwrap();
        assert_eq!(books.post(copies[1].clone()).await, insufficient);
        let other = order(Order::withdrawal, "out", 1);
        assert_eq!(books.post(other).await, Err(AccountError::KeyConflict));
        let another = order(Order::withdrawal, "out again", OPENING_BALANCE + 1);
        assert_eq!(books.post(another).await.unwrap().balance, 9);
    }
}
