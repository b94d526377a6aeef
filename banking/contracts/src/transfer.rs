//! Money from one user to another.

use crate::{
    AccountNumber, Amount, IdempotencyKey, Page, PageRequest, Reference, Refused, ServiceHealth,
    UserId,
    account::Recipient,
    standing_order::{NewStandingOrder, StandingOrder},
};
use jiff::Timestamp;
use replybus::{Never, queue_handler};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Transfers between users.
#[queue_handler("transfer.requests", timeout = "8s")]
pub trait Transfers {
    /// Moves money from the user who asks, once for each key of theirs: asked again, it gives the
    /// same answer, a rejection included.
    #[command(own_record)]
    async fn transfer(&self, order: TransferOrder) -> Result<TransferReceipt, TransferError>;

    /// Transfers that the user who asks made or was sent, newest first.
    #[query]
    async fn transactions(&self, page: PageRequest) -> Result<Page<Transaction>, TransferError>;

    /// Orders a transfer that is made again and again, once for each key of the user's: asked again,
    /// it says what came of that order.
    #[command(own_record)]
    async fn order_standing(&self, order: NewStandingOrder)
    -> Result<StandingOrder, TransferError>;

    /// The standing orders of the user who asks, first those that go on, newest first.
    #[query]
    async fn standing_orders(
        &self,
        page: PageRequest,
    ) -> Result<Page<StandingOrder>, TransferError>;

    /// Ends a standing order of the user who asks; says what came of it.
    #[command(own_record)]
    async fn cancel_standing_order(&self, id: Uuid) -> Result<StandingOrder, TransferError>;

    /// Totals of all transfers. For the administrator.
    #[query]
    async fn admin_totals(&self) -> Result<TransferTotals, TransferError>;

    /// Transfers of all users or one, newest first. For the administrator.
    #[query]
    async fn admin_transfers(
        &self,
        page: PageRequest,
        user_id: Option<UserId>,
        search: Option<String>,
    ) -> Result<Page<AdminTransfer>, TransferError>;

    /// The health of the service.
    #[query]
    async fn health(&self) -> Result<ServiceHealth, Never>;
}

/// A transfer that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransferOrder {
    /// To whom.
    pub to: Recipient,
    /// How much.
    pub amount: Amount,
    /// What for, in the user's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// The user's name for it.
    pub key: IdempotencyKey,
}

/// A transfer that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransferReceipt {
    /// Always true; what was not made is an error.
    pub ok: bool,
    /// The name of the user who paid.
    pub from: String,
    /// The name of the user who was paid.
    pub to: String,
    /// Their account.
    pub to_account_number: AccountNumber,
    /// How much, in minor units.
    pub amount: Amount,
}

/// A transfer, as one of its sides sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Transaction {
    /// The transfer.
    #[schema(value_type = String, format = Uuid)]
    pub id: Uuid,
    /// Whether the user who asks paid or was paid.
    pub direction: Direction,
    /// The name of the user who pays.
    pub from: String,
    /// Their account.
    pub from_account_number: AccountNumber,
    /// The name of the user who is paid.
    pub to: String,
    /// Their account.
    pub to_account_number: AccountNumber,
    /// How much, in minor units.
    pub amount: Amount,
    /// What for, in the sender's words.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// How far it is.
    pub status: TransferStatus,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Which way money went, as one side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To the other side.
    Sent,
    /// From the other side.
    Received,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TransferStatus {
    /// Recorded; the ledger's verdict is not known yet.
    Pending,
    /// The money was moved.
    Completed,
    /// It was not, and never will be.
    Rejected,
}

/// Totals of all transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransferTotals {
    /// Transfers completed.
    pub transfers: u64,
    /// The sum of their amounts, in minor units.
    pub amount: i64,
}

/// A transfer, as the administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdminTransfer {
    /// The transfer.
    #[schema(value_type = String, format = Uuid)]
    pub id: Uuid,
    /// The name of the user who pays.
    pub from: String,
    /// Their account.
    pub from_account_number: AccountNumber,
    /// The name of the user who is paid.
    pub to: String,
    /// Their account.
    pub to_account_number: AccountNumber,
    /// How much, in minor units.
    pub amount: Amount,
    /// What for, in the sender's words.
    #[serde(default)]
    pub reference: Option<Reference>,
    /// How far it is.
    pub status: TransferStatus,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The reason why no money was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum TransferError {
    /// There is less on the account than is to leave it.
    #[error("Insufficient balance")]
    InsufficientBalance,
    /// The recipient's account would hold more than can be counted.
    #[error("The recipient's balance would be too large")]
    BalanceTooLarge,
    /// Both sides are the same user.
    #[error("Cannot transfer to yourself")]
    ToYourself,
    /// No user has this name, or no account this number.
    #[error("Recipient not found")]
    UnknownRecipient,
    /// The key was used for another transfer.
    #[error("Idempotency-Key was already used for another request")]
    KeyConflict,
    /// It is recorded, and the ledger's verdict is not known yet. It will be made or rejected
    /// without being asked for again; asked again with the same key, the answer tells which.
    #[error("The transfer is being processed; ask again with the same Idempotency-Key")]
    Pending,
    /// A standing order can't begin or end then.
    #[error(
        "{0}: a moment from now on, within ten years, is needed, and an end after the beginning"
    )]
    NoSuchTime(String),
    /// So many standing orders of the user's go on already.
    #[error("{0} standing orders go on already; cancel one first")]
    TooManyStandingOrders(u32),
    /// The user has no standing order with this id.
    #[error("Standing order not found")]
    NoStandingOrder,
    /// A refusal that any service may give.
    #[error(transparent)]
    Refused(#[from] Refused),
}
