//! An audit of a bank after its customers traded: to the unit, and for each of them.

use crate::{ADMIN_SECRET, Bank, Customer, Request, trade::errand::Deal, trade::plan::Act};
use anyhow::{Context as _, Result, bail, ensure};
use bank_client::until_final;
use contracts::{
    Page,
    account::{Balance, EntryKind, OPENING_BALANCE, StatementEntry},
    notification::AdminNotification,
    transfer::{AdminTransfer, Direction, Transaction, TransferStatus},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::HashMap, fmt::Debug, time::Duration};
use tokio::time::{Instant, sleep};

/// All that was under way when the last customer left is done within this.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Customers whose books are read at a time.
const READING: usize = 4;
/// Entries of a list that a failure shows.
const SHOWN: usize = 5;

/// The figures of a bank in which all was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Books {
    /// The sum of all balances.
    pub money: i64,
    /// Transfers completed.
    pub transfers: usize,
    /// Orders that were refused for want of money.
    pub refused: usize,
}

/// Totals of the bank, as its administrator sees them.
#[derive(Debug, Deserialize)]
struct BankStats {
    total_users: u64,
    total_balance: i64,
    total_transfers: u64,
    total_notifications: u64,
}

/// Waits until all that was begun is done, and compares what the bank says of itself and to each
/// customer with what its customers were told. They are all that it has.
///
/// # Errors
/// Something is left undone, or is not as it must be: it is named.
///
/// # Cancel safety
/// Safe; it only reads.
pub async fn audit(bank: &Bank, customers: &[Customer], deals: &[Deal]) -> Result<Books> {
    let done: Vec<&Deal> = deals.iter().filter(|deal| deal.done).collect();
    let transfers = done.iter().filter(|deal| deal.is_transfer()).count();
    // Of a transfer both sides are told.
    settled(bank, transfers, done.len() + transfers).await?;

    let balances: Vec<i64> = stream::iter(0..customers.len())
        .map(|number| one(bank, customers, number, &done))
        .buffer_unordered(READING)
        .try_collect()
        .await?;
    let money: i64 = balances.iter().sum();
    let opening = OPENING_BALANCE * i64::try_from(customers.len())?;
    let flow: i64 = done
        .iter()
        .map(|deal| match deal.order.act {
            Act::Deposit => deal.order.amount,
            Act::Withdraw => -deal.order.amount,
            Act::Transfer { .. } => 0,
        })
        .sum();
    ensure!(
        money == opening + flow,
        "there should be {opening} + {flow} in all, and there is {money}"
    );
    let stats: BankStats = read(|| admin(bank, "stats")).await?;
    ensure!(
        stats.total_balance == money && stats.total_users == u64::try_from(customers.len())?,
        "the customers have {money}, and the bank says {stats:?}"
    );
    Ok(Books {
        money,
        transfers,
        refused: deals.len() - done.len(),
    })
}

/// Waits until no transfer is without a verdict, and everybody was told of all that was done.
async fn settled(bank: &Bank, transfers: usize, notifications: usize) -> Result<()> {
    let end = Instant::now() + SETTLED_WITHIN;
    let (transfers, notifications) = (u64::try_from(transfers)?, u64::try_from(notifications)?);
    loop {
        let stats: Result<BankStats> = read(|| admin(bank, "stats")).await;
        let told = match &stats {
            Ok(stats) => {
                let (made, told) = (stats.total_transfers, stats.total_notifications);
                ensure!(
                    made <= transfers && told <= notifications,
                    "{transfers} transfers were made, {notifications} times was somebody to be \
                     told, and the bank says {stats:?}"
                );
                made == transfers && told == notifications
            }
            Err(_) => false,
        };
        if told {
            break;
        }
        ensure!(
            Instant::now() < end,
            "{transfers} transfers were made, {notifications} times was somebody to be told; \
             {SETTLED_WITHIN:?} later the bank says {stats:?}"
        );
        sleep(LOOK_EVERY).await;
    }
    let all: Vec<AdminTransfer> = pages(|page| admin(bank, &format!("transfers?{page}"))).await?;
    let pending = all
        .iter()
        .filter(|transfer| transfer.status == TransferStatus::Pending);
    let pending: Vec<_> = pending.take(SHOWN).collect();
    ensure!(
        pending.is_empty(),
        "transfers without a verdict: {pending:?}"
    );
    Ok(())
}

