//! The names of the bank's programs: on their passes, and wherever a service asks for one of them.

/// Users and their sessions.
pub const AUTH_SERVICE: &str = "auth-service";
/// Accounts and the ledger.
pub const ACCOUNT_SERVICE: &str = "account-service";
/// Transfers between users.
pub const TRANSFER_SERVICE: &str = "transfer-service";
/// Notifications of users.
pub const NOTIFICATION_SERVICE: &str = "notification-service";
/// The HTTP gateway.
pub const API_PRODUCER: &str = "api-producer";
