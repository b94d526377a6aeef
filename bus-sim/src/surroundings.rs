//! The wall clock and the chance of one process.

use crate::{chance::Chance, wire::lock};
use replybus::simulation::Surroundings;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// When a simulation begins by the wall clock: 1 January 2026, 0:00 UTC. The same each time, for it
/// is in messages.
const BEGINNING: Duration = Duration::from_secs(1_767_225_600);

/// What is around one life of a process.
pub(crate) struct Here {
    /// The beginning of its runtime, by its clock.
    start: Instant,
    /// When that was, of the simulation.
    born: Duration,
    /// By how many milliseconds its wall clock is wrong.
    clock_off_by: i64,
    chance: Mutex<Chance>,
}

impl Here {
    pub(crate) fn new(seed: u64, start: Instant, born: Duration, clock_off_by: i64) -> Arc<Self> {
        Arc::new(Self {
            start,
            born,
            clock_off_by,
            chance: Mutex::new(Chance::new(seed)),
        })
    }

    pub(crate) fn as_surroundings(self: &Arc<Self>) -> Arc<dyn Surroundings> {
        Arc::<Self>::clone(self)
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        lock(&self.chance).below(bound)
    }
}

impl Surroundings for Here {
    fn wall_clock(&self) -> SystemTime {
        let lived = Instant::now().saturating_duration_since(self.start);
        let now = UNIX_EPOCH + BEGINNING + self.born + lived;
        let off_by = Duration::from_millis(self.clock_off_by.unsigned_abs());
        if self.clock_off_by < 0 {
            now - off_by
        } else {
            now + off_by
        }
    }

    fn random(&self) -> u128 {
        let mut chance = lock(&self.chance);
        u128::from(chance.next()) << 64 | u128::from(chance.next())
    }
}
