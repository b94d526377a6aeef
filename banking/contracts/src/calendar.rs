//! Calendars: the time zone of whoever asks, and months in it.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize};
use std::{fmt, str::FromStr};
use utoipa::ToSchema;

/// The name of a time zone, such as `Asia/Ho_Chi_Minh` or `UTC`: one that this machine knows, unless
/// it was [`stored`](Self::stored) where others were known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, max_length = 64, example = "Asia/Ho_Chi_Minh")]
pub struct TimeZoneName(String);

impl TimeZoneName {
    /// The longest name, in bytes. The longest of the IANA has 32.
    pub const BYTES_MAX: usize = 64;

    /// Coordinated Universal Time, whose days are everybody's.
    #[must_use]
    pub fn utc() -> Self {
        Self("UTC".to_owned())
    }

    /// A name that was checked when it was stored, by a machine that may have known others than this
    /// one.
    #[must_use]
    pub const fn stored(name: String) -> Self {
        Self(name)
    }

    /// Reads a name of what was stored, as [`stored`](Self::stored) takes it.
    pub(crate) fn read_stored<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(Self)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its rules; `None` if this machine does not know them, though whoever checked the name did.
    #[must_use]
    pub fn rules(&self) -> Option<TimeZone> {
        TimeZone::get(&self.0).ok()
    }
}

impl fmt::Display for TimeZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TimeZoneName {
    type Err = InvalidTimeZoneName;

    fn from_str(name: &str) -> Result<Self, InvalidTimeZoneName> {
        let is_short = (1..=Self::BYTES_MAX).contains(&name.len());
        if is_short && name.is_ascii() && TimeZone::get(name).is_ok() {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidTimeZoneName)
        }
    }
}

impl TryFrom<String> for TimeZoneName {
    type Error = InvalidTimeZoneName;

    fn try_from(name: String) -> Result<Self, InvalidTimeZoneName> {
        name.parse()
    }
}

impl From<TimeZoneName> for String {
    fn from(name: TimeZoneName) -> Self {
        name.0
    }
}

/// Not the name of a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("time_zone: {allowed}", allowed = Self::ALLOWED)]
pub struct InvalidTimeZoneName;

impl InvalidTimeZoneName {
    /// What is allowed.
    pub const ALLOWED: &str = "the name of a time zone is needed, such as Asia/Ho_Chi_Minh";
}

/// A month of a year, from 1970 to 9998: `2026-03`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[0-9]{4}-[0-9]{2}$", example = "2026-03")]
pub struct Month(Date);

impl Month {
    /// When it begins there, and when the next one does. `None` if this machine does not know the
    /// time zone.
    #[must_use]
    pub fn bounds(self, zone: &TimeZoneName) -> Option<(Timestamp, Timestamp)> {
        let zone = zone.rules()?;
        let next = self.0.last_of_month().tomorrow().ok()?;
        let begins = self.0.to_zoned(zone.clone()).ok()?;
        let ends = next.to_zoned(zone).ok()?;
        Some((begins.timestamp(), ends.timestamp()))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl FromStr for Month {
    type Err = InvalidMonth;

    fn from_str(text: &str) -> Result<Self, InvalidMonth> {
        let digits = |text: &str, length: usize| {
            let are_digits = text.bytes().all(|byte| byte.is_ascii_digit());
            (are_digits && text.len() == length).then(|| text.parse::<i16>().ok())?
        };
        let (year, month) = text.split_once('-').ok_or(InvalidMonth)?;
        let year = digits(year, 4).filter(|year| (1970..=9998).contains(year));
        let month = digits(month, 2).and_then(|month| i8::try_from(month).ok());
        let (year, month) = year.zip(month).ok_or(InvalidMonth)?;
        let first = Date::new(year, month, 1).map_err(|_| InvalidMonth)?;
        Ok(Self(first))
    }
}

impl TryFrom<String> for Month {
    type Error = InvalidMonth;

    fn try_from(text: String) -> Result<Self, InvalidMonth> {
        text.parse()
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

/// Not a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("month: {allowed}", allowed = Self::ALLOWED)]
pub struct InvalidMonth;

impl InvalidMonth {
    /// What is allowed.
    pub const ALLOWED: &str = "a month is needed, such as 2026-03";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_months_that_there_are_exist() {
        for allowed in ["1970-01", "2026-12", "9998-12"] {
            let month: Month = allowed.parse().unwrap();
            assert_eq!(month.to_string(), allowed);
        }
        for refused in [
            "0000-13",
            "0000-01",
            "2026-00",
            "2026-13",
            "1969-12",
            "9999-12",
            "2026-1",
            "2026-+1",
            "+026-01",
            "-2026-01",
            "2026-01-01",
            "2026",
            "",
            "-",
            "２026-01",
            "99999-01",
            "2026-001",
        ] {
            assert_eq!(refused.parse::<Month>(), Err(InvalidMonth), "{refused}");
            let travelled = serde_json::from_value::<Month>(refused.into());
            assert!(travelled.is_err(), "{refused}");
        }
    }

    #[test]
    fn a_month_begins_and_ends_with_the_days_of_its_time_zone() {
        let bounds = |month: &str, zone: &str| {
            let month: Month = month.parse().unwrap();
            let (begins, ends) = month.bounds(&zone.parse().unwrap()).unwrap();
            (begins.to_string(), ends.to_string())
        };
        let utc = bounds("2026-02", "UTC");
        assert_eq!(utc.0, "2026-02-01T00:00:00Z");
        assert_eq!(utc.1, "2026-03-01T00:00:00Z");
        let saigon = bounds("2025-12", "Asia/Ho_Chi_Minh");
        assert_eq!(saigon.0, "2025-11-30T17:00:00Z");
        assert_eq!(saigon.1, "2025-12-31T17:00:00Z");
        // In summer clocks are an hour ahead.
        let berlin = bounds("2026-03", "Europe/Berlin");
        assert_eq!(berlin.0, "2026-02-28T23:00:00Z");
        assert_eq!(berlin.1, "2026-03-31T22:00:00Z");
        for month in ["1970-01", "9998-12"] {
            for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"] {
                bounds(month, zone);
            }
        }
    }

    #[test]
    fn only_time_zones_that_are_known_exist() {
        for refused in [
            "",
            "Mars/Olympus",
            "../UTC",
            "/etc/passwd",
            "UTC\0",
            "Viễn Đông",
        ] {
            assert!(refused.parse::<TimeZoneName>().is_err(), "{refused}");
        }
        assert!("U".repeat(65).parse::<TimeZoneName>().is_err());
        assert_eq!(TimeZoneName::utc(), "UTC".parse().unwrap());
    }
}
