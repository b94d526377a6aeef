//! Postings that wait at the same time are one transaction, each with a verdict of its own.
//!
//! The rules are asked for one after the other, each about the accounts as those before it leave
//! them. What is not a new order on accounts that there are is left out, and so is everything if
//! the transaction fails: each is then posted alone (`post`), where it can fail for itself.

use super::post::{Receipt, count_verdict, text};
use crate::{
    ledger::{Account, Accounts, Entry, Rejection},
    order::{Order, Verdict, Word},
};
use chassis::{
    Database,
    database::{Column, Transaction, moment, now, rows},
    outbox::{self, Outbox},
};
use contracts::{AccountNumber, Reference};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe};
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

/// Postings of one transaction: as many as share its commit well, and so few that who waits for
/// their accounts does not wait for long.
pub(super) const TOGETHER: usize = 64;

/// What an order came to.
pub(super) type Decided = Result<Receipt, Rejection>;

/// Posts groups of orders.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    database: Database,
    outbox: Outbox,
    statements: Arc<Statements>,
}

impl Groups {
    pub(super) fn new(database: Database, outbox: Outbox) -> Self {
        Self {
            statements: Arc::new(Statements::of(&database)),
            database,
            outbox,
        }
    }

    /// Posts orders that wait at the same time, in one transaction.
    pub(super) async fn post(self, orders: Vec<Arc<Order>>) -> sqlx::Result<Vec<Option<Decided>>> {
        self.database
            .transaction(|writing| self.settle(writing, &orders))
            .await
    }

    async fn settle(
        &self,
        mut writing: Transaction,
        orders: &[Arc<Order>],
    ) -> sqlx::Result<Vec<Option<Decided>>> {
        let posted_at = moment(now())?;
        let new = self.insert(&mut writing, orders, posted_at).await?;
        if new.is_empty() {
            writing.rollback().await?;
            return Ok(vec![None; orders.len()]);
        }
        let is_new = |order: &&Arc<Order>| new.contains(&order.id.to_string());
        let mut accounts = self
            .lock(&mut writing, orders.iter().filter(is_new))
            .await?;
        let mut written = Written::default();
        let mut verdicts = Vec::with_capacity(orders.len());
        let mut seen = HashSet::new();
        for order in orders {
            // Of two that are the same one is new, and the other one asks again.
            if !is_new(&order) || !seen.insert(order.id) {
                verdicts.push(None);
                continue;
            }
            let (from, to) = (order.from.as_ref(), order.to.as_ref());
            let posted = accounts.post(from, to, order.amount);
            // That both accounts are there was part of inserting it.
            let posted = posted.ok_or(sqlx::Error::RowNotFound)?;
            verdicts.push(Some(written.add(order, posted_at, posted)?));
        }
        self.write(&mut writing, &written, &accounts).await?;
        writing.commit().await?;
        for (order, verdict) in orders.iter().zip(&verdicts) {
            match verdict {
                Some(Ok(_)) => count_verdict(order, Verdict::Posted),
                Some(Err(rejection)) => count_verdict(order, Verdict::Rejected(*rejection)),
                None => {}
            }
        }
        if !written.events.is_empty() {
            self.outbox.wake();
        }
        Ok(verdicts)
    }

    /// Inserts those whose keys are free and whose accounts are there, and returns their ids. Keys
    /// are taken in one order, so that two groups never wait for each other in a circle.
    async fn insert(
        &self,
        writing: &mut AnyConnection,
        orders: &[Arc<Order>],
        posted_at: Timestamp,
    ) -> sqlx::Result<HashSet<String>> {
        let given: Vec<_> = orders.iter().map(|order| GivenPosting::of(order)).collect();
        let inserted: Vec<(String,)> = sqlx::query_as(safe(&self.statements.insert))
            .bind(rows(&given)?)
            .bind(Verdict::Posted.word())
            .bind(posted_at.as_microsecond())
            .fetch_all(writing)
            .await?;
        Ok(inserted.into_iter().map(|(id,)| id).collect())
    }

