//! The account service, as far as transfers need it.

use crate::{
    known::Known,
    record::{Rejection, Transfer},
};
use chassis::Identity;
use contracts::{
    Refused, UserId,
    account::{AccountError, AccountsClient, Parties, Recipient},
};
use jiff::Timestamp;
use replybus::{Bus, CallError, Context};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The rest of a user's time when the account service is no longer waited for: enough to tell
/// them so.
const TIME_TO_ANSWER: Duration = Duration::from_millis(500);

/// A client of the account service, in this service's own name.
#[derive(Debug, Clone)]
pub(crate) struct AccountService {
    accounts: AccountsClient,
    identity: Identity,
    known: Arc<Known>,
}

/// The ledger's verdict on a transfer. Asked again, it gives the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The money was moved.
    Posted(Timestamp),
    /// It never will be.
    Rejected(Rejection),
}

/// The account service said nothing, or nothing that helps.
#[derive(Debug, thiserror::Error)]
#[error("the account service has no answer")]
pub(crate) struct NoAnswer(#[source] pub(crate) Box<CallError<AccountError>>);

impl NoAnswer {
    /// `true` if it will pass by itself.
    pub(crate) fn is_transient(&self) -> bool {
        match &*self.0 {
            CallError::Bus(_) => true,
            CallError::Handler(error) => {
                matches!(error, AccountError::Refused(Refused::Unavailable))
            }
        }
    }
}

impl AccountService {
    pub(crate) fn new(bus: &Bus, identity: Identity) -> Self {
        Self {
            accounts: AccountsClient::new(bus),
            identity,
            known: Arc::default(),
        }
    }

    /// Both sides of a transfer, if they were asked for before.
    pub(crate) fn known(&self, from: UserId, to: &Recipient) -> Option<Parties> {
        self.known.parties(from, to)
    }

    /// Both sides of a transfer; `None` if there is no such recipient.
    pub(crate) async fn parties(
        &self,
        from: UserId,
        to: &Recipient,
    ) -> Result<Option<Parties>, NoAnswer> {
        let (name, pass) = self.identity.service_pass();
        let mut call = self.accounts.parties(from, to.clone()).metadata(name, pass);
        if let Some(deadline) = give_up_at() {
            call = call.deadline(deadline);
        }
        match call.await {
            Ok(parties) => {
                self.known.keep(to, &parties);
                Ok(Some(parties))
            }
            Err(CallError::Handler(AccountError::NotFound(_))) => Ok(None),
            Err(error) => Err(NoAnswer(Box::new(error))),
        }
    }

    /// Has a transfer posted, or hears what became of it.
    pub(crate) async fn post(&self, transfer: &Transfer) -> Result<Verdict, NoAnswer> {
        let (name, pass) = self.identity.service_pass();
        let mut call = self
            .accounts
            .post_transfer(transfer.posting())
            .metadata(name, pass);
        if let Some(deadline) = give_up_at() {
            call = call.deadline(deadline);
        }
        match call.await {
            Ok(posted) => Ok(Verdict::Posted(posted.posted_at)),
            Err(CallError::Handler(AccountError::InsufficientBalance)) => {
                Ok(Verdict::Rejected(Rejection::InsufficientBalance))
            }
            Err(CallError::Handler(AccountError::BalanceTooLarge)) => {
                Ok(Verdict::Rejected(Rejection::BalanceTooLarge))
            }
            Err(error) => Err(NoAnswer(Box::new(error))),
        }
    }
}

/// When to stop waiting, if somebody waits for us.
fn give_up_at() -> Option<Instant> {
    let deadline = Context::current().deadline()?;
    Some(
        deadline
            .checked_sub(TIME_TO_ANSWER)
            .unwrap_or_else(Instant::now),
    )
}
