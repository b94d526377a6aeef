//! A standing order as it is recorded.

use crate::record::as_asked;
use chassis::database::{moment, parsed};
use contracts::{
    AccountNumber, Amount, IdempotencyKey, Reference, TimeZoneName, UserId,
    account::Recipient,
    standing_order::{
        CalendarUnit, Every, NewStandingOrder, StandingOrder, StandingOutcome, StandingState,
    },
    transfer::{TransferError, TransferOrder},
};
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow, error::BoxDynError};
use uuid::Uuid;

/// A transfer that is made again and again.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(super) id: Uuid,
    pub(super) user: UserId,
    /// The recipient as it was asked for, and who that was.
    pub(super) recipient: String,
    pub(super) to_username: String,
    pub(super) to_account: AccountNumber,
    pub(super) amount: Amount,
    pub(super) reference: Option<Reference>,
    pub(super) first_at: Timestamp,
    pub(super) every: Every,
    pub(super) time_zone: TimeZoneName,
    pub(super) until: Option<Timestamp>,
    pub(super) times: Option<u32>,
    pub(super) state: StandingState,
    /// The number of the next time.
    pub(super) occurrence: u32,
    pub(super) next_at: Option<Timestamp>,
    pub(super) last: Option<StandingOutcome>,
    pub(super) created_at: Timestamp,
}

/// This machine does not know the time zone of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rules of a time zone are missing on this machine")]
pub(crate) struct UnknownTimeZone;

/// The columns that [`Standing::read`] reads, as a literal for `concat!`.
macro_rules! columns {
    () => {
        "id, user_id, recipient, to_username, to_account, amount, reference, first_at, unit, \
         unit_count, time_zone, until_at, times, state, occurrence, next_at, last_due_at, \
         last_made, last_reason, created_at"
    };
}
pub(super) use columns;

impl Standing {
    /// `true` if this is what `order` asks for; else its key was used twice.
    pub(super) fn is_for(&self, order: &NewStandingOrder) -> bool {
        self.recipient == as_asked(&order.to)
            && self.amount == order.amount
            && self.reference == order.reference
            && self.first_at == order.first_at
            && self.every == order.every
            && self.time_zone == order.time_zone
            && self.until == order.until
            && self.times == order.times
    }

    /// The transfer of the next time: asked for again, it is the same one. Its key is made of the
    /// order and of the number of that time.
    pub(super) fn transfer(&self) -> Option<TransferOrder> {
        let key = format!("standing-order {} {}", self.id, self.occurrence);
        Some(TransferOrder {
            to: Recipient::AccountNumber(self.to_account.clone()),
            amount: self.amount,
            reference: self.reference.clone(),
            key: IdempotencyKey::try_from(key).ok()?,
        })
    }

    /// When the time after the next one is; `None` if there is none.
    pub(super) fn after_next(&self) -> Result<Option<Timestamp>, UnknownTimeZone> {
        let number = self.occurrence.checked_add(1);
        let is_last = |number: &u32| self.times.is_some_and(|times| *number >= times);
        let Some(number) = number.filter(|number| !is_last(number)) else {
            return Ok(None);
        };
        // This machine may know fewer than the one that took the order. That is not its end.
        let rules = self.time_zone.rules().ok_or(UnknownTimeZone)?;
        let moment = self.every.moment(self.first_at, number, rules);
        let is_over = |moment: &Timestamp| self.until.is_some_and(|until| *moment > until);
        Ok(moment.filter(|moment| !is_over(moment)))
    }

    /// The order as its user sees it.
    pub(super) fn shown(self) -> StandingOrder {
        StandingOrder {
            id: self.id,
            to: self.to_username,
            to_account_number: self.to_account,
            amount: self.amount,
            reference: self.reference,
            first_at: self.first_at,
            every: self.every.unit(),
            count: self.every.count(),
            time_zone: self.time_zone,
            until: self.until,
            times: self.times,
            state: self.state,
            next_at: self.next_at,
            occurrences: self.occurrence,
            last: self.last,
            created_at: self.created_at,
        }
    }