/// Audits one customer; returns their balance.
async fn one(bank: &Bank, customers: &[Customer], number: usize, done: &[&Deal]) -> Result<i64> {
    let customer = customers.get(number).context("no such customer")?;
    let about = || format!("customer {number}, {}", customer.username);
    let balance = statement(customers, number, done)
        .await
        .with_context(about)?;
    let told: Balance = read(|| customer.get("/api/account/balance"))
        .await
        .with_context(about)?;
    ensure!(
        told.balance == balance,
        "{}: the statement ends at {balance}, the balance is {}",
        about(),
        told.balance
    );
    transactions(customers, number, done)
        .await
        .with_context(about)?;
    notifications(bank, customers, number, done)
        .await
        .with_context(about)?;
    Ok(balance)
}

/// Compares a customer's statement with their deals; returns what it ends at.
async fn statement(customers: &[Customer], number: usize, done: &[&Deal]) -> Result<i64> {
    let customer = customers.get(number).context("no such customer")?;
    let mut entries: Vec<StatementEntry> =
        pages(|page| customer.get(&format!("/api/account/statement?{page}"))).await?;
    entries.reverse();
    let mut balance = 0;
    for (place, entry) in (1..).zip(&entries) {
        balance += entry.amount;
        ensure!(
            entry.number == place && entry.balance == balance && balance >= 0,
            "entry {place} of the statement does not add up: {entry:?}"
        );
    }
    let mut expected = vec![(EntryKind::Opening, OPENING_BALANCE, None)];
    for deal in done {
        let amount = deal.order.amount;
        let account = |of: usize| customers.get(of).map(|other| other.account_number.clone());
        match deal.order.act {
            Act::Deposit if deal.order.by == number => {
                expected.push((EntryKind::Deposit, amount, None));
            }
            Act::Withdraw if deal.order.by == number => {
                expected.push((EntryKind::Withdrawal, -amount, None));
            }
            Act::Transfer { to, .. } if deal.order.by == number => {
                expected.push((EntryKind::Transfer, -amount, account(to)));
            }
            Act::Transfer { to, .. } if to == number => {
                expected.push((EntryKind::Transfer, amount, account(deal.order.by)));
            }
            _ => {}
        }
    }
    let found = entries.into_iter().map(|entry| {
        let counterparty = entry.counterparty.map(|number| number.to_string());
        (entry.kind, entry.amount, counterparty)
    });
    same("entries of the statement", expected, found)?;
    Ok(balance)
}

/// Compares a customer's transfers with their deals.
async fn transactions(customers: &[Customer], number: usize, done: &[&Deal]) -> Result<()> {
    let customer = customers.get(number).context("no such customer")?;
    let found: Vec<Transaction> =
        pages(|page| customer.get(&format!("/api/transfer/transactions?{page}"))).await?;
    let found = found
        .into_iter()
        .filter(|transaction| transaction.status == TransferStatus::Completed)
        .map(|transaction| {
            let (from, to) = (transaction.from, transaction.to);
            (
                transaction.direction,
                transaction.amount.minor_units(),
                from,
                to,
            )
        });
    let expected = transfers_of(number, done).map(|(direction, amount, from, to)| {
        let name = |of: usize| customers.get(of).map(|one| one.username.clone());
        (
            direction,
            amount,
            name(from).unwrap_or_default(),
            name(to).unwrap_or_default(),
        )
    });
    same("completed transfers", expected, found)
}

/// Compares what a customer was told with their deals: once of each.
async fn notifications(
    bank: &Bank,
    customers: &[Customer],
    number: usize,
    done: &[&Deal],
) -> Result<()> {
    let customer = customers.get(number).context("no such customer")?;
    let path = |page: &str| format!("notifications?user_id={}&{page}", customer.id);
    let found: Vec<AdminNotification> = pages(|page| admin(bank, &path(page))).await?;
    ensure!(
        found
            .iter()
            .all(|one| one.user_id.to_string() == customer.id),
        "another user's notifications were listed"
    );
    let mut expected = Vec::new();
    for (direction, amount, from, to) in transfers_of(number, done) {
        let other = match direction {
            Direction::Sent => customers.get(to),
            Direction::Received => customers.get(from),
        };
        let other = other.context("no such customer")?;
        expected.push((amount, other.username.clone()));
    }
    for deal in done.iter().filter(|deal| deal.order.by == number) {
        match deal.order.act {
            Act::Deposit => expected.push((deal.order.amount, "Deposit".to_owned())),
            Act::Withdraw => expected.push((deal.order.amount, "Withdrawal".to_owned())),
            Act::Transfer { .. } => {}
        }
    }
    let found = found
        .iter()
        .map(|one| subject(&one.message))
        .collect::<Result<Vec<_>>>()?;
    same("notifications", expected, found)
}