    /// The accounts of these orders, until the transaction ends. They are locked in the order of
    /// their numbers, as those of an order that is posted alone.
    async fn lock(
        &self,
        writing: &mut AnyConnection,
        orders: impl Iterator<Item = &Arc<Order>>,
    ) -> sqlx::Result<Accounts> {
        #[derive(Serialize)]
        struct Given<'a> {
            account_number: &'a str,
        }
        let numbers = orders.flat_map(|order| [order.from.as_ref(), order.to.as_ref()]);
        let numbers: BTreeSet<_> = numbers.flatten().map(AccountNumber::as_str).collect();
        let given = numbers.into_iter();
        let given: Vec<_> = given
            .map(|account_number| Given { account_number })
            .collect();
        let locked: Vec<(String, i64, i64)> = sqlx::query_as(safe(&self.statements.lock))
            .bind(rows(&given)?)
            .fetch_all(writing)
            .await?;
        let locked = locked.into_iter().map(|(number, balance, entries)| {
            Ok::<_, sqlx::Error>(Account {
                number: chassis::database::parsed(&number)?,
                balance,
                entries,
            })
        });
        locked.collect()
    }

    /// Writes what became of all orders. Should two transactions ever have read the same balance,
    /// they give their entries the same number, and the second one fails.
    async fn write(
        &self,
        writing: &mut AnyConnection,
        written: &Written,
        accounts: &Accounts,
    ) -> sqlx::Result<()> {
        if !written.rejected.is_empty() {
            sqlx::query(safe(&self.statements.reject))
                .bind(rows(&written.rejected)?)
                .execute(&mut *writing)
                .await?;
        }
        if written.entries.is_empty() {
            return Ok(());
        }
        let changed: Vec<_> = accounts.changed().map(GivenAccount::of).collect();
        sqlx::query(safe(&self.statements.change))
            .bind(rows(&changed)?)
            .execute(&mut *writing)
            .await?;
        sqlx::query(safe(&self.statements.enter))
            .bind(rows(&written.entries)?)
            .execute(&mut *writing)
            .await?;
        Ok(self.outbox.put_all(writing, &written.events).await?)
    }
}

/// What is to be written of a group.
#[derive(Default)]
struct Written {
    entries: Vec<GivenEntry>,
    rejected: Vec<GivenVerdict>,
    events: Vec<outbox::Entry>,
}

impl Written {
    fn add(
        &mut self,
        order: &Order,
        posted_at: Timestamp,
        posted: Result<[Entry; 2], Rejection>,
    ) -> sqlx::Result<Decided> {
        let entries = match posted {
            Ok(entries) => entries,
            Err(rejection) => {
                self.rejected.push(GivenVerdict {
                    id: order.id.to_string(),
                    verdict: Verdict::Rejected(rejection).word(),
                });
                return Ok(Err(rejection));
            }
        };
        let id = order.id.to_string();
        let given = entries.iter().map(|entry| GivenEntry::of(&id, entry));
        self.entries.extend(given);
        let receipt = Receipt::of(posted_at, &entries)?;
        if let Some(event) = order.completed(posted_at, receipt.balance) {
            let entry = outbox::entry(&event)?;
            self.events.push(entry.with_trace(order.trace.as_ref()));
        }
        Ok(Ok(receipt))
    }
}

#[derive(Serialize)]
struct GivenPosting<'a> {
    id: String,
    owner: &'a str,
    idempotency_key: &'a str,
    kind: &'static str,
    from_account: Option<&'a str>,
    to_account: Option<&'a str>,
    accounts: i64,
    amount: i64,
    reference: Option<&'a str>,
    reference_key: Option<String>,
}

impl<'a> GivenPosting<'a> {
    fn of(order: &'a Order) -> Self {
        Self {
            id: order.id.to_string(),
            owner: &order.owner,
            idempotency_key: &order.key,
            kind: order.kind.word(),
            from_account: text(order.from.as_ref()),
            to_account: text(order.to.as_ref()),
            accounts: i64::from(order.from.is_some()) + i64::from(order.to.is_some()),
            amount: order.amount.minor_units(),
            reference: order.reference.as_ref().map(Reference::as_str),
            reference_key: order.reference.as_ref().map(Reference::key),
        }
    }
}

