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

/// Whose a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueOf {
    /// The queue, without the namespace.
    pub queue: &'static str,
    /// The program that takes its messages.
    pub program: &'static str,
    /// The other programs that ask for what it serves, and are believed.
    pub callers: &'static [&'static str],
    /// It is one of requests, which are believed if they are signed: what is put back there has to be
    /// signed anew. Events carry a proof of their own.
    pub is_signed: bool,
}

/// Every queue of the bank that a program takes messages from.
pub const QUEUES: [QueueOf; 7] = [
    of("auth.requests", AUTH_SERVICE, &[API_PRODUCER]),
    of(
        "account.requests",
        ACCOUNT_SERVICE,
        &[API_PRODUCER, AUTH_SERVICE, TRANSFER_SERVICE],
    ),
    of("account.months", ACCOUNT_SERVICE, &[]),
    of("transfer.requests", TRANSFER_SERVICE, &[API_PRODUCER]),
    of("transfer.standing", TRANSFER_SERVICE, &[]),
    of(
        "notification.requests",
        NOTIFICATION_SERVICE,
        &[API_PRODUCER],
    ),
    QueueOf {
        is_signed: false,
        ..of("notifications", NOTIFICATION_SERVICE, &[])
    },
];

/// The queue of this name.
#[must_use]
pub fn queue(name: &str) -> Option<&'static QueueOf> {
    QUEUES.iter().find(|of| of.queue == name)
}

const fn of(
    queue: &'static str,
    program: &'static str,
    callers: &'static [&'static str],
) -> QueueOf {
    QueueOf {
        queue,
        program,
        callers,
        is_signed: true,
    }
}
