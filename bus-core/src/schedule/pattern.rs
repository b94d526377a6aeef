//! A pattern of cron's in a time zone: its ticks, which are whole seconds since the Unix epoch.

use crate::error::SetupError;
use croner::Cron;
use jiff::{Timestamp, Zoned, tz::TimeZone};
use std::str::FromStr;

/// The ticks of a schedule.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    cron: Cron,
    zone: TimeZone,
}

impl Pattern {
    /// A pattern that has a tick after `now`.
    pub(super) fn read(pattern: &str, zone: Option<&str>, now: u64) -> Result<Self, SetupError> {
        let cron = Cron::from_str(pattern).map_err(|error| {
            SetupError::setting(format!("schedule {pattern:?}"), error.to_string())
        })?;
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|error| SetupError::setting("time_zone", error.to_string()))?,
        };
        let this = Self { cron, zone };
        match this.after(now) {
            Some(_) => Ok(this),
            None => {
                let reason = "there is no such moment in the years to come";
                Err(SetupError::setting(format!("schedule {pattern:?}"), reason))
            }
        }
    }

    /// The next tick after a moment.
    pub(super) fn after(&self, moment: u64) -> Option<u64> {
        second_of(&self.next(moment.try_into().ok()?)?)
    }

    /// The last tick up to a moment.
    pub(super) fn up_to(&self, moment: u64) -> Option<u64> {
        let mut last = self.matching_up_to(moment)?;
        while !self.is_tick(last) {
            last = self.matching_up_to(last.checked_sub(1)?)?;
        }
        // One of an hour that was left out is at a time which does not match.
        while let Some(next) = self.after(last).filter(|next| *next <= moment) {
            last = next;
        }
        Some(last)
    }

    /// `true` if a moment is a tick. By the clock on the wall that is not told: of an hour that is
    /// left out the tick comes later, and of one that comes twice the second has none.
    pub(super) fn is_tick(&self, moment: u64) -> bool {
        let Ok(moment) = i64::try_from(moment) else {
            return false;
        };
        let next = self.next(moment - 1);
        next.is_some_and(|next| next.timestamp().as_second() == moment)
    }

    fn next(&self, second: i64) -> Option<Zoned> {
        self.cron
            .find_next_occurrence(&self.at(second)?, false)
            .ok()
    }

    /// The last moment whose time matches.
    fn matching_up_to(&self, moment: u64) -> Option<u64> {
        let at = self.at(moment.try_into().ok()?)?;
        let last = self.cron.find_previous_occurrence(&at, true);
        second_of(&last.ok()?)
    }

    fn at(&self, second: i64) -> Option<Zoned> {
        let timestamp = Timestamp::from_second(second).ok()?;
        Some(timestamp.to_zoned(self.zone.clone()))
    }
}

fn second_of(at: &Zoned) -> Option<u64> {
    at.timestamp().as_second().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(text: &str) -> u64 {
        let timestamp: Timestamp = text.parse().unwrap();
        timestamp.as_second().try_into().unwrap()
    }

    fn vienna() -> Pattern {
        let zone = Some("Europe/Vienna");
        Pattern::read("30 2 * * *", zone, second("2026-01-01T00:00:00Z")).unwrap()
    }

    #[test]
    fn ticks_are_strictly_after_and_at_most_at() {
        let every_minute = Pattern::read("* * * * *", None, 0).unwrap();
        for (moment, next, last) in [(59, 60, 0), (60, 120, 60), (61, 120, 60)] {
            assert_eq!(every_minute.after(moment), Some(next));
            assert_eq!(every_minute.up_to(moment), Some(last));
            assert_eq!(every_minute.is_tick(moment), moment == 60);
        }
        assert_eq!(every_minute.after(u64::MAX), None);
        assert!(!every_minute.is_tick(u64::MAX));
    }

    #[test]
    fn an_hour_that_is_left_out_or_comes_twice_has_one_tick() {
        let nights = vienna();
        // In spring there is no 02:30.
        let spring = nights.after(second("2026-03-28T12:00:00Z")).unwrap();
        assert!(spring > second("2026-03-29T00:59:59Z") && spring < second("2026-03-29T02:00:00Z"));
        assert_eq!(nights.after(spring), Some(second("2026-03-30T00:30:00Z")));
        assert!(nights.is_tick(spring));
        let noon = second("2026-03-29T12:00:00Z");
        assert_eq!(nights.up_to(noon), Some(spring));
        assert_eq!(nights.up_to(spring), Some(spring));
        assert_eq!(
            nights.up_to(spring - 1),
            Some(second("2026-03-28T01:30:00Z"))
        );
        // In autumn there are two.
        let autumn = nights.after(second("2026-10-24T12:00:00Z")).unwrap();
        assert_eq!(nights.after(autumn), Some(second("2026-10-26T01:30:00Z")));
        let noon = second("2026-10-25T12:00:00Z");
        assert_eq!(nights.up_to(noon), Some(autumn));
        assert!(nights.is_tick(autumn) && !nights.is_tick(autumn + 60 * 60));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_its_reason() {
        for pattern in [
            "",
            "* * * *",
            "61 * * * *",
            "0 0 30 2 *",
            "every day",
            "* * * * * * 1999",
        ] {
            let refused = Pattern::read(pattern, None, second("2026-01-01T00:00:00Z"));
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(&format!("{pattern:?}")), "{refused}");
        }
        let refused = Pattern::read("* * * * *", Some("Europe/Nowhere"), 0).unwrap_err();
        assert!(refused.to_string().contains("Europe/Nowhere"), "{refused}");
    }
}
