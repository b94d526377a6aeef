//! The rules of double entry: what a posting does to its accounts, or why it may not. Nothing here
//! reads, waits or forgets.

use contracts::{AccountNumber, Amount, account::AccountError};
use std::collections::{HashMap, HashSet};

/// An account as the ledger sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Its name.
    pub(crate) number: AccountNumber,
    /// The sum of its entries, in minor units.
    pub(crate) balance: i64,
    /// The number of its entries.
    pub(crate) entries: i64,
}

/// The direction of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Money leaves.
    Debit,
    /// Money arrives.
    Credit,
}

impl Side {
    /// As it is stored, and what the amount is multiplied with.
    pub(crate) const fn sign(self) -> i64 {
        match self {
            Self::Debit => -1,
            Self::Credit => 1,
        }
    }
}

/// One side of a posting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The side.
    pub(crate) side: Side,
    /// The amount; positive on either side.
    pub(crate) amount: Amount,
    /// The account as it is afterwards; none is the outside of the bank.
    pub(crate) account: Option<Account>,
}

/// The reason why nothing is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// There is less on the account than is to leave it.
    InsufficientBalance,
    /// The account would hold more than can be counted.
    BalanceTooLarge,
}

impl From<Rejection> for AccountError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::InsufficientBalance => Self::InsufficientBalance,
            Rejection::BalanceTooLarge => Self::BalanceTooLarge,
        }
    }
}

/// Moves `amount` from one account to another one; an account that is none is the outside of the
/// bank, which has all the money there is. Returns where it left and where it arrived.
///
/// Two ends that are the same account are two copies of it: they are not to be told apart here, and
/// never get here.
pub(crate) fn post(
    from: Option<Account>,
    to: Option<Account>,
    amount: Amount,
) -> Result<[Entry; 2], Rejection> {
    let debited = from.map(|account| entered(account, Side::Debit, amount));
    let credited = to.map(|account| entered(account, Side::Credit, amount));
    let entry = |side, account| Entry {
        side,
        amount,
        account,
    };
    Ok([
        entry(Side::Debit, debited.transpose()?),
        entry(Side::Credit, credited.transpose()?),
    ])
}

/// Accounts, as postings find them and leave them, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    accounts: HashMap<AccountNumber, Account>,
    changed: HashSet<AccountNumber>,
}

impl FromIterator<Account> for Accounts {
    fn from_iter<I: IntoIterator<Item = Account>>(accounts: I) -> Self {
        let accounts = accounts.into_iter();
        let accounts = accounts.map(|account| (account.number.clone(), account));
        Self {
            accounts: accounts.collect(),
            changed: HashSet::new(),
        }
    }
}

impl Accounts {
    /// [Posts](post) on these accounts; a rejection leaves them as they are. `None` if one is not
    /// among them.
    pub(crate) fn post(
        &mut self,
        from: Option<&AccountNumber>,
        to: Option<&AccountNumber>,
        amount: Amount,
    ) -> Option<Result<[Entry; 2], Rejection>> {
        let find = |number: Option<&AccountNumber>| match number {
            Some(number) => self.accounts.get(number).cloned().map(Some),
            None => Some(None),
        };
        let posted = post(find(from)?, find(to)?, amount);
        if let Ok(entries) = &posted {
            for account in entries.iter().filter_map(|entry| entry.account.as_ref()) {
                self.changed.insert(account.number.clone());
                self.accounts
                    .insert(account.number.clone(), account.clone());
            }
        }
        Some(posted)
    }

    /// Those on which something was posted, as they are now.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &Account> {
        self.changed
            .iter()
            .filter_map(|number| self.accounts.get(number))
    }
}

/// The account with one more entry.
fn entered(account: Account, side: Side, amount: Amount) -> Result<Account, Rejection> {
    // Neither can overflow but upwards: an amount is positive and a balance is not negative.
    let balance = account
        .balance
        .checked_add(side.sign() * amount.minor_units())
        .ok_or(Rejection::BalanceTooLarge)?;
    if balance < 0 {
        return Err(Rejection::InsufficientBalance);
    }
    let entries = account.entries.checked_add(1);
    Ok(Account {
        balance,
        entries: entries.ok_or(Rejection::BalanceTooLarge)?,
        ..account
    })
}

#[cfg(test)]
mod tests;
