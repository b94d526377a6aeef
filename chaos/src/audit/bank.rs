//! What must be true of the bank.

use super::{Found, Kind, Violation};
use crate::load::{
    asking::Fate,
    bank::{Act, BankBook, Order, reference},
};
use serde::Deserialize;
use std::collections::HashMap;

/// What a new account has.
const OPENING: i64 = 100_000;

/// All that the bank shows.
#[derive(Debug, Default)]
pub(crate) struct BankSeen {
    /// In the order of the book's customers.
    pub(crate) customers: Vec<CustomerSeen>,
    pub(crate) totals: Totals,
    /// Transfers without a verdict.
    pub(crate) pending: usize,
}

/// What it shows to one customer.
#[derive(Debug, Default)]
pub(crate) struct CustomerSeen {
    pub(crate) balance: i64,
    /// The oldest first.
    pub(crate) entries: Vec<Entry>,
    /// What they were told, as sentences.
    pub(crate) told: Vec<String>,
}

/// An entry of a statement.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Entry {
    pub(crate) number: i64,
    pub(crate) kind: String,
    pub(crate) amount: i64,
    pub(crate) balance: i64,
    pub(crate) counterparty_username: Option<String>,
    pub(crate) reference: Option<String>,
}

/// The totals that the administrator sees.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Totals {
    pub(crate) total_users: usize,
    pub(crate) total_balance: i64,
}

/// Compares what the bank shows with what was asked of it, and said.
pub(crate) fn audit(book: &BankBook, seen: &BankSeen) -> Vec<Violation> {
    let mut found = Found::default();
    for odd in &book.odd {
        found.add(Kind::Odd, odd);
    }
    let mut fates = book.orders.iter().map(|order| order.verdict.fate());
    if !fates.any(|fate| fate == Fate::Done) {
        found.add(Kind::Ill, "nothing was done at the bank");
    }
    let mut wanted = Wanted::of(book);
    let mut money = 0;
    for (number, customer) in seen.customers.iter().enumerate() {
        money += statement(&mut found, book, &mut wanted, number, customer);
        notifications(&mut found, book, number, customer);
    }
    for (number, order) in book.orders.iter().enumerate() {
        let sides = match order.act {
            Act::Transfer(_) => 2,
            Act::Deposit | Act::Withdraw => 1,
        };
        judge(&mut found, number, order, wanted.times(number), sides);
    }
    if seen.totals.total_balance != money || seen.totals.total_users != seen.customers.len() {
        let (customers, totals) = (seen.customers.len(), seen.totals);
        let what = format!("{customers} customers have {money}, and the bank says {totals:?}");
        found.add(Kind::Sums, what);
    }
    let flow: i64 = seen
        .customers
        .iter()
        .flat_map(|one| &one.entries)
        .map(flow)
        .sum();
    if money != flow {
        found.add(
            Kind::Sums,
            format_args!("{flow} was paid in, and {money} is there"),
        );
    }
    if seen.pending > 0 {
        let what = format_args!("{} transfers have no verdict", seen.pending);
        found.add(Kind::Ill, what);
    }
    found.0
}

/// What an entry brought into the bank.
fn flow(entry: &Entry) -> i64 {
    if entry.kind == "transfer" {
        0
    } else {
        entry.amount
    }
}

/// Says what is wrong with an order that is on so many statements, of as many as it has sides.
fn judge(found: &mut Found, number: usize, order: &Order, times: usize, sides: usize) {
    let fate = order.verdict.fate();
    let kind = match fate {
        _ if times > sides => Kind::Duplicated,
        Fate::Done if times < sides => Kind::Lost,
        Fate::Refused if times > 0 => Kind::Undead,
        // One side without the other.
        _ if times != 0 && times != sides => Kind::Lost,
        _ => return,
    };
    let (act, amount, by) = (order.act, order.amount, order.by);
    let what = format!(
        "order {number}, {act:?} of {amount} by customer {by}, {fate:?}: \
         on {times} of {sides} statements"
    );
    found.add(kind, what);
}

/// How each order is found on statements.
struct Wanted {
    /// Deposits and withdrawals, by customer, kind and amount.
    by_amount: HashMap<(usize, &'static str, i64), usize>,
    times: Vec<usize>,
}

impl Wanted {
    fn of(book: &BankBook) -> Self {
        let orders = (0_usize..).zip(&book.orders);
        let by_amount = orders.filter_map(|(number, order)| match order.act {
            Act::Deposit => Some(((order.by, "deposit", order.amount), number)),
            Act::Withdraw => Some(((order.by, "withdrawal", -order.amount), number)),
            Act::Transfer(_) => None,
        });
        Self {
            by_amount: by_amount.collect(),
            times: vec![0; book.orders.len()],
        }
    }