    /// Reads a row with all [`columns`].
    pub(super) fn read(row: &AnyRow) -> sqlx::Result<Self> {
        let at = |column: &str| {
            let stored: Option<i64> = row.try_get(column)?;
            stored.map(moment).transpose()
        };
        let small = |column: &str| {
            let stored: Option<i64> = row.try_get(column)?;
            stored.map(u32::try_from).transpose().map_err(unreadable)
        };
        let unit: CalendarUnit = row
            .try_get::<&str, _>("unit")?
            .parse()
            .map_err(unreadable)?;
        let count = small("unit_count")?.and_then(|count| u16::try_from(count).ok());
        let every = Every::new(count.unwrap_or_default(), unit).map_err(unreadable)?;
        let needed = || sqlx::Error::RowNotFound;
        let last = at("last_due_at")?.map(|due_at| {
            Ok::<_, sqlx::Error>(StandingOutcome {
                due_at,
                made: row.try_get::<Option<i64>, _>("last_made")? == Some(1),
                reason: row.try_get("last_reason")?,
            })
        });
        Ok(Self {
            id: parsed(row.try_get("id")?)?,
            user: parsed(row.try_get("user_id")?)?,
            recipient: row.try_get("recipient")?,
            to_username: row.try_get("to_username")?,
            to_account: parsed(row.try_get("to_account")?)?,
            amount: Amount::new(row.try_get("amount")?).map_err(unreadable)?,
            reference: row
                .try_get::<Option<&str>, _>("reference")?
                .map(parsed)
                .transpose()?,
            first_at: at("first_at")?.ok_or_else(needed)?,
            every,
            time_zone: TimeZoneName::stored(row.try_get("time_zone")?),
            until: at("until_at")?,
            times: small("times")?,
            state: state(row.try_get("state")?)?,
            occurrence: small("occurrence")?.ok_or_else(needed)?,
            next_at: at("next_at")?,
            last: last.transpose()?,
            created_at: at("created_at")?.ok_or_else(needed)?,
        })
    }
}

/// A state as it is stored.
pub(super) const fn word(state: StandingState) -> &'static str {
    match state {
        StandingState::Active => "active",
        StandingState::Ended => "ended",
        StandingState::Cancelled => "cancelled",
    }
}

fn state(stored: &str) -> sqlx::Result<StandingState> {
    let all = [
        StandingState::Active,
        StandingState::Ended,
        StandingState::Cancelled,
    ];
    let known = all.into_iter().find(|state| word(*state) == stored);
    known.ok_or_else(|| unreadable("an unknown state"))
}

/// What came of a time: nothing is said of one whose money was moved.
pub(super) fn reason(error: Option<&TransferError>) -> Option<String> {
    error.map(ToString::to_string)
}

fn unreadable(error: impl Into<BoxDynError>) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that is made every day until then, and was not made yet.
    fn daily(first_at: &str, until: &str) -> Standing {
        let first_at: Timestamp = first_at.parse().unwrap();
        Standing {
            id: Uuid::now_v7(),
            user: UserId::new(),
            recipient: "username bob".to_owned(),
            to_username: "bob".to_owned(),
            to_account: "400012345675".parse().unwrap(),
            amount: Amount::new(1).unwrap(),
            reference: None,
            first_at,
            every: Every::new(1, CalendarUnit::Day).unwrap(),
            time_zone: TimeZoneName::utc(),
            until: Some(until.parse().unwrap()),
            times: None,
            state: StandingState::Active,
            occurrence: 0,
            next_at: Some(first_at),
            last: None,
            created_at: first_at,
        }
    }

    #[test]
    fn an_order_is_made_once_more_at_the_moment_it_ends_with_and_never_after() {
        let first = "2026-03-01T00:00:00Z";
        for (until, next) in [
            ("2026-03-01T23:59:59.999Z", None),
            ("2026-03-02T00:00:00Z", Some("2026-03-02T00:00:00Z")),
            ("2026-03-02T00:00:00.001Z", Some("2026-03-02T00:00:00Z")),
        ] {
            let after_next = daily(first, until).after_next().unwrap();
            let next: Option<Timestamp> = next.map(|next| next.parse().unwrap());
            assert_eq!(after_next, next, "{until}");
        }
    }
}
