//! Standing orders: transfers that a user orders once, and that are made again and again.

use crate::{AccountNumber, Amount, IdempotencyKey, Reference, TimeZoneName, account::Recipient};
use jiff::{Span, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The time from one transfer to the next: so many days, weeks or months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "Interval", into = "Interval")]
pub struct Every {
    unit: CalendarUnit,
    count: u16,
}

/// As it travels.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Interval {
    unit: CalendarUnit,
    count: u16,
}

/// A unit of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CalendarUnit {
    /// Days.
    Day,
    /// Weeks.
    Week,
    /// Months. In one that is too short it is the last day.
    Month,
}

impl CalendarUnit {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl std::str::FromStr for CalendarUnit {
    type Err = InvalidEvery;

    fn from_str(word: &str) -> Result<Self, InvalidEvery> {
        let all = [Self::Day, Self::Week, Self::Month];
        let known = all.into_iter().find(|unit| unit.word() == word);
        known.ok_or(InvalidEvery)
    }
}

impl Every {
    /// The most units: a year of days.
    pub const COUNT_MAX: u16 = 366;

    /// So many units.
    ///
    /// # Errors
    /// It is not between 1 and [`Every::COUNT_MAX`].
    pub const fn new(count: u16, unit: CalendarUnit) -> Result<Self, InvalidEvery> {
        if count < 1 || count > Self::COUNT_MAX {
            return Err(InvalidEvery);
        }
        Ok(Self { unit, count })
    }

    /// What is counted.
    #[must_use]
    pub const fn unit(self) -> CalendarUnit {
        self.unit
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.count
    }

    /// The moment of a transfer by its number, from 0, which is that of the first: counted from the
    /// first, by the clock and the calendar of the time zone, so that a month that is too short
    /// shortens no later one. `None` if there is no such moment.
    #[must_use]
    pub fn moment(self, first: Timestamp, number: u32, rules: TimeZone) -> Option<Timestamp> {
        let first = first.to_zoned(rules);
        let units = i64::from(number).checked_mul(i64::from(self.count))?;
        let span = match self.unit {
            CalendarUnit::Day => Span::new().try_days(units),
            CalendarUnit::Week => Span::new().try_weeks(units),
            CalendarUnit::Month => Span::new().try_months(units),
        };
        let moment = first.checked_add(span.ok()?).ok()?;
        Some(moment.timestamp())
    }
}

impl TryFrom<Interval> for Every {
    type Error = InvalidEvery;

    fn try_from(read: Interval) -> Result<Self, InvalidEvery> {
        Self::new(read.count, read.unit)
    }
}

impl From<Every> for Interval {
    fn from(every: Every) -> Self {
        let Every { unit, count } = every;
        Self { unit, count }
    }
}

/// Not a time from one transfer to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every: 1 to {max} of day, week or month are allowed", max = Every::COUNT_MAX)]
pub struct InvalidEvery;

/// A standing order that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NewStandingOrder {
    /// To whom.
    pub to: Recipient,
    /// How much, each time.
    pub amount: Amount,
    /// What for, in the user's words.
    pub reference: Option<Reference>,
    /// When for the first time.
    pub first_at: Timestamp,
    /// How often from then on.
    pub every: Every,
    /// By the clock and the calendar of which place.
    pub time_zone: TimeZoneName,
    /// Not after this moment.
    pub until: Option<Timestamp>,
    /// No more often than this.
    pub times: Option<u32>,
    /// The user's name for it.
    pub key: IdempotencyKey,
}

