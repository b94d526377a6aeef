//! The circuit of one method: when its calls pass, and what they tell of the service.

use std::time::Duration;
use tokio::time::Instant;

/// A circuit, as somebody who looks at it sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls pass.
    Closed,
    /// Calls are refused, for so long from now on.
    Open {
        /// Until the first call is let through to try.
        left: Duration,
    },
    /// One call at a time passes, to try the service.
    HalfOpen,
}

impl CircuitState {
    /// One word for it, for metrics and logs: `closed`, `open` or `half_open`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// When a circuit opens, and when it closes again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) failures: u32,
    pub(super) open_for: Duration,
    pub(super) successes: u32,
}

/// The circuit, by the outcomes of its calls.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    phase: Phase,
    /// Of each phase another one: what began in an earlier one says nothing of this.
    number: u64,
    /// In a row, while it is closed; and of those that are tried, while it is half open.
    pub(super) failures: u32,
    /// Likewise.
    pub(super) successes: u32,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    HalfOpen {
        /// A call is under way that tries the service.
        is_tried: bool,
    },
}

/// A call that may pass: in this phase of its circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage(u64);

/// A change of a circuit that somebody should hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Closed,
}

impl Circuit {
    /// Lets a call pass, or says after what time one may.
    pub(super) fn pass(&mut self, now: Instant) -> Result<Passage, Option<Duration>> {
        match &mut self.phase {
            Phase::Closed => {}
            Phase::Open { until } if now < *until => return Err(Some(*until - now)),
            Phase::Open { .. } => self.enter(Phase::HalfOpen { is_tried: true }),
            Phase::HalfOpen { is_tried: true } => return Err(None),
            Phase::HalfOpen { is_tried } => *is_tried = true,
        }
        Ok(Passage(self.number))
    }

    /// Notes that the service did its work.
    pub(super) fn succeeded(&mut self, passage: Passage, rules: &Rules) -> Option<Change> {
        if passage.0 != self.number {
            return None;
        }
        self.failures = 0;
        self.successes = self.successes.saturating_add(1);
        let Phase::HalfOpen { is_tried } = &mut self.phase else {
            return None;
        };
        *is_tried = false;
        if self.successes < rules.successes {
            return None;
        }
        self.enter(Phase::Closed);
        Some(Change::Closed)
    }

    /// Notes that it did not.
    pub(super) fn failed(
        &mut self,
        passage: Passage,
        rules: &Rules,
        now: Instant,
    ) -> Option<Change> {
        if passage.0 != self.number {
            return None;
        }
        self.successes = 0;
        self.failures = self.failures.saturating_add(1);
        if self.phase == Phase::Closed && self.failures < rules.failures {
            return None;
        }
        let failures = self.failures;
        let until = now + rules.open_for;
        self.enter(Phase::Open { until });
        // For people: what opened it.
        self.failures = failures;
        Some(Change::Opened)
    }

    /// Notes that a call ended in a way that tells nothing of the service.
    pub(super) fn told_nothing(&mut self, passage: Passage) {
        if passage.0 == self.number
            && let Phase::HalfOpen { is_tried } = &mut self.phase
        {
            *is_tried = false;
        }
    }

    /// Closes it, whatever it was. `true` if that is a change.
    pub(super) fn reset(&mut self) -> bool {
        let was_closed = self.phase == Phase::Closed;
        self.enter(Phase::Closed);
        !was_closed
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        match self.phase {
            Phase::Closed => CircuitState::Closed,
            Phase::Open { until } if now < until => CircuitState::Open { left: until - now },
            Phase::Open { .. } | Phase::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// `true` if it remembers nothing that matters.
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Closed && self.failures == 0
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.number = self.number.wrapping_add(1);
        self.failures = 0;
        self.successes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        failures: 3,
        open_for: Duration::from_secs(60),
        successes: 2,
    };

    fn fail(circuit: &mut Circuit, now: Instant) -> Option<Change> {
        let passage = circuit.pass(now).unwrap();
        circuit.failed(passage, &RULES, now)
    }

    fn succeed(circuit: &mut Circuit, now: Instant) -> Option<Change> {
        let passage = circuit.pass(now).unwrap();
        circuit.succeeded(passage, &RULES)
    }

    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        assert_eq!(fail(&mut circuit, now), None);
        assert_eq!(fail(&mut circuit, now), None);
        assert_eq!(fail(&mut circuit, now), Some(Change::Opened));
        circuit
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_success_among_them_does_not() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        for _ in 0..10 {
            assert_eq!(fail(&mut circuit, now), None);
            assert_eq!(fail(&mut circuit, now), None);
            assert_eq!(succeed(&mut circuit, now), None);
        }
        assert_eq!(circuit.state(now), CircuitState::Closed);
        let mut circuit = opened(now);
        let later = now + RULES.open_for / 2;
        assert_eq!(circuit.pass(later), Err(Some(RULES.open_for / 2)));
        let left = RULES.open_for;
        assert_eq!(circuit.state(now), CircuitState::Open { left });
    }

    #[test]
    fn one_call_at_a_time_tries_the_service() {
        let now = Instant::now();
        let mut circuit = opened(now);
        let later = now + RULES.open_for;
        assert_eq!(circuit.state(later), CircuitState::HalfOpen);
        let trying = circuit.pass(later).unwrap();
        assert_eq!(circuit.pass(later), Err(None));
        assert_eq!(circuit.succeeded(trying, &RULES), None);
        assert_eq!(succeed(&mut circuit, later), Some(Change::Closed));
        assert!(circuit.is_idle());
    }

    #[test]
    fn a_failure_of_one_that_tries_opens_it_again_for_the_whole_time() {
        let now = Instant::now();
        let mut circuit = opened(now);
        let later = now + RULES.open_for;
        assert_eq!(succeed(&mut circuit, later), None);
        assert_eq!(fail(&mut circuit, later), Some(Change::Opened));
        assert_eq!(circuit.pass(later), Err(Some(RULES.open_for)));
    }

    #[test]
    fn one_that_tries_and_tells_nothing_makes_way_for_the_next() {
        let now = Instant::now();
        let mut circuit = opened(now);
        let later = now + RULES.open_for;
        let trying = circuit.pass(later).unwrap();
        circuit.told_nothing(trying);
        assert!(circuit.pass(later).is_ok());
    }

    #[test]
    fn what_began_before_it_opened_says_nothing_of_it_any_more() {
        let now = Instant::now();
        let mut circuit = Circuit::default();
        let slow = circuit.pass(now).unwrap();
        for _ in 0..3 {
            fail(&mut circuit, now);
        }
        let later = now + RULES.open_for;
        let trying = circuit.pass(later).unwrap();
        assert_eq!(circuit.failed(slow, &RULES, later), None);
        assert_eq!(circuit.succeeded(slow, &RULES), None);
        circuit.told_nothing(slow);
        assert_eq!(circuit.pass(later), Err(None));
        assert_eq!(circuit.succeeded(trying, &RULES), None);
    }

    #[test]
    fn it_can_be_closed_by_hand() {
        let now = Instant::now();
        let mut circuit = opened(now);
        assert!(circuit.reset());
        assert!(!circuit.reset());
        assert_eq!(circuit.state(now), CircuitState::Closed);
        assert_eq!(fail(&mut circuit, now), None);
    }
}
