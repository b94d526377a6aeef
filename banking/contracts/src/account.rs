//! Accounts, and the ledger that moves the money.

use crate::{
    AccountNumber, Amount, IdempotencyKey, Page, PageRequest, Party, Reference, Refused,
    ServiceHealth, UserId,
    month_statement::{MonthOrder, MonthStatement},
};
use jiff::Timestamp;
use replybus::{Never, queue_handler, stream::Items};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The balance that a new account begins with, in minor units; posted as its first deposit.
pub const OPENING_BALANCE: i64 = 100_000;

/// Accounts and the double-entry ledger.
#[queue_handler("account.requests", timeout = "5s")]
pub trait Accounts {
    /// The account of the user who asks.
    #[query]
    async fn me(&self) -> Result<Profile, AccountError>;

    /// The balance of the user who asks, in minor units.
    #[query]
    async fn balance(&self) -> Result<Balance, AccountError>;

    /// The holder of an account. Any user may ask, so that they know whom they pay.
    #[query]
    async fn lookup(&self, account: Recipient) -> Result<Holder, AccountError>;

    /// Pays in, once for each key of the user's: asked again, it gives the same answer, a rejection
    /// included.
    #[command(own_record)]
    async fn deposit(&self, amount: Amount, key: IdempotencyKey) -> Result<Balance, AccountError>;

    /// Pays out, once for each key of the user's: asked again, it gives the same answer, a
    /// rejection included.
    #[command(own_record)]
    async fn withdraw(&self, amount: Amount, key: IdempotencyKey) -> Result<Balance, AccountError>;

    /// The entries on the account of the user who asks that pass the filter, newest first.
    #[query]
    async fn statement(
        &self,
        page: PageRequest,
        filter: StatementFilter,
    ) -> Result<Page<StatementEntry>, AccountError>;

    /// All entries on the account of the user who asks that pass the filter, newest first: those
    /// that are there when it is opened, however many, and none that comes later.
    #[stream]
    async fn entries(
        &self,
        filter: StatementFilter,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError>;

    /// Has the statement of a month made, once for each key of the user's: asked again, it says how
    /// far that one is.
    #[command(own_record)]
    async fn begin_month_statement(
        &self,
        order: MonthOrder,
    ) -> Result<MonthStatement, AccountError>;

    /// The statements of months that the user who asks has, newest first.
    #[query]
    async fn month_statements(&self) -> Result<Vec<MonthStatement>, AccountError>;

    /// One of them.
    #[query]
    async fn month_statement(&self, id: Uuid) -> Result<MonthStatement, AccountError>;

    /// Gives one up that is not made; says how far it is then.
    #[command(own_record)]
    async fn cancel_month_statement(&self, id: Uuid) -> Result<MonthStatement, AccountError>;

    /// The entries of one that is made, newest first, however many.
    #[stream]
    async fn month_statement_entries(
        &self,
        id: Uuid,
    ) -> Result<Items<StatementEntry, AccountError>, AccountError>;

    /// Opens an account, or finds the one opened before. For the auth service.
    #[command(own_record)]
    async fn open(&self, holder: NewHolder) -> Result<Profile, AccountError>;

    /// Both sides of a transfer that is to be made. For the transfer service.
    #[query]
    async fn parties(&self, from: UserId, to: Recipient) -> Result<Parties, AccountError>;

    /// Moves money between two accounts, once for each transfer: asked again, it gives the same
    /// verdict, a rejection included. For the transfer service.
    #[command(own_record)]
    async fn post_transfer(&self, posting: TransferPosting) -> Result<Posted, AccountError>;

    /// Totals of all accounts. For the administrator.
    #[query]
    async fn admin_totals(&self) -> Result<AccountTotals, AccountError>;

    /// Users whose name or account number contains `search`. For the administrator.
    #[query]
    async fn admin_users(
        &self,
        page: PageRequest,
        search: Option<String>,
    ) -> Result<Page<AdminUser>, AccountError>;

    /// One user. For the administrator.
    #[query]
    async fn admin_user(&self, id: UserId) -> Result<AdminUser, AccountError>;

    /// The health of the service.
    #[query]
    async fn health(&self) -> Result<ServiceHealth, Never>;
}

/// A user's account, as they see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Profile {
    /// The user's id.
    pub id: UserId,
    /// Their phone, masked but for 2 digits on each side.
    pub phone: Option<String>,
    /// Their name.
    pub username: String,
    /// Their account.
    pub account_number: AccountNumber,
    /// What is on it, in minor units.
    pub balance: i64,
}

