//! What becomes of a tick that is not begun when it is due.

use super::pattern::Pattern;
use crate::limits::{TICK_LATE_AFTER, TICKS_MISSED_MAX};

/// What is done about ticks that were missed: not begun within
/// [`TICK_LATE_AFTER`](crate::limits::TICK_LATE_AFTER), because nobody was there to run them, or all
/// were busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Missed {
    /// Nothing: the next one is soon enough.
    Skip,
    /// However many were missed, the last one is run.
    #[default]
    Once,
    /// Each is run, oldest first, up to so many of the last ones.
    All {
        /// At most so many, of which there is at least one; more than
        /// [`TICKS_MISSED_MAX`](crate::limits::TICKS_MISSED_MAX) count as that.
        at_most: u32,
    },
}

/// What to do with a tick that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Run,
    /// Another one is to come in its place, now.
    Instead(u64),
    Nothing,
}

impl Missed {
    /// What to do with a tick, and which one is to follow at once.
    pub(super) fn step(self, ticks: &Pattern, tick: u64, now: u64) -> (Step, Option<u64>) {
        if !ticks.is_tick(tick) {
            // Of a pattern that the schedule had before.
            return (Step::Nothing, None);
        }
        let is_late = now >= tick.saturating_add(TICK_LATE_AFTER.as_secs());
        match self {
            Self::Skip if is_late => (Step::Nothing, None),
            Self::Once if is_late => match ticks.up_to(now) {
                Some(last) if last > tick => (Step::Instead(last), None),
                _ => (Step::Run, None),
            },
            Self::All { at_most } => {
                let first = first_of(ticks, tick, at_most, now);
                match first.filter(|first| *first > tick) {
                    Some(first) => (Step::Instead(first), None),
                    // Those that nobody put because nobody was there.
                    None => (Step::Run, ticks.after(tick).filter(|next| *next <= now)),
                }
            }
            Self::Skip | Self::Once => (Step::Run, None),
        }
    }
}

/// The first of the last so many ticks, or one of them that is no later than `tick`.
fn first_of(ticks: &Pattern, tick: u64, count: u32, now: u64) -> Option<u64> {
    let mut first = ticks.up_to(now)?;
    for _ in 1..count.min(TICKS_MISSED_MAX) {
        if first <= tick {
            break;
        }
        match ticks.up_to(first.checked_sub(1)?) {
            Some(before) => first = before,
            None => break,
        }
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::{Instead, Nothing, Run};

    #[test]
    fn a_tick_in_time_is_run_and_a_late_one_as_is_said() {
        let minutes = Pattern::read("* * * * *", None, 0).unwrap();
        let late = TICK_LATE_AFTER.as_secs();
        let all = |at_most| Missed::All { at_most };
        for (missed, tick, now, step, then) in [
            (Missed::Skip, 600, 600 + late - 1, Run, None),
            (Missed::Skip, 600, 600 + late, Nothing, None),
            // A clock that is behind.
            (Missed::Skip, 600, 590, Run, None),
            (Missed::Once, 600, 600, Run, None),
            (Missed::Once, 600, 6000, Instead(6000), None),
            (Missed::Once, 6000, 6000, Run, None),
            (all(1000), 600, 600, Run, None),
            (all(1000), 600, 6000, Run, Some(660)),
            (all(1000), 5940, 6000, Run, Some(6000)),
            (all(3), 600, 6030, Instead(5880), None),
            (all(3), 5880, 6030, Run, Some(5940)),
            (all(1), 600, 6030, Instead(6000), None),
            (all(0), 600, 6030, Instead(6000), None),
            (all(u32::MAX), 600, 6030, Run, Some(660)),
            // One that is forged. There are more before it than can be looked through.
            (
                all(u32::MAX),
                60,
                60_000_000_000,
                Instead(59_999_940_060),
                None,
            ),
            (all(u32::MAX), 60_000_000_000, 60_000_000_000, Run, None),
            // Not of this pattern.
            (Missed::Once, 601, 601, Nothing, None),
        ] {
            let told = missed.step(&minutes, tick, now);
            assert_eq!(told, (step, then), "{missed:?} {tick} {now}");
        }
    }

    #[test]
    fn a_tick_of_an_hour_that_is_left_out_or_comes_twice_is_run_once() {
        let day = 24 * 60 * 60;
        // Noon before the night in which clocks are put forward, and put back.
        for noon in [1_774_699_200, 1_792_843_200] {
            let nights = Pattern::read("30 2 * * *", Some("Europe/Vienna"), noon).unwrap();
            let tick = nights.after(noon).unwrap();
            for missed in [Missed::Skip, Missed::Once, Missed::All { at_most: 5 }] {
                assert_eq!(missed.step(&nights, tick, tick), (Run, None), "{missed:?}");
            }
            assert_eq!(Missed::Once.step(&nights, tick, noon + day), (Run, None));
        }
    }

    #[test]
    fn the_last_of_a_rare_schedule_is_run_however_late() {
        let yearly = Pattern::read("0 0 1 1 *", None, 0).unwrap();
        let tick = yearly.after(0).unwrap();
        let half_a_year = tick + 180 * 24 * 60 * 60;
        assert_eq!(Missed::Once.step(&yearly, tick, half_a_year), (Run, None));
    }
}
