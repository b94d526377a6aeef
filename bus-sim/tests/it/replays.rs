//! A seed is a simulation, to the step.

use crate::commands::{counters, scenario};
use replybus_sim::{Faults, History, Simulation};

#[test]
fn nothing_goes_wrong_without_faults() {
    let mut simulation = Simulation::new(1).traced();
    let told = scenario(&mut simulation);
    for happened in simulation.happened() {
        println!("{happened}");
    }
    assert_eq!(told, Ok(()));
}

#[test]
fn a_seed_gives_the_same_steps_again() {
    let faults = Faults::all();
    let of = |seed, is_traced| {
        let faults = faults.of_seed(seed, 4);
        let mut simulation = Simulation::with(seed, faults);
        if is_traced {
            simulation = simulation.traced();
        }
        let ended = counters(&mut simulation, &History::new());
        (ended.map(|ended| ended.digest), simulation)
    };
    for seed in 0..50 {
        let (first, again) = (of(seed, false).0, of(seed, false).0);
        if first != again {
            let (one, other) = (of(seed, true).1, of(seed, true).1);
            let mut steps = one.happened().iter().zip(other.happened());
            let differs = steps.find(|(one, other)| one != other);
            panic!("seed {seed}: {first:?} and {again:?}; {differs:#?}");
        }
    }
}