/// The amount that a notification tells of, and the other side or the way over the bank's edge.
fn subject(message: &str) -> Result<(i64, String)> {
    let words: Vec<&str> = message.split(' ').collect();
    let (amount, other) = match words.as_slice() {
        ["You", "sent" | "received", amount, "to" | "from", other] => (amount, other),
        [
            way @ ("Deposit" | "Withdrawal"),
            "of",
            amount,
            "completed.",
            "New",
            "balance:",
            _,
        ] => (amount, way),
        _ => bail!("a notification says something else: {message}"),
    };
    // Hundredths are always two digits, so the point can go.
    let amount = amount.replace([',', '.'], "").parse();
    let amount = amount.context("no amount")?;
    Ok((amount, (*other).to_owned()))
}

/// The transfers that a customer made or was sent: which way, how much, from whom and to whom.
fn transfers_of<'a>(
    number: usize,
    done: &'a [&Deal],
) -> impl Iterator<Item = (Direction, i64, usize, usize)> + 'a {
    done.iter().filter_map(move |deal| match deal.order.act {
        Act::Transfer { to, .. } => {
            let (from, amount) = (deal.order.by, deal.order.amount);
            let direction = match number {
                _ if from == number => Direction::Sent,
                _ if to == number => Direction::Received,
                _ => return None,
            };
            Some((direction, amount, from, to))
        }
        Act::Deposit | Act::Withdraw => None,
    })
}

/// Compares two lists, whose order does not matter, by what `Debug` shows of their entries.
fn same<T: Debug>(
    what: &str,
    expected: impl IntoIterator<Item = T>,
    found: impl IntoIterator<Item = T>,
) -> Result<()> {
    let mut surplus: HashMap<String, i64> = HashMap::new();
    for one in found {
        *surplus.entry(format!("{one:?}")).or_default() += 1;
    }
    for one in expected {
        *surplus.entry(format!("{one:?}")).or_default() -= 1;
    }
    let too_many: Vec<_> = surplus.iter().filter(|(_, count)| **count > 0).collect();
    let missing: Vec<_> = surplus.iter().filter(|(_, count)| **count < 0).collect();
    ensure!(
        too_many.is_empty() && missing.is_empty(),
        "{what}: {} too many, {} missing; for example {:?} and {:?}",
        too_many.len(),
        missing.len(),
        too_many.iter().take(SHOWN).collect::<Vec<_>>(),
        missing.iter().take(SHOWN).collect::<Vec<_>>(),
    );
    Ok(())
}

/// Asks on behalf of the administrator.
fn admin(bank: &Bank, path: &str) -> Request {
    let path = format!("/api/account/admin/{path}");
    bank.client()
        .get(&path)
        .header("X-Admin-Secret", ADMIN_SECRET)
}

/// All pages of a list, each asked for with `page=..&size=..`.
async fn pages<T: DeserializeOwned>(ask: impl Fn(&str) -> Request) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for number in 1.. {
        let page: Page<T> = read(|| ask(&format!("page={number}&size=100"))).await?;
        let is_last = u64::from(page.page) >= page.pages;
        all.extend(page.items);
        if is_last {
            ensure!(
                u64::try_from(all.len())? == page.total,
                "the pages hold {} entries of {}",
                all.len(),
                page.total
            );
            break;
        }
    }
    Ok(all)
}

/// Reads an answer, however busy the machine is.
async fn read<T: DeserializeOwned>(request: impl Fn() -> Request) -> Result<T> {
    let answer = until_final(SETTLED_WITHIN, || Ok(request())).await?;
    serde_json::from_value(answer.ok()?).context("an answer has another form")
}

impl Deal {
    fn is_transfer(&self) -> bool {
        matches!(self.order.act, Act::Transfer { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_tells_of_an_amount_and_where_it_went() {
        let told = subject("You received 12,345.67 from bob-3").unwrap();
        assert_eq!(told, (1_234_567, "bob-3".to_owned()));
        let told = subject("Deposit of 200.00 completed. New balance: 900.00").unwrap();
        assert_eq!(told, (20_000, "Deposit".to_owned()));
        assert!(subject("You received a letter from bob-3").is_err());
        assert!(subject("Hello").is_err());
    }

    #[test]
    fn lists_are_the_same_in_any_order_and_not_otherwise() {
        assert!(same("", [1, 2, 2], [2, 1, 2]).is_ok());
        for found in [vec![1, 2], vec![1, 2, 2, 2], vec![1, 2, 3]] {
            assert!(same("", vec![1, 2, 2], found).is_err());
        }
    }
}
