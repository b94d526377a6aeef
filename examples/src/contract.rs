//! A contract: all that caller and service have in common. In a real project, a crate of its own.

use replybus::queue_handler;
use serde::{Deserialize, Serialize};

/// Accounts by name, amounts in minor units.
#[queue_handler("examples.account.requests", timeout = "2s")]
pub trait AccountService {
    /// The balance of an account.
    #[query]
    async fn balance(&self, account: String) -> Result<u64, AccountError>;

    /// Pays in, once per idempotency key; returns the new balance.
    async fn deposit(&self, account: String, amount: u64) -> Result<u64, AccountError>;

    /// Pays out, once per idempotency key; returns the new balance.
    async fn withdraw(&self, account: String, amount: u64) -> Result<u64, AccountError>;
}

/// Why the service says no. It travels as it is: the caller matches on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AccountError {
    /// Nobody has paid in under this name.
    #[error("there is no account {0:?}")]
    NoAccount(String),
    /// More than is there can't be paid out.
    #[error("{missing} minor units are missing")]
    Overdrawn {
        /// How much more there would have to be.
        missing: u64,
    },
    /// More than an account can hold.
    #[error("the account is full")]
    Full,
}
