//! A statement of a month as it is recorded.

use super::sums::Sums;
use chassis::database::{moment, now, parsed};
use contracts::{
    Month, TimeZoneName, UserId,
    month_statement::{MonthOrder, MonthResult, MonthState, MonthStatement},
};
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};
use std::time::Duration;
use uuid::Uuid;

/// A job is begun within an hour and ends within another one. What is open for longer nobody is at.
const OPEN_FOR: Duration = Duration::from_secs(2 * 60 * 60);

/// A posting has its moment before it has locked its accounts, and may be applied so much later: a
/// statement that was asked for sooner after its month may lack some. It waits 3 s for a lock and 5 s
/// for a statement; the rest is for clocks that differ.
const APPLIED_WITHIN: Duration = Duration::from_secs(10);

/// A statement that somebody asked for.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(super) id: Uuid,
    pub(super) user: UserId,
    pub(super) month: Month,
    pub(super) time_zone: TimeZoneName,
    pub(super) begins_at: Timestamp,
    pub(super) ends_at: Timestamp,
    /// Entries that there were when it was asked for.
    pub(super) up_to: i64,
    pub(super) state: State,
    pub(super) ticket: Option<String>,
    pub(super) sums: Sums,
    pub(super) created_at: Timestamp,
}

/// The state of a row. All but the first are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Open,
    Made,
    Cancelled,
    Failed,
}

impl State {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Made => "made",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    fn read(word: &str) -> sqlx::Result<Self> {
        let all = [Self::Open, Self::Made, Self::Cancelled, Self::Failed];
        let known = all.into_iter().find(|state| state.word() == word);
        known.ok_or_else(|| sqlx::Error::Decode("an unknown state".into()))
    }
}

/// The columns that [`Record::read`] reads, as a literal for `concat!`.
macro_rules! columns {
    () => {
        "id, user_id, month, time_zone, begins_at, ends_at, up_to, state, ticket, looked_at, \
         opening, paid_in, paid_out, entries, first_number, last_number, created_at"
    };
}
pub(super) use columns;

impl Record {
    /// `true` if this is what `order` asks for; else its key was used twice.
    pub(super) fn is_for(&self, order: &MonthOrder) -> bool {
        self.month == order.month && self.time_zone == order.time_zone
    }

    /// `true` if nobody can be at it any more.
    pub(super) fn is_forgotten(&self) -> bool {
        let age = now().saturating_sub(self.created_at.as_microsecond());
        u128::try_from(age).is_ok_and(|age| age > OPEN_FOR.as_micros())
    }

    /// How far it is by what is recorded.
    pub(super) fn own_state(&self) -> MonthState {
        match self.state {
            State::Open if self.sums.looked_at > 0 => MonthState::Running,
            State::Open => MonthState::Waiting,
            State::Made => MonthState::Made,
            State::Cancelled => MonthState::Cancelled,
            State::Failed => MonthState::Failed,
        }
    }

    /// The statement as its user sees it.
    pub(super) fn shown(&self, state: MonthState, done: i64) -> MonthStatement {
        MonthStatement {
            id: self.id,
            month: self.month,
            time_zone: self.time_zone.clone(),
            state,
            done: done.min(self.up_to),
            total: self.up_to,
            created_at: self.created_at,
            result: (self.state == State::Made).then(|| self.result()),
        }
    }

    fn result(&self) -> MonthResult {
        MonthResult {
            from: self.begins_at,
            to: self.ends_at.min(self.created_at),
            is_whole: is_whole(self.ends_at, self.created_at),
            opening_balance: self.sums.opening,
            paid_in: self.sums.paid_in,
            paid_out: self.sums.paid_out,
            closing_balance: self.sums.closing(),
            entries: self.sums.entries,
        }
    }

    /// Reads a row with all [`columns`].
    pub(super) fn read(row: &AnyRow) -> sqlx::Result<Self> {
        let at = |column: &str| moment(row.try_get(column)?);
        Ok(Self {
            id: parsed(row.try_get("id")?)?,
            user: parsed(row.try_get("user_id")?)?,
            month: parsed(row.try_get("month")?)?,
            time_zone: TimeZoneName::stored(row.try_get("time_zone")?),
            begins_at: at("begins_at")?,
            ends_at: at("ends_at")?,
            up_to: row.try_get("up_to")?,
            state: State::read(row.try_get("state")?)?,
            ticket: row.try_get("ticket")?,
            sums: Sums {
                looked_at: row.try_get("looked_at")?,
                opening: row.try_get("opening")?,
                paid_in: row.try_get("paid_in")?,
                paid_out: row.try_get("paid_out")?,
                entries: row.try_get("entries")?,
                first: row.try_get("first_number")?,
                last: row.try_get("last_number")?,
            },
            created_at: at("created_at")?,
        })
    }
}

/// `true` if nothing can be added any more to a month that ended then.
fn is_whole(ends_at: Timestamp, asked_for_at: Timestamp) -> bool {
    let since = Duration::try_from(asked_for_at.duration_since(ends_at));
    since.is_ok_and(|since| since >= APPLIED_WITHIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_whole_once_all_that_was_posted_in_it_is_applied() {
        let ends_at: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        for (asked_for_at, whole) in [
            ("2026-02-28T23:59:59Z", false),
            ("2026-03-01T00:00:00Z", false),
            ("2026-03-01T00:00:09.999999Z", false),
            ("2026-03-01T00:00:10Z", true),
            ("2027-01-01T00:00:00Z", true),
        ] {
            let asked_for_at = asked_for_at.parse().unwrap();
            assert_eq!(is_whole(ends_at, asked_for_at), whole, "{asked_for_at}");
        }
    }
}
