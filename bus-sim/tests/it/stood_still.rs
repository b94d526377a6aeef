//! Services that stand still for so long that nobody sees them, and calls that are given up meanwhile.

use crate::commands::counters;
use replybus_sim::{Fault, History, Simulation, invariants};
use std::time::Duration;

/// Both services stand still, each after a step of its own, and callers are told the truth.
fn stand_still(steps: [u32; 2], also: Option<Fault>) {
    let pause = |process, step, seconds| Fault::Pause {
        process,
        step,
        pause: Duration::from_secs(seconds),
    };
    let faults = [pause(0, steps[0], 15), pause(1, steps[1], 17)];
    let history = History::new();
    let mut simulation = Simulation::with(25, faults.into_iter().chain(also));
    counters(&mut simulation, &history).unwrap();
    let truth = invariants::answered_truthfully(&history);
    assert_eq!(truth, Ok(()), "after steps {steps:?}");
}

#[test]
fn what_was_given_up_is_not_run_by_a_service_that_stood_still() {
    for first in 8..=22 {
        for second in [12, 17, 22] {
            stand_still([first, second], None);
        }
    }
}

#[test]
fn nor_is_it_while_the_store_was_away_as_the_service_came_back() {
    for first in 8..=22 {
        let outage = Fault::RestartStore {
            at: Duration::from_secs(17),
            down: Duration::from_secs(3),
            keeps_data: true,
        };
        stand_still([first, 17], Some(outage));
    }
}
