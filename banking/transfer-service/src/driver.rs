//! One step of a transfer, the only one there is: from pending to the ledger's verdict.

use crate::{
    accounts::{AccountService, NoAnswer, Verdict},
    record::{State, Transfer},
    store::TransferStore,
};
use chassis::outbox::Outbox;

/// Drives transfers to their end. It can be done by many at once, and again after a crash at any
/// point: the ledger gives one transfer one verdict, and only the first to record it does.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    store: TransferStore,
    accounts: AccountService,
    /// Told when there may be an event to emit.
    outbox: Outbox,
}

/// A transfer is as pending as before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    /// Whether it was posted is not known.
    #[error("the ledger's verdict is not known")]
    Verdict(#[from] NoAnswer),
    /// The verdict is known and not recorded.
    #[error("the ledger's verdict could not be recorded")]
    Record(#[from] sqlx::Error),
}

impl Driver {
    pub(crate) fn new(store: TransferStore, accounts: AccountService, outbox: Outbox) -> Self {
        Self {
            store,
            accounts,
            outbox,
        }
    }

    /// Drives a transfer, and returns how far it is then: never pending.
    pub(crate) async fn drive(&self, transfer: &Transfer) -> Result<State, Undecided> {
        let verdict = match self.accounts.post(transfer).await {
            Ok(verdict) => verdict,
            Err(error) => {
                self.give_up(transfer).await;
                return Err(error.into());
            }
        };
        let (state, outcome, first) = match verdict {
            Verdict::Posted(at) => {
                let first = self.store.complete(transfer, at).await?;
                self.outbox.wake();
                (State::Completed, "completed", first)
            }
            Verdict::Rejected(rejection) => {
                let first = self.store.reject(transfer.id, rejection).await?;
                (State::Rejected(rejection), rejection.as_str(), first)
            }
        };
        if !first {
            // Recorded before. What is recorded is what counts.
            return Ok(self.store.state(transfer.id).await?);
        }
        metrics::counter!("bank_transfers_total", "outcome" => outcome).increment(1);
        Ok(state)
    }

    /// Leaves a transfer to recovery.
    async fn give_up(&self, transfer: &Transfer) {
        if let Err(error) = self.store.release(transfer).await {
            // The lease lapses by itself.
            tracing::debug!(transfer = %transfer.id, %error, "a transfer was not released");
        }
    }
}