/// A standing order, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StandingOrder {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: Uuid,
    /// The name of the user who is paid.
    pub to: String,
    /// Their account.
    pub to_account_number: AccountNumber,
    /// How much, each time, in minor units.
    pub amount: Amount,
    /// What for, in the user's words.
    pub reference: Option<Reference>,
    /// When for the first time.
    #[schema(value_type = String, format = DateTime)]
    pub first_at: Timestamp,
    /// What is counted from one time to the next.
    pub every: CalendarUnit,
    /// How many of it.
    pub count: u16,
    /// By the clock and the calendar of which place.
    #[serde(deserialize_with = "TimeZoneName::read_stored")]
    pub time_zone: TimeZoneName,
    /// Not after this moment.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<Timestamp>,
    /// No more often than this.
    pub times: Option<u32>,
    /// Whether it goes on.
    pub state: StandingState,
    /// When for the next time, if it goes on.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_at: Option<Timestamp>,
    /// How often its time has come, whatever came of it.
    pub occurrences: u32,
    /// What came of it the last time.
    pub last: Option<StandingOutcome>,
    /// When it was ordered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Whether a standing order goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StandingState {
    /// There is a next time.
    Active,
    /// It has come to its end.
    Ended,
    /// Its user does not want it any more.
    Cancelled,
}

/// What came of a standing order when its time had come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StandingOutcome {
    /// When that time was.
    #[schema(value_type = String, format = DateTime)]
    pub due_at: Timestamp,
    /// Whether the money was moved.
    pub made: bool,
    /// Why it was not, as a sentence.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(first: &str, count: u16, unit: CalendarUnit, zone: &str, times: u32) -> Vec<String> {
        let every = Every::new(count, unit).unwrap();
        let zone: TimeZoneName = zone.parse().unwrap();
        let first: Timestamp = first.parse().unwrap();
        let moment = |number| {
            every
                .moment(first, number, zone.rules().unwrap())
                .unwrap()
                .to_string()
        };
        (0..times).map(moment).collect()
    }

    #[test]
    fn the_31st_is_the_last_day_of_a_shorter_month_and_the_31st_again() {
        let all = moments("2027-12-31T09:00:00Z", 1, CalendarUnit::Month, "UTC", 5);
        let days: Vec<_> = all.iter().map(|moment| &moment[..10]).collect();
        let expected = [
            "2027-12-31",
            "2028-01-31",
            "2028-02-29",
            "2028-03-31",
            "2028-04-30",
        ];
        assert_eq!(days, expected);
    }

    #[test]
    fn days_are_those_of_the_place_and_the_clock_stays_what_it_shows() {
        // The 1st there is the 31st here.
        let all = moments(
            "2026-03-31T17:30:00Z",
            1,
            CalendarUnit::Month,
            "Asia/Ho_Chi_Minh",
            3,
        );
        assert_eq!(all[1], "2026-04-30T17:30:00Z");
        assert_eq!(all[2], "2026-05-31T17:30:00Z");
        // Nine in the morning, in winter and in summer.
        let all = moments(
            "2026-03-28T08:00:00Z",
            1,
            CalendarUnit::Day,
            "Europe/Berlin",
            2,
        );
        assert_eq!(all[1], "2026-03-29T07:00:00Z");
        let weekly = moments("2026-01-01T00:00:00Z", 2, CalendarUnit::Week, "UTC", 2);
        assert_eq!(weekly[1], "2026-01-15T00:00:00Z");
    }

    #[test]
    fn only_some_intervals_exist_and_no_moment_is_beyond_time() {
        for count in [0, 367, u16::MAX] {
            assert_eq!(Every::new(count, CalendarUnit::Day), Err(InvalidEvery));
            let travelled = serde_json::json!({ "unit": "day", "count": count });
            assert!(serde_json::from_value::<Every>(travelled).is_err());
        }
        assert!("year".parse::<CalendarUnit>().is_err());
        let every = Every::new(366, CalendarUnit::Month).unwrap();
        let first = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(every.moment(first, u32::MAX, TimeZone::UTC), None);
        let last = Timestamp::MAX;
        let daily = Every::new(1, CalendarUnit::Day).unwrap();
        assert_eq!(daily.moment(last, 1, TimeZone::UTC), None);
    }
}
