//! A service whose queue is older than its callers' patience refuses what it could not answer in time,
//! and spends its time on what it can.
//!
//! Old requests are at the head of a queue, so one that is served in order by a service that gets
//! more than it can do has nothing but answers that come too late. Here the age of each request is
//! watched as it is taken. A queue that is only uneven has a young one among them now and then; if
//! the youngest of an interval is older than a target, all wait (CoDel). From then on each request is
//! asked whether the time that it has left is what its method takes, and those of low priority are
//! refused in any case, which makes room for the others.

use crate::{
    contract::{Priority, ServiceContract, unix_time},
    error::{Fault, FaultCode},
    limits::{CLOCK_ALLOWANCE, QUEUE_AGE_INTERVAL, QUEUE_AGE_TARGET, RETRY_AFTER_MAX},
    message::Message,
    metric::MethodHistogram,
    work::Envelope,
};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The part of a moving average that a new value is.
const WEIGHT: u64 = 8;
/// The time that an answer takes to its caller, beside what its handler takes.
const WAY_BACK: Duration = Duration::from_millis(5);

/// How old the requests are that one instance takes.
#[derive(Debug)]
pub(super) struct QueueAge {
    state: Mutex<State>,
    /// How long the handlers of each method take, in microseconds.
    takes: Box<[AtomicU64]>,
    /// How long requests for each method waited.
    waited: Box<[MethodHistogram]>,
}

#[derive(Debug)]
struct State {
    /// When the interval began.
    since: Instant,
    /// The least age in this interval.
    youngest: Option<Duration>,
    /// The least that was ever seen: what two clocks that differ make of a request that did not
    /// wait. No more than they may differ.
    skew: Duration,
    /// By how much the queue is behind, if that is too much.
    behind: Option<Duration>,
}

/// The time of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestTime {
    /// Since it was published.
    age: Duration,
    /// Until its caller stops waiting.
    left: Duration,
    /// Both together, as it began.
    given: Duration,
}

impl RequestTime {
    /// That of a request which says it, by both clocks: the time to live counts from its publish,
    /// and the deadline says how much of it is left. The other way in one process, where the clock
    /// on the wall may stand still.
    pub(super) fn of(message: &Message, envelope: &Envelope) -> Option<Self> {
        let given = message.properties.expiration?;
        let left_by_wall = envelope.deadline_named?.saturating_sub(unix_time());
        let received = envelope.received.elapsed();
        let left = left_by_wall.min(given.saturating_sub(received));
        Some(Self {
            age: given - left,
            left,
            given,
        })
    }
}

impl QueueAge {
    pub(super) fn new(contract: &ServiceContract) -> Self {
        Self {
            state: Mutex::new(State {
                since: Instant::now(),
                youngest: None,
                skew: CLOCK_ALLOWANCE,
                behind: None,
            }),
            takes: contract.methods.iter().map(|_| AtomicU64::new(0)).collect(),
            waited: contract
                .methods
                .iter()
                .map(|method| {
                    MethodHistogram::new("replybus_queue_seconds", contract.name, method.name)
                })
                .collect(),
        }
    }

    /// Notes how long the handler of the method at `position` took.
    pub(super) fn took(&self, position: usize, took: Duration) {
        let Some(takes) = self.takes.get(position) else {
            return;
        };
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let before = takes.load(Ordering::Relaxed);
        let now = match before {
            0 => took,
            _ => before - before / WEIGHT + took / WEIGHT,
        };
        // Of two at once one may be lost.
        takes.store(now, Ordering::Relaxed);
    }