/// What is on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Balance {
    /// In minor units; never negative.
    pub balance: i64,
}

/// Who holds an account, as everybody may know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Holder {
    /// The account.
    pub account_number: AccountNumber,
    /// Its holder's name.
    pub username: String,
}

/// For whom to open an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewHolder {
    /// The user; one account each.
    pub user_id: UserId,
    /// Their name, unique at the auth service.
    pub username: String,
    /// Their phone, masked: the account service has no use for the rest.
    pub phone: Option<String>,
}

/// To whom money goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Recipient {
    /// The account of the user with this name, whatever its case.
    Username(String),
    /// The account with this number.
    AccountNumber(AccountNumber),
}

/// The two sides of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Parties {
    /// The user whose money it is.
    pub from: Party,
    /// The user whose it becomes; may be the same.
    pub to: Party,
}

/// A transfer to post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransferPosting {
    /// The transfer.
    pub transfer: Uuid,
    /// The account that pays.
    pub from: AccountNumber,
    /// The account that is paid; another one.
    pub to: AccountNumber,
    /// The amount that moves.
    pub amount: Amount,
    /// What for, in the sender's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
}

/// A transfer is in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Posted {
    /// Since when.
    pub posted_at: Timestamp,
}

/// Which entries of a statement to read. The default is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StatementFilter {
    /// Part of the other side's name or account number, or of the reference.
    pub search: Option<String>,
    /// Posted then or later.
    pub from: Option<Timestamp>,
    /// Posted before.
    pub to: Option<Timestamp>,
    /// The newest entry, by its number: those up to it never change, and so neither do their pages.
    pub up_to: Option<i64>,
}

/// An entry of the ledger, as the holder of the account sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatementEntry {
    /// The posting it is part of; of a transfer, the transfer.
    #[schema(value_type = String, format = Uuid)]
    pub id: Uuid,
    /// Counts the entries of one account, from 1.
    pub number: i64,
    /// What kind of posting it is part of.
    pub kind: EntryKind,
    /// In minor units; negative if it left the account.
    pub amount: i64,
    /// What was on the account afterwards, in minor units.
    pub balance: i64,
    /// The other side's account; none if it is outside the bank.
    pub counterparty: Option<AccountNumber>,
    /// The other side's name.
    pub counterparty_username: Option<String>,
    /// What for, in the sender's words.
    pub reference: Option<Reference>,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What moved the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A new account's first deposit.
    Opening,
    /// Paid in.
    Deposit,
    /// Paid out.
    Withdrawal,
    /// Moved between two users.
    Transfer,
}

/// Totals of all accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccountTotals {
    /// Users with an account.
    pub users: u64,
    /// The sum of all balances, in minor units.
    pub balance: i64,
}

/// A user, as the administrator sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AdminUser {
    /// The user's id.
    pub id: UserId,
    /// Their name.
    pub username: String,
    /// Their phone, masked but for 2 digits on each side.
    pub phone: Option<String>,
    /// Their account.
    pub account_number: AccountNumber,
    /// What is on it, in minor units.
    pub balance: i64,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// The reason why nothing was answered or moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum AccountError {
    /// There is less on the account than is to leave it.
    #[error("Insufficient balance")]
    InsufficientBalance,
    /// The account would hold more than can be counted.
    #[error("The balance would be too large")]
    BalanceTooLarge,
    /// No account has this number, or no user this name or id.
    #[error("{0} not found")]
    NotFound(String),
    /// The key was used for another amount or kind of posting.
    #[error("Idempotency-Key was already used for another request")]
    KeyConflict,
    /// The month is not begun yet.
    #[error("month: it has not begun")]
    MonthAhead,
    /// So many statements of months are being made for the user already.
    #[error("{0} statements are being made already; wait for one, or cancel it")]
    TooManyStatements(u32),
    /// So many streams of entries are being read for the user already.
    #[error("{0} statements are being read already; wait until one has ended")]
    TooManyExports(u32),
    /// The statement has no entries to show, because it is not made.
    #[error("The statement is not made")]
    NotMade,
    /// A refusal that any service may give.
    #[error(transparent)]
    Refused(#[from] Refused),
}
