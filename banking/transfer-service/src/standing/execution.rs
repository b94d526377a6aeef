//! Making the transfer of a standing order whose time has come.
//!
//! It is a transfer like any other, under a key made of the order and of the number of that time. So
//! however many are at it, and however often, the money moves once: the key is free once, the ledger
//! gives one transfer one verdict, and the number goes up once.
//!
//! Times that were missed are all made, late and one after the other: each of them is owed.

use super::{
    record::{Standing, UnknownTimeZone, reason},
    table::StandingTable,
    wake::Alarm,
};
use crate::{
    accounts::{AccountService, NoAnswer},
    driver::{Driver, Undecided},
    record::{State, Transfer},
    store::TransferStore,
};
use chassis::outbox::Outbox;
use contracts::{
    Refused, TransactionCompleted, account::Recipient, standing_order::StandingOutcome,
    transfer::TransferError,
};
use jiff::Timestamp;
use std::time::Duration;
use uuid::Uuid;

/// An alarm may ring so early, by the clock of whoever hears it, and is then set again.
const EARLY_MAX: Duration = Duration::from_secs(10);

/// Makes what is due.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub(crate) table: StandingTable,
    pub(crate) accounts: AccountService,
    pub(crate) store: TransferStore,
    pub(crate) driver: Driver,
    pub(crate) alarm: Alarm,
    /// Told when there may be an event to emit.
    pub(crate) outbox: Outbox,
}

/// Why the money was not moved, and what to tell of that.
type Came = (Option<TransferError>, Option<TransactionCompleted>);

/// It is as due as before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undone {
    #[error("the database has no answer")]
    Database(#[from] sqlx::Error),
    #[error("its recipient can't be asked for")]
    Parties(#[from] NoAnswer),
    #[error("its transfer is not decided")]
    Undecided(#[from] Undecided),
    #[error("its transfer has no key")]
    Key,
    #[error("its next time can't be told")]
    TimeZone(#[from] UnknownTimeZone),
}

impl Execution {
    /// Makes what is due of an order, if something is, and sets the alarm for the next time. Whoever
    /// is woken for what others made sets none: theirs would be one more for ever.
    pub(crate) async fn of(&self, id: Uuid) -> Result<(), Undone> {
        let mut advanced = false;
        loop {
            let Some(order) = self.table.one(id).await? else {
                return Ok(());
            };
            let Some(next_at) = order.next_at else {
                return Ok(());
            };
            let now = Timestamp::now();
            if next_at > now {
                if advanced || next_at <= now + EARLY_MAX {
                    self.alarm.set(&order).await;
                }
                return Ok(());
            }
            advanced |= self.once(&order, next_at).await?;
        }
    }

    /// Makes a time that has come. Returns whether it was written down by this.
    async fn once(&self, order: &Standing, due_at: Timestamp) -> Result<bool, Undone> {
        let next_at = order.after_next()?;
        let (failed, tells) = self.transfer(order).await?;
        let outcome = StandingOutcome {
            due_at,
            made: failed.is_none(),
            reason: reason(failed.as_ref()),
        };
        let result = if outcome.made { "made" } else { "failed" };
        let advanced = self
            .table
            .advance(order, &outcome, next_at, tells.as_ref())
            .await?;
        if advanced {
            self.outbox.wake();
            metrics::counter!("bank_standing_orders_total", "outcome" => result).increment(1);
        }
        Ok(advanced)
    }

    /// The transfer of the next time, to its verdict: why the money was not moved, and what its
    /// payer is told of that.
    async fn transfer(&self, order: &Standing) -> Result<Came, Undone> {
        let ordered = order.transfer().ok_or(Undone::Key)?;
        let mut transfer = match self.store.find(order.user, &ordered.key).await? {
            Some(known) => known,
            None => {
                let to = Recipient::AccountNumber(order.to_account.clone());
                let parties = match self.accounts.known(order.user, &to) {
                    Some(parties) => parties,
                    None => match self.accounts.parties(order.user, &to).await {
                        Ok(Some(parties)) => parties,
                        Ok(None) => return Ok((Some(TransferError::UnknownRecipient), None)),
                        Err(error) if error.is_transient() => return Err(error.into()),
                        // Its user has no account any more.
                        Err(_) => return Ok((Some(Refused::Forbidden.into()), None)),
                    },
                };
                let transfer = Transfer::new(&ordered, parties);
                if self.store.record(&transfer).await? {
                    transfer
                } else {
                    let known = self.store.find(order.user, &ordered.key).await?;
                    known.ok_or(Undone::Key)?
                }
            }
        };
        if !transfer.is_for(&ordered) {
            // Its own user took the key for something else.
            return Ok((Some(TransferError::KeyConflict), None));
        }
        if transfer.state == State::Pending {
            transfer.state = self.driver.drive(&transfer).await?;
        }
        let failed = transfer.answer().err();
        let tells = matches!(failed, Some(TransferError::InsufficientBalance));
        let tells = tells.then(|| transfer.not_made());
        Ok((failed, tells))
    }
}