    /// Notes the age of a request that is taken, for the method at `position`. A fault, if it is to
    /// be refused.
    pub(super) fn take(
        &self,
        position: usize,
        time: RequestTime,
        priority: Priority,
    ) -> Option<Fault> {
        let now = Instant::now();
        if let Some(waited) = self.waited.get(position) {
            waited.record(time.age, now);
        }
        let behind = self.state().note(time.age, now)?;
        let takes = self.takes.get(position)?.load(Ordering::Relaxed);
        let takes = Duration::from_micros(takes);
        let needed = match priority {
            Priority::Low => Duration::MAX,
            // With a little room, as handlers do not all take the same; never so much that none is
            // run.
            Priority::Normal => takes + (takes / 4).max(WAY_BACK).min(time.given / 4),
            Priority::High => takes,
        };
        if time.left >= needed {
            return None;
        }
        let reason = match priority {
            Priority::Low => "calls of low priority give way to others",
            Priority::Normal | Priority::High => "it would not be answered in the time it has left",
        };
        let text = format!("the queue is {behind:.1?} behind, and {reason}");
        let retry_after = behind.clamp(QUEUE_AGE_INTERVAL, RETRY_AFTER_MAX);
        Some(Fault::new(FaultCode::Overloaded, text).retry_after(retry_after))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes a request, and returns by how much the queue is behind if that is too much.
    fn note(&mut self, age: Duration, now: Instant) -> Option<Duration> {
        self.skew = self.skew.min(age);
        let lasted = now.saturating_duration_since(self.since);
        if lasted >= QUEUE_AGE_INTERVAL {
            // Of an interval in which little came nothing can be said.
            let is_told = lasted < 2 * QUEUE_AGE_INTERVAL || self.behind.is_some();
            let over = self.skew + QUEUE_AGE_TARGET;
            // Of one that ended long ago this request says more than those that were in it.
            let least = |youngest: Duration| match lasted < 2 * QUEUE_AGE_INTERVAL {
                true => youngest,
                false => youngest.min(age),
            };
            let youngest = self.youngest.take().map(least);
            self.behind = youngest.filter(|youngest| is_told && *youngest > over);
            self.since = now;
        }
        self.youngest = Some(self.youngest.map_or(age, |youngest| youngest.min(age)));
        self.behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What comes of requests of these ages, ten in each interval.
    fn behind(state: &mut State, from: Instant, ages: &[u32]) -> Option<Duration> {
        let step = QUEUE_AGE_INTERVAL / 10;
        let mut at = from;
        let mut behind = None;
        for age in ages {
            at += step;
            behind = state.note(MS * *age, at);
        }
        behind
    }

    fn state(skew: Duration) -> (State, Instant) {
        let since = Instant::now();
        let state = State {
            since,
            youngest: None,
            skew,
            behind: None,
        };
        (state, since)
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_with_a_young_request_now_and_then_is_not_behind() {
        let (mut uneven, from) = state(Duration::ZERO);
        let ages: Vec<u32> = (0..100)
            .map(|at| if at % 9 == 0 { 1 } else { 900 })
            .collect();
        assert_eq!(behind(&mut uneven, from, &ages), None);
        let (mut old, from) = state(Duration::ZERO);
        let behind = behind(&mut old, from, &[900; 12]);
        assert_eq!(behind, Some(900 * MS));
    }

    #[tokio::test(start_paused = true)]
    async fn clocks_that_differ_are_no_age() {
        let (mut ahead, from) = state(CLOCK_ALLOWANCE);
        assert_eq!(behind(&mut ahead, from, &[400; 100]), None);
        // More than clocks may differ is age.
        let (mut old, from) = state(CLOCK_ALLOWANCE);
        assert!(behind(&mut old, from, &[900; 100]).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_as_soon_as_a_young_one_is_seen_in_each_interval() {
        let (mut state, from) = state(Duration::ZERO);
        assert!(behind(&mut state, from, &[900; 30]).is_some());
        let later = state.since;
        assert_eq!(behind(&mut state, later, &[2; 30]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_behind_is_so_no_more_when_a_young_one_comes_after_a_while() {
        for (age, is_behind) in [(1, false), (900, true)] {
            let (mut state, from) = state(Duration::ZERO);
            assert!(behind(&mut state, from, &[900; 30]).is_some());
            let later = state.since + 3600 * 1000 * MS;
            let told = state.note(MS * age, later);
            assert_eq!(told.is_some(), is_behind, "{age}");
        }
    }
}
