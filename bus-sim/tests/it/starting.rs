//! Services that lose the broker while they start, and calls that are given up meanwhile.

use crate::commands::counters;
use replybus_sim::{Fault, History, Simulation, invariants};
use std::time::Duration;

#[test]
fn what_was_given_up_is_not_run_by_a_service_that_lost_the_broker_as_it_started() {
    // At each step of the start of one, with the other one away.
    for step in 1..=12 {
        for taken in [false, true] {
            let down = Duration::from_secs(2);
            let history = History::new();
            let cut = |process, step, taken| Fault::Cut {
                process,
                step,
                taken,
                down,
            };
            let faults = [cut(0, step, taken), cut(1, 5, false)];
            let mut simulation = Simulation::with(87, faults);
            counters(&mut simulation, &history).unwrap();
            let truth = invariants::answered_truthfully(&history);
            assert_eq!(truth, Ok(()), "step {step}, taken: {taken}");
        }
    }
}
