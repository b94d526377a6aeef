//! A transfer as it is recorded.

use chassis::database::{moment, parsed};
use contracts::{
    Amount, IdempotencyKey, Movement, Party, Reference, TransactionCompleted, UserId,
    account::{Parties, Recipient, TransferPosting},
    transfer::{
        AdminTransfer, Direction, Transaction, TransferError, TransferOrder, TransferReceipt,
        TransferStatus,
    },
};
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};
use uuid::Uuid;

/// A transfer, with both sides as they were when it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub(crate) id: Uuid,
    pub(crate) from: Party,
    pub(crate) to: Party,
    /// The recipient as it was asked for.
    pub(crate) recipient: String,
    pub(crate) amount: Amount,
    pub(crate) reference: Option<Reference>,
    pub(crate) key: IdempotencyKey,
    pub(crate) state: State,
    /// Times that recovery took it up.
    pub(crate) attempts: i64,
    pub(crate) created_at: Timestamp,
}

/// The state of a transfer. The last two are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The ledger's verdict is not known.
    Pending,
    /// The money was moved.
    Completed,
    /// It never will be.
    Rejected(Rejection),
}

/// The reason why the ledger moved nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    InsufficientBalance,
    BalanceTooLarge,
}

impl Rejection {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientBalance => "insufficient_balance",
            Self::BalanceTooLarge => "balance_too_large",
        }
    }
}

impl From<Rejection> for TransferError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::InsufficientBalance => Self::InsufficientBalance,
            Rejection::BalanceTooLarge => Self::BalanceTooLarge,
        }
    }
}

impl From<State> for TransferStatus {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Completed => Self::Completed,
            State::Rejected(_) => Self::Rejected,
        }
    }
}

impl Transfer {
    /// A transfer as a user orders it, before anything came of it.
    pub(crate) fn new(order: &TransferOrder, parties: Parties) -> Self {
        Self {
            id: Uuid::now_v7(),
            from: parties.from,
            to: parties.to,
            recipient: as_asked(&order.to),
            amount: order.amount,
            reference: order.reference.clone(),
            key: order.key.clone(),
            state: State::Pending,
            attempts: 0,
            created_at: Timestamp::now(),
        }
    }

    /// `true` if this is what `order` asks for; else its key was used twice.
    pub(crate) fn is_for(&self, order: &TransferOrder) -> bool {
        self.amount == order.amount
            && self.recipient == as_asked(&order.to)
            && self.reference == order.reference
    }

    /// The answer to its user.
    pub(crate) fn answer(&self) -> Result<TransferReceipt, TransferError> {
        match self.state {
            State::Pending => Err(TransferError::Pending),
            State::Rejected(rejection) => Err(rejection.into()),
            State::Completed => Ok(TransferReceipt {
                ok: true,
                from: self.from.username.to_string(),
                to: self.to.username.to_string(),
                to_account_number: self.to.account_number.clone(),
                amount: self.amount,
            }),
        }
    }

    /// The posting of the ledger: the same each time.
    pub(crate) fn posting(&self) -> TransferPosting {
        TransferPosting {
            transfer: self.id,
            from: self.from.account_number.clone(),
            to: self.to.account_number.clone(),
            amount: self.amount,
            reference: self.reference.clone(),
        }
    }

    /// The event that tells everybody that it was posted.
    pub(crate) fn completed(&self, posted_at: Timestamp) -> TransactionCompleted {
        TransactionCompleted {
            id: self.id,
            movement: Movement::Transfer {
                from: self.from.clone(),
                to: self.to.clone(),
            },
            amount: self.amount,
            completed_at: posted_at,
            proof: None,
        }
    }

    /// The event that tells its payer that there was too little money for it.
    pub(crate) fn not_made(&self) -> TransactionCompleted {
        TransactionCompleted {
            id: self.id,
            movement: Movement::NotMade {
                from: self.from.clone(),
                to: self.to.clone(),
            },
            amount: self.amount,
            completed_at: Timestamp::now(),
            proof: None,
        }
    }

    /// The transfer as one of its sides sees it.
    pub(crate) fn into_transaction(self, user: UserId) -> Transaction {
        let direction = if self.from.user_id == user {
            Direction::Sent
        } else {
            Direction::Received
        };
        Transaction {
            id: self.id,
            direction,
            from: self.from.username.into(),
            from_account_number: self.from.account_number,
            to: self.to.username.into(),
            to_account_number: self.to.account_number,
            amount: self.amount,
            reference: self.reference,
            status: self.state.into(),
            created_at: self.created_at,
        }
    }

    /// The transfer as the administrator sees it.
    pub(crate) fn into_admin_transfer(self) -> AdminTransfer {
        AdminTransfer {
            id: self.id,
            from: self.from.username.into(),
            from_account_number: self.from.account_number,
            to: self.to.username.into(),
            to_account_number: self.to.account_number,
            amount: self.amount,
            reference: self.reference,
            status: self.state.into(),
            created_at: self.created_at,
        }
    }

    /// Reads a row with all [`columns`].
    pub(crate) fn read(row: &AnyRow) -> sqlx::Result<Self> {
        let key = IdempotencyKey::try_from(row.try_get::<String, _>("idempotency_key")?);
        let party = |[user, username, account]: [&str; 3]| {
            Ok::<_, sqlx::Error>(Party {
                user_id: parsed(row.try_get(user)?)?,
                username: parsed(row.try_get(username)?)?,
                account_number: parsed(row.try_get(account)?)?,
            })
        };
        Ok(Self {
            id: parsed(row.try_get("id")?)?,
            from: party(["from_user", "from_username", "from_account"])?,
            to: party(["to_user", "to_username", "to_account"])?,
            recipient: row.try_get("recipient")?,
            amount: Amount::new(row.try_get("amount")?).map_err(unreadable)?,
            reference: row
                .try_get::<Option<&str>, _>("reference")?
                .map(parsed)
                .transpose()?,
            key: key.map_err(unreadable)?,
            state: State::read(row)?,
            attempts: row.try_get("attempts")?,
            created_at: moment(row.try_get("created_at")?)?,
        })
    }
}

impl State {
    /// Reads `state` and `rejection` of a row.
    pub(crate) fn read(row: &AnyRow) -> sqlx::Result<Self> {
        let rejection: Option<&str> = row.try_get("rejection")?;
        match (row.try_get("state")?, rejection) {
            ("pending", None) => Ok(Self::Pending),
            ("completed", None) => Ok(Self::Completed),
            ("rejected", Some(reason)) => {
                let known = [Rejection::InsufficientBalance, Rejection::BalanceTooLarge];
                let rejection = known.into_iter().find(|known| known.as_str() == reason);
                let rejection = rejection.ok_or("an unknown rejection");
                rejection.map(Self::Rejected).map_err(unreadable)
            }
            _ => Err(unreadable("an unknown state")),
        }
    }
}

/// The columns that [`Transfer::read`] reads, as a literal for `concat!`.
macro_rules! columns {
    () => {
        "id, from_user, from_username, from_account, to_user, to_username, to_account, recipient, \
         amount, reference, idempotency_key, state, rejection, attempts, created_at"
    };
}
pub(crate) use columns;

fn unreadable(error: impl Into<sqlx::error::BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

pub(crate) fn as_asked(recipient: &Recipient) -> String {
    match recipient {
        Recipient::Username(name) => format!("username {name}"),
        Recipient::AccountNumber(number) => format!("account {number}"),
    }
}
