//! No more than so many traces a second that begin here: what a program pays for them is bounded, and
//! those that are recorded are whole, where a queue that is full would tear them.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Traces of one program that are recorded in a second, of those that begin with it: more than
/// anybody looks at, and under 5 % of the calls of a program that has two processors for both ends.
pub(crate) const TRACES_PER_SECOND: u32 = 500;

/// While traces are left out the log is told this often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Counts the traces that begin.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the second began, and how many traces have begun in it.
    second: Option<(Instant, u32)>,
    /// Traces that were left out and are not told of.
    untold: u64,
    told_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            state: Mutex::default(),
        }
    }

    /// `true` if one more may begin now.
    pub(crate) fn admits(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, begun) = match state.second {
            Some((since, begun)) if now < since + Duration::from_secs(1) => (since, begun),
            _ => (now, 0),
        };
        let is_admitted = begun < self.per_second;
        state.second = Some((since, begun + u32::from(is_admitted)));
        if is_admitted {
            return true;
        }
        state.untold += 1;
        if state.told_at.is_none_or(|at| now >= at + TOLD_EVERY) {
            state.told_at = Some(now);
            let left_out = std::mem::take(&mut state.untold);
            drop(state);
            let per_second = self.per_second;
            tracing::info!(left_out, per_second, "more traces begin than are recorded");
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_in_a_second_and_the_next_has_its_own() {
        let pace = Pace::new(3);
        let began = Instant::now();
        for second in 0..3 {
            let admitted = (0..10).filter(|tenth| {
                let at = Duration::from_secs(second) + Duration::from_millis(tenth * 99);
                pace.admits(began + at)
            });
            assert_eq!(admitted.collect::<Vec<_>>(), [0, 1, 2]);
        }
        assert!(!Pace::new(0).admits(began));
    }
}
