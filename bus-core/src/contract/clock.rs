//! The wall clock, by which deadlines travel between processes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time by the wall clock: that of a simulation, within one.
pub(crate) fn wall_clock() -> SystemTime {
    #[cfg(feature = "simulation")]
    if let Some(now) = crate::simulation::wall_clock() {
        return now;
    }
    SystemTime::now()
}

/// Time since the Unix epoch; zero on a clock set before it.
pub(crate) fn unix_time() -> Duration {
    wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default()
}
