//! The contract of the service that is moved. Its errors travel as the texts that they were before,
//! so that a caller that has not moved yet reads what it always read.

use replybus::queue_handler;
use serde::{Deserialize, Serialize};

#[queue_handler("accounts.requests", timeout = "10s")]
pub trait Accounts {
    /// What is in an account, in minor units.
    #[query]
    async fn balance(&self, account: String) -> Result<i64, AccountsError>;

    /// Pays in, once per idempotency key; returns the new balance.
    async fn deposit(&self, account: String, amount: i64) -> Result<i64, AccountsError>;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AccountsError {
    #[serde(rename = "no such account")]
    #[error("no such account")]
    NoAccount,
    #[serde(rename = "not available")]
    #[error("not available")]
    NotAvailable,
}
