//! What is known of the services behind a queue: whether they take bundles, and how long their
//! handlers take. Both are said by their replies.

use crate::{
    contract::MethodContract,
    limits::{BUNDLE_WORK_MAX, BUNDLES_STOPPED_FOR},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The part of a moving average that a new value is, and what it counts for beside twice the
/// average at most: a method that becomes slow is left out after some calls, and one call whose
/// process had to wait for a processor changes little.
const WEIGHT: u32 = 8;
const BESIDE_TWICE: Duration = Duration::from_micros(100);

/// What the replies from one queue have said.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The average of each method that was measured. A handful of them: a list is fastest.
    methods: Vec<(&'static MethodContract, Duration)>,
    /// Until then nothing is sent in bundles.
    stopped_until: Option<Instant>,
}

impl Pace {
    /// The work that a call is for whoever gets it in a bundle; `None` if it is not to be in one.
    pub(super) fn work_of(&self, method: &'static MethodContract) -> Option<Duration> {
        let mut state = self.state();
        if state.methods.is_empty() {
            return None;
        }
        if let Some(until) = state.stopped_until {
            if until > Instant::now() {
                return None;
            }
            state.stopped_until = None;
        }
        let average = *state.average(method)?;
        // At least two must fit into one.
        (average * 2 <= BUNDLE_WORK_MAX).then_some(average)
    }

    /// Learns from a reply of the handler's: the microseconds that it took, or nothing from a
    /// service that takes no bundles.
    pub(in crate::client) fn learn(&self, method: &'static MethodContract, micros: Option<u32>) {
        if method.job.is_some() {
            // Each of those is settled by itself.
            return;
        }
        let Some(micros) = micros else {
            return self.stop();
        };
        let took = Duration::from_micros(micros.into());
        let mut state = self.state();
        match state.average(method) {
            Some(average) => {
                let took = took.min(*average * 2 + BESIDE_TWICE);
                *average = (*average * (WEIGHT - 1) + took) / WEIGHT;
            }
            None => state.methods.push((method, took)),
        }
    }

    /// Sends nothing in bundles for a while: somebody who serves the queue does not take them.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        // Otherwise nothing is sent so yet.
        if !state.methods.is_empty() {
            state.stopped_until = Some(Instant::now() + BUNDLES_STOPPED_FOR);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn average(&mut self, method: &'static MethodContract) -> Option<&mut Duration> {
        let mut known = self.methods.iter_mut();
        let known = known.find(|(known, _)| std::ptr::eq(*known, method));
        known.map(|(_, average)| average)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::MethodKind;

    static FAST: MethodContract = MethodContract::new("fast", MethodKind::Query);
    static SLOW: MethodContract = MethodContract::new("slow", MethodKind::Query);

    #[tokio::test(start_paused = true)]
    async fn what_was_never_measured_or_is_slow_goes_alone() {
        let pace = Pace::default();
        assert_eq!(pace.work_of(&FAST), None);
        pace.learn(&FAST, Some(20));
        pace.learn(&SLOW, Some(2_000));
        assert_eq!(pace.work_of(&FAST), Some(Duration::from_micros(20)));
        assert_eq!(pace.work_of(&SLOW), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_slow_run_changes_little_and_many_change_all() {
        let pace = Pace::default();
        pace.learn(&FAST, Some(20));
        pace.learn(&FAST, Some(1_000_000));
        assert!(pace.work_of(&FAST).unwrap() < Duration::from_micros(50));
        for _ in 0..50 {
            pace.learn(&FAST, Some(1_000_000));
        }
        assert_eq!(pace.work_of(&FAST), None);
        for _ in 0..100 {
            pace.learn(&FAST, Some(20));
        }
        assert!(pace.work_of(&FAST).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn it_stops_for_a_minute() {
        let pace = Pace::default();
        pace.learn(&FAST, Some(20));
        pace.learn(&SLOW, None);
        pace.learn(&FAST, Some(20));
        assert_eq!(pace.work_of(&FAST), None);
        tokio::time::advance(BUNDLES_STOPPED_FOR).await;
        assert!(pace.work_of(&FAST).is_some());
    }
}
