//! The search for a seed under which something goes wrong that should not, and for the fewest faults
//! that it takes.

use crate::{
    fault::Fault,
    plan::Faults,
    simulation::{Simulation, Violation},
    trace::Happened,
};
use std::{
    any::Any,
    env, fmt,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

/// The steps of a run that are shown before its end.
const SHOWN: usize = 60;

/// The variable with another number of them.
const SHOW: &str = "REPLYBUS_SIM_SHOW";

/// The variable with the number of seeds to run, in place of what the test says.
const SEEDS: &str = "REPLYBUS_SIM_SEEDS";

/// The variable with the one seed to run.
const SEED: &str = "REPLYBUS_SIM_SEED";

/// The variable with the numbers of the faults to keep of it, with commas.
const KEPT: &str = "REPLYBUS_SIM_FAULTS";

/// Runs a scenario under many seeds, of which each decides its faults.
///
/// A scenario adds its processes, runs the simulation, and says what is wrong at its end; it must do
/// the same each time but for the simulation that it is given. Its panics are violations. It runs on
/// as many threads as there are processors.
///
/// `REPLYBUS_SIM_SEEDS=100000` runs as many, in place of `seeds`; `REPLYBUS_SIM_SEED=42` runs that one,
/// with `REPLYBUS_SIM_FAULTS=0,3` for those of its faults alone. `REPLYBUS_SIM_SHOW=10000` shows as many
/// of the last steps before a violation, in place of 60.
///
/// # Panics
/// Under one of them it is violated: with the seed, the fewest faults that show it, and what happened
/// last.
#[expect(clippy::panic, reason = "a test is told by a panic")]
pub fn check(
    seeds: u64,
    faults: &Faults,
    scenario: impl Fn(&mut Simulation) -> Result<(), Violation> + Sync,
) {
    let found = match number(SEED) {
        Some(seed) => replay(seed, faults, &scenario),
        None => search(0..number(SEEDS).unwrap_or(seeds), faults, &scenario),
    };
    if let Some(found) = found {
        panic!("{found}");
    }
}

/// The number in a variable.
fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Runs a scenario under many seeds and returns the first violation that is found, with the fewest
/// faults that show it.
pub fn search(
    seeds: Range<u64>,
    faults: &Faults,
    scenario: &(impl Fn(&mut Simulation) -> Result<(), Violation> + Sync),
) -> Option<Found> {
    let (next, is_over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let look = || {
        while !is_over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return None;
            }
            let mut simulation = Simulation::drawn(seed, faults, None);
            if run(&mut simulation, scenario).is_err() {
                is_over.store(true, Ordering::Relaxed);
                return Some(seed);
            }
        }
        None
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failed = thread::scope(|scope| {
        let looking: Vec<_> = (0..threads).map(|_| scope.spawn(look)).collect();
        let found = looking
            .into_iter()
            .filter_map(|thread| thread.join().ok().flatten());
        found.min()
    });
    failed.map(|seed| shrink(seed, faults, scenario))
}

/// Runs one seed, with what happens.
fn replay(
    seed: u64,
    faults: &Faults,
    scenario: &impl Fn(&mut Simulation) -> Result<(), Violation>,
) -> Option<Found> {
    let kept = env::var(KEPT).ok().map(|text| {
        let numbers = text
            .split(',')
            .filter_map(|number| number.trim().parse().ok());
        numbers.collect()
    });
    let mut simulation = Simulation::drawn(seed, faults, kept).traced();
    let violation = run(&mut simulation, scenario).err()?;
    Some(Found::of(seed, simulation, violation))
}

/// Leaves out faults, as long as the scenario is violated without them.
fn shrink(
    seed: u64,
    faults: &Faults,
    scenario: &impl Fn(&mut Simulation) -> Result<(), Violation>,
) -> Found {
    let attempt = |kept: Option<Vec<usize>>| {
        let mut simulation = Simulation::drawn(seed, faults, kept).traced();
        let violation = run(&mut simulation, scenario).err()?;
        Some(Found::of(seed, simulation, violation))
    };
    let Some(mut found) = attempt(None) else {
        return Found::unrepeatable(seed);
    };
    let mut at = 0;
    while at < found.faults.len() {
        let numbers = found.faults.iter().map(|(number, _)| *number).enumerate();
        let fewer = numbers
            .filter(|(place, _)| *place != at)
            .map(|(_, number)| number)
            .collect();
        match attempt(Some(fewer)) {
            Some(smaller) => found = smaller,
            None => at += 1,
        }
    }
    found
}

fn run(
    simulation: &mut Simulation,
    scenario: &impl Fn(&mut Simulation) -> Result<(), Violation>,
) -> Result<(), Violation> {
    catch_unwind(AssertUnwindSafe(|| scenario(simulation)))
        .unwrap_or_else(|panic| Err(Violation::new(text_of(panic.as_ref()))))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("it panicked: {}", text.unwrap_or_default())
}

/// A violation, and what it takes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What is wrong.
    pub violation: Violation,
    /// The faults that it takes, with their numbers among those that the seed decides.
    pub faults: Vec<(usize, Fault)>,
    /// What happened.
    pub happened: Vec<Happened>,
}

impl Found {
    fn of(seed: u64, simulation: Simulation, violation: Violation) -> Self {
        let Simulation {
            faults, happened, ..
        } = simulation;
        Self {
            seed,
            violation,
            faults,
            happened,
        }
    }

    fn unrepeatable(seed: u64) -> Self {
        let text = "it was violated once, and not when it was run again: something in it is not \
                    decided by the seed";
        Self {
            seed,
            violation: Violation::new(text),
            faults: Vec::new(),
            happened: Vec::new(),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            violation,
            faults,
            happened,
        } = self;
        writeln!(f, "seed {seed}: {violation}")?;
        for (number, fault) in faults {
            writeln!(f, "  fault {number}: {fault}")?;
        }
        let shown = number(SHOW).and_then(|shown| usize::try_from(shown).ok());
        let left_out = happened.len().saturating_sub(shown.unwrap_or(SHOWN));
        writeln!(f, "what happened, after {left_out} steps more:")?;
        for happened in happened.iter().skip(left_out) {
            writeln!(f, "{happened}")?;
        }
        let numbers: Vec<_> = faults
            .iter()
            .map(|(number, _)| number.to_string())
            .collect();
        let numbers = numbers.join(",");
        write!(f, "to run it again: {SEED}={seed} {KEPT}={numbers}")
    }
}
