//! Events, for whoever wants to know.

use crate::{AccountNumber, Amount, UserId};
use jiff::Timestamp;
use replybus::Event;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Money was moved from one user to another. Emitted at least once, under the id of the transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Event)]
#[event("transaction.completed", exchange = "banking_events")]
pub struct TransactionCompleted {
    /// The transfer.
    pub transfer: Uuid,
    /// The user whose money it was.
    pub from: Party,
    /// The user whose it is now.
    pub to: Party,
    /// The amount that moved.
    pub amount: Amount,
    /// When it was posted.
    pub completed_at: Timestamp,
}

/// One side of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The user.
    pub user_id: UserId,
    /// Their name.
    pub username: String,
    /// Their account.
    pub account_number: AccountNumber,
}
