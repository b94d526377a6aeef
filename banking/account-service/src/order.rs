//! Orders to post, and their parts as they are stored.

use crate::ledger::Rejection;
use contracts::{
    AccountNumber, Amount, IdempotencyKey, Movement, Party, Reference, TransactionCompleted,
    UserId,
    account::{EntryKind, TransferPosting},
};
use jiff::Timestamp;
use replybus::{Context, context::TraceContext};
use uuid::Uuid;

/// Owns the openings, each under the id of its user. No user's id is such a word.
const OPENINGS: &str = "opening";
/// Owns the transfers, each under its own id.
const TRANSFERS: &str = "transfer";

/// A movement of money that somebody asks for, under their name for it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Of the posting, should there be none yet.
    pub(crate) id: Uuid,
    /// To whom the key belongs.
    pub(crate) owner: String,
    /// One effect, however often it is asked for.
    pub(crate) key: String,
    /// Its kind.
    pub(crate) kind: EntryKind,
    /// The account that pays; none is the outside of the bank.
    pub(crate) from: Option<AccountNumber>,
    /// The account that is paid; none is the outside of the bank.
    pub(crate) to: Option<AccountNumber>,
    /// The amount that moves.
    pub(crate) amount: Amount,
    /// What for, in the words of who pays.
    pub(crate) reference: Option<Reference>,
    /// The user who is told of it when it is posted, if this service tells anybody: of a transfer
    /// the transfer service does, and an account is opened with its user looking on.
    pub(crate) tells: Option<Party>,
    /// The trace of the call that it comes of.
    pub(crate) trace: Option<TraceContext>,
}

impl Order {
    /// A new account's first deposit.
    pub(crate) fn opening(user: UserId, account: AccountNumber, amount: Amount) -> Self {
        Self {
            id: Uuid::now_v7(),
            owner: OPENINGS.to_owned(),
            key: user.to_string(),
            kind: EntryKind::Opening,
            from: None,
            to: Some(account),
            amount,
            reference: None,
            tells: None,
            trace: trace(),
        }
    }

    /// A user pays in.
    pub(crate) fn deposit(holder: Party, key: IdempotencyKey, amount: Amount) -> Self {
        Self {
            id: Uuid::now_v7(),
            owner: holder.user_id.to_string(),
            key: key.into(),
            kind: EntryKind::Deposit,
            from: None,
            to: Some(holder.account_number.clone()),
            amount,
            reference: None,
            tells: Some(holder),
            trace: trace(),
        }
    }

    /// A user pays out.
    pub(crate) fn withdrawal(holder: Party, key: IdempotencyKey, amount: Amount) -> Self {
        Self {
            kind: EntryKind::Withdrawal,
            from: Some(holder.account_number.clone()),
            to: None,
            ..Self::deposit(holder, key, amount)
        }
    }

    /// One user pays another.
    pub(crate) fn transfer(posting: TransferPosting) -> Self {
        Self {
            id: posting.transfer,
            owner: TRANSFERS.to_owned(),
            key: posting.transfer.to_string(),
            kind: EntryKind::Transfer,
            from: Some(posting.from),
            to: Some(posting.to),
            amount: posting.amount,
            reference: posting.reference,
            tells: None,
            trace: trace(),
        }
    }

    /// The event that tells that it was posted, if there is one, and what is on the account then.
    pub(crate) fn completed(
        &self,
        posted_at: Timestamp,
        new_balance: i64,
    ) -> Option<TransactionCompleted> {
        let holder = self.tells.clone()?;
        let movement = match self.kind {
            EntryKind::Deposit => Movement::Deposit {
                to: holder,
                new_balance,
            },
            EntryKind::Withdrawal => Movement::Withdrawal {
                from: holder,
                new_balance,
            },
            EntryKind::Opening | EntryKind::Transfer => return None,
        };
        Some(TransactionCompleted {
            id: self.id,
            movement,
            amount: self.amount,
            completed_at: posted_at,
            proof: None,
        })
    }
}

/// The trace of the call that is being served.
fn trace() -> Option<TraceContext> {
    Context::current().trace().cloned()
}

/// The outcome of a posting, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is in the ledger.
    Posted,
    /// It never will be.
    Rejected(Rejection),
}

/// A part of a posting that is stored as one of a few words.
pub(crate) trait Word: Copy + 'static {
    /// All there are.
    const ALL: &'static [Self];

    /// As it is stored.
    fn word(self) -> &'static str;

    /// The value of a stored word.
    fn read(stored: &str) -> sqlx::Result<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|value| value.word() == stored).ok_or_else(|| {
            sqlx::Error::Decode(format!("{stored:?} is stored, and has no meaning").into())
        })
    }
}

impl Word for EntryKind {
    const ALL: &'static [Self] = &[
        Self::Opening,
        Self::Deposit,
        Self::Withdrawal,
        Self::Transfer,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::Transfer => "transfer",
        }
    }
}

impl Word for Verdict {
    const ALL: &'static [Self] = &[
        Self::Posted,
        Self::Rejected(Rejection::InsufficientBalance),
        Self::Rejected(Rejection::BalanceTooLarge),
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::Rejected(Rejection::InsufficientBalance) => "insufficient_balance",
            Self::Rejected(Rejection::BalanceTooLarge) => "balance_too_large",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_what_was_written() {
        for kind in EntryKind::ALL {
            assert_eq!(EntryKind::read(kind.word()).unwrap(), *kind);
        }
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::read(verdict.word()).unwrap(), *verdict);
        }
        assert!(Verdict::read("perhaps").is_err());
    }
}