    fn times(&self, order: usize) -> usize {
        self.times.get(order).copied().unwrap_or_default()
    }

    /// Finds the order of an entry, and counts it; `false` if it is nobody's.
    fn count(&mut self, book: &BankBook, customer: usize, entry: &Entry) -> bool {
        let number = match entry.kind.as_str() {
            "deposit" => self.by_amount.get(&(customer, "deposit", entry.amount)),
            "withdrawal" => self.by_amount.get(&(customer, "withdrawal", entry.amount)),
            _ => None,
        };
        let number = number.copied().or_else(|| {
            let of = entry.reference.as_deref()?.strip_prefix("order ")?;
            let number: usize = of.parse().ok()?;
            let order = book.orders.get(number)?;
            let name = |of: usize| book.customers.get(of).map(|one| one.username.clone());
            let Act::Transfer(to) = order.act else {
                return None;
            };
            let (amount, other) = match customer {
                _ if customer == order.by => (-order.amount, to),
                _ if customer == to => (order.amount, order.by),
                _ => return None,
            };
            let is_it = entry.kind == "transfer"
                && entry.amount == amount
                && entry.counterparty_username == name(other)
                && entry.reference.as_deref() == Some(&reference(number));
            is_it.then_some(number)
        });
        if let Some(times) = number.and_then(|number| self.times.get_mut(number)) {
            *times += 1;
        }
        number.is_some()
    }
}

/// Audits a statement; returns what the customer has.
fn statement(
    found: &mut Found,
    book: &BankBook,
    wanted: &mut Wanted,
    number: usize,
    customer: &CustomerSeen,
) -> i64 {
    let mut balance = 0;
    for (place, entry) in (1..).zip(&customer.entries) {
        balance += entry.amount;
        if entry.number != place || entry.balance != balance || balance < 0 {
            let what = format_args!("entry {place} of customer {number}: {entry:?}");
            found.add(Kind::Sums, what);
        }
        let is_opening = entry.kind == "opening" && place == 1 && entry.amount == OPENING;
        if !is_opening && !wanted.count(book, number, entry) {
            let what = format_args!("of customer {number}: {entry:?}");
            found.add(Kind::Nobodys, what);
        }
    }
    if customer.entries.is_empty() {
        found.add(Kind::Lost, format_args!("the account of customer {number}"));
    }
    if customer.balance != balance {
        let has = customer.balance;
        let what = format!("customer {number} has {has}, their statement ends at {balance}");
        found.add(Kind::Sums, what);
    }
    customer.balance
}

/// Compares what a customer was told with their statement: once of each entry, but for the first.
fn notifications(found: &mut Found, book: &BankBook, number: usize, customer: &CustomerSeen) {
    let expected = customer.entries.iter().filter_map(|entry| {
        let amount = entry.amount.abs();
        match (entry.kind.as_str(), entry.amount < 0) {
            ("deposit", _) => Some((amount, "Deposit".to_owned())),
            ("withdrawal", _) => Some((amount, "Withdrawal".to_owned())),
            ("transfer", is_sent) => {
                let other = entry.counterparty_username.clone().unwrap_or_default();
                let way = if is_sent { "sent to" } else { "received from" };
                Some((amount, format!("{way} {other}")))
            }
            _ => None,
        }
    });
    let told = customer.told.iter().map(|told| subject(told));
    let who = book.customers.get(number).map(|one| one.username.as_str());
    let whose = format!("what {} was told", who.unwrap_or("somebody"));
    found.compare((Kind::Told, &whose), expected, told);
}

/// The amount that a sentence tells of, and how it moved; the sentence itself if it is another one.
fn subject(told: &str) -> (i64, String) {
    let words: Vec<&str> = told.split(' ').collect();
    let (amount, moved) = match words.as_slice() {
        [
            "You",
            way @ ("sent" | "received"),
            amount,
            to @ ("to" | "from"),
            other,
        ] => (*amount, format!("{way} {to} {other}")),
        [way @ ("Deposit" | "Withdrawal"), "of", amount, ..] => (*amount, (*way).to_owned()),
        _ => return (0, told.to_owned()),
    };
    // Hundredths are always two digits, so the point can go.
    match amount.replace([',', '.'], "").parse() {
        Ok(amount) => (amount, moved),
        Err(_) => (0, told.to_owned()),
    }
}

#[cfg(test)]
mod tests;
