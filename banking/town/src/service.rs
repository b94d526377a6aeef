//! The services of a bank, as its processes.

use contracts::program::{
    ACCOUNT_SERVICE, API_PRODUCER, AUTH_SERVICE, NOTIFICATION_SERVICE, TRANSFER_SERVICE,
};

/// A service of the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Users and sessions.
    Auth,
    /// Accounts and the ledger.
    Account,
    /// Transfers between users.
    Transfer,
    /// Notifications of users.
    Notification,
    /// The HTTP gateway.
    Gateway,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Auth,
        Self::Account,
        Self::Transfer,
        Self::Notification,
        Self::Gateway,
    ];

    /// The name by which the program knows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => AUTH_SERVICE,
            Self::Account => ACCOUNT_SERVICE,
            Self::Transfer => TRANSFER_SERVICE,
            Self::Notification => NOTIFICATION_SERVICE,
            Self::Gateway => API_PRODUCER,
        }
    }

    /// The route of the gateway that says how it is.
    #[must_use]
    pub const fn health(self) -> &'static str {
        match self {
            Self::Auth => "/api/auth/health",
            Self::Account => "/api/account/health",
            Self::Transfer => "/api/transfer/health",
            Self::Notification => "/api/notifications/health",
            Self::Gateway => "/health",
        }
    }

    /// The number of its replicas in a bank of many processes.
    pub(crate) const fn replicas(self) -> usize {
        match self {
            // A password's hash keeps a processor busy: a second one would have none left.
            Self::Auth => 1,
            Self::Account | Self::Transfer | Self::Notification | Self::Gateway => 2,
        }
    }
}