#[derive(Serialize)]
struct GivenAccount<'a> {
    account_number: &'a str,
    balance: i64,
    entries: i64,
}

impl<'a> GivenAccount<'a> {
    fn of(account: &'a Account) -> Self {
        Self {
            account_number: account.number.as_str(),
            balance: account.balance,
            entries: account.entries,
        }
    }
}

#[derive(Serialize)]
struct GivenEntry {
    posting: String,
    side: i64,
    amount: i64,
    account_number: Option<String>,
    number: Option<i64>,
    balance: Option<i64>,
}

impl GivenEntry {
    fn of(posting: &str, entry: &Entry) -> Self {
        let account = entry.account.as_ref();
        Self {
            posting: posting.to_owned(),
            side: entry.side.sign(),
            amount: entry.amount.minor_units(),
            account_number: account.map(|account| account.number.to_string()),
            number: account.map(|account| account.entries),
            balance: account.map(|account| account.balance),
        }
    }
}

#[derive(Serialize)]
struct GivenVerdict {
    id: String,
    verdict: &'static str,
}

/// The statements of a group, each for any number of rows.
#[derive(Debug)]
struct Statements {
    insert: Arc<str>,
    lock: Arc<str>,
    change: Arc<str>,
    enter: Arc<str>,
    reject: Arc<str>,
}

impl Statements {
    fn of(database: &Database) -> Self {
        use Column::{Integer, Text};
        let posting = [
            Text("id"),
            Text("owner"),
            Text("idempotency_key"),
            Text("kind"),
            Text("from_account"),
            Text("to_account"),
            Integer("accounts"),
            Integer("amount"),
            Text("reference"),
            Text("reference_key"),
        ];
        let entry = [
            Text("posting"),
            Integer("side"),
            Integer("amount"),
            Text("account_number"),
            Integer("number"),
            Integer("balance"),
        ];
        let number = Text("account_number");
        let account = [number, Integer("balance"), Integer("entries")];
        let given = |columns: &[Column]| database.given(1, "given", columns);
        let statement = |text: String| Arc::<str>::from(text);
        Self {
            insert: statement(format!(
                "INSERT INTO postings (id, owner, idempotency_key, kind, from_account, to_account,
                    amount, verdict, posted_at, reference, reference_key)
                SELECT id, owner, idempotency_key, kind, from_account, to_account,
                    amount, $2, $3, reference, reference_key
                FROM {}
                WHERE accounts = (SELECT COUNT(*) FROM accounts AS known
                    WHERE known.account_number IN (given.from_account, given.to_account))
                ORDER BY owner, idempotency_key, id
                ON CONFLICT DO NOTHING
                RETURNING id",
                given(&posting)
            )),
            lock: statement(format!(
                "SELECT account_number, balance, entries FROM accounts
                WHERE account_number IN (SELECT account_number FROM {})
                ORDER BY account_number{}",
                given(&[number]),
                database.for_update()
            )),
            change: statement(format!(
                "UPDATE accounts SET balance = given.balance, entries = given.entries
                FROM {} WHERE accounts.account_number = given.account_number",
                given(&account)
            )),
            enter: statement(format!(
                "INSERT INTO entries (posting, side, amount, account_number, number, balance)
                SELECT posting, side, amount, account_number, number, balance FROM {}",
                given(&entry)
            )),
            reject: statement(format!(
                "UPDATE postings SET verdict = given.verdict
                FROM {} WHERE postings.id = given.id",
                given(&[Text("id"), Text("verdict")])
            )),
        }
    }
}

/// They are made of constants.
fn safe(statement: &Arc<str>) -> AssertSqlSafe<Arc<str>> {
    AssertSqlSafe(Arc::clone(statement))
}

#[cfg(test)]
mod tests;
