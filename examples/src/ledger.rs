//! The service behind the contract, in memory: a plain struct that implements the trait.

use crate::contract::{AccountError, AccountService};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Balances by account.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<HashMap<String, u64>>);

impl Ledger {
    fn balances(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        // Each change is one assignment, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccountService for Ledger {
    async fn balance(&self, account: String) -> Result<u64, AccountError> {
        let balance = self.balances().get(&account).copied();
        balance.ok_or(AccountError::NoAccount(account))
    }

    async fn deposit(&self, account: String, amount: u64) -> Result<u64, AccountError> {
        let mut balances = self.balances();
        let balance = balances.entry(account).or_default();
        *balance = balance.checked_add(amount).ok_or(AccountError::Full)?;
        Ok(*balance)
    }

    async fn withdraw(&self, account: String, amount: u64) -> Result<u64, AccountError> {
        let mut balances = self.balances();
        let Some(balance) = balances.get_mut(&account) else {
            return Err(AccountError::NoAccount(account));
        };
        let missing = amount.saturating_sub(*balance);
        if missing > 0 {
            return Err(AccountError::Overdrawn { missing });
        }
        *balance -= amount;
        Ok(*balance)
    }
}
