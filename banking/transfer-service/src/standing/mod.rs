//! Standing orders: transfers that a user orders once, and that are made when their time comes.
//!
//! In reading order: `record` is what is known of one, `table` where it is kept; an [`Orders`] is
//! the door, by which users order them; `execution` makes the transfer of one whose time has come,
//! which `wake` learns of from the broker, and `overdue` from the table.
//!
//! The table is the truth: what is due, when, and how often it was. A delayed command wakes whoever
//! looks, and says only which row. So a message that is forged, repeated or early moves nothing but
//! what the table says is due, and one that is lost costs half a minute. Each time of an order has
//! one: whoever writes down that there is such a time sets its alarm, and nobody else does.

mod execution;
mod overdue;
mod record;
mod table;
mod wake;

pub(crate) use execution::Execution;
pub(crate) use overdue::Overdue;
pub(crate) use table::StandingTable;
pub(crate) use wake::{Alarm, StandingJobsServer, Waking};

use crate::accounts::AccountService;
use contracts::{
    Page, PageRequest, Refused, UserId,
    standing_order::{NewStandingOrder, StandingOrder},
    transfer::TransferError,
};
use jiff::Timestamp;
use std::{error::Error, time::Duration};
use table::{ACTIVE_MAX, Recorded};
use uuid::Uuid;

/// The first time may be so far in the past: the clocks of people and of the bank differ, and a
/// request takes its time.
const LATE_MAX: Duration = Duration::from_secs(5 * 60);
/// It may be so far ahead: about ten years.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// The standing orders, as their users order them.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) table: StandingTable,
    pub(crate) accounts: AccountService,
    pub(crate) alarm: Alarm,
}

impl Orders {
    /// Records an order, or finds the one of its key.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it may be recorded or not.
    pub(crate) async fn order(
        &self,
        user: UserId,
        order: &NewStandingOrder,
    ) -> Result<StandingOrder, TransferError> {
        let order = &as_stored(order);
        let known = self.table.find(user, &order.key).await;
        let known = match known.map_err(|error| unavailable(&error))? {
            Some(known) => known,
            None => {
                let is_new = self.record(user, order).await?;
                let recorded = self.table.find(user, &order.key).await;
                let recorded = recorded.map_err(|error| unavailable(&error))?;
                let recorded = recorded.ok_or(Refused::Unavailable)?;
                if is_new {
                    self.alarm.set(&recorded).await;
                }
                recorded
            }
        };
        if !known.is_for(order) {
            return Err(TransferError::KeyConflict);
        }
        Ok(known.shown())
    }

    /// Records an order. `true` if it was not there, and has no alarm yet.
    async fn record(&self, user: UserId, order: &NewStandingOrder) -> Result<bool, TransferError> {
        makes_sense(order, Timestamp::now())?;
        let parties = self.accounts.parties(user, &order.to).await;
        let parties = parties.map_err(|error| unavailable(&error))?;
        let parties = parties.ok_or(TransferError::UnknownRecipient)?;
        if parties.from.user_id == parties.to.user_id {
            return Err(TransferError::ToYourself);
        }
        let recorded = self.table.record(user, order, &parties.to).await;
        match recorded.map_err(|error| unavailable(&error))? {
            Recorded::New => Ok(true),
            Recorded::There => Ok(false),
            Recorded::TooMany => Err(TransferError::TooManyStandingOrders(ACTIVE_MAX)),
        }
    }

    /// Those of a user, first those that go on, newest first.
    pub(crate) async fn all(
        &self,
        user: UserId,
        page: PageRequest,
    ) -> Result<Page<StandingOrder>, TransferError> {
        let all = self.table.of_user(user, page).await;
        all.map_err(|error| unavailable(&error))
    }

    /// Ends one of a user. Of anybody else's it says that there is none.
    pub(crate) async fn cancel(
        &self,
        user: UserId,
        id: Uuid,
    ) -> Result<StandingOrder, TransferError> {
        let cancelled = self.table.cancel(user, id).await;
        cancelled.map_err(|error| unavailable(&error))?;
        let order = self.table.one(id).await;
        let order = order.map_err(|error| unavailable(&error))?;
        let own = order.filter(|order| order.user == user);
        own.map(record::Standing::shown)
            .ok_or(TransferError::NoStandingOrder)
    }
}

/// An order whose moments are as precise as they are stored, so that it is known again.
fn as_stored(order: &NewStandingOrder) -> NewStandingOrder {
    let stored = |at: Timestamp| Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at);
    NewStandingOrder {
        first_at: stored(order.first_at),
        until: order.until.map(stored),
        ..order.clone()
    }
}

/// An order has a first time that can come, and does not end before it.
fn makes_sense(order: &NewStandingOrder, now: Timestamp) -> Result<(), TransferError> {
    let wrong = |what: &str| TransferError::NoSuchTime(what.to_owned());
    let earliest = now - LATE_MAX;
    let latest = now + AHEAD_MAX;
    if order.first_at < earliest || order.first_at > latest {
        return Err(wrong("first_at"));
    }
    if order.until.is_some_and(|until| until < order.first_at) {
        return Err(wrong("until"));
    }
    if order.times == Some(0) {
        return Err(wrong("times"));
    }
    Ok(())
}

fn unavailable(error: &(dyn Error + 'static)) -> TransferError {
    tracing::warn!(error, "a standing order is refused");
    Refused::Unavailable.into()
}
