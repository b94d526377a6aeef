//! Which faults a seed decides.

use crate::{chance::Chance, fault::Fault};
use std::time::Duration;

/// Faults of one simulation at most, of those that a seed decides.
const FAULTS_MAX: u64 = 8;

/// The faults that seeds may decide.
///
/// ```
/// use replybus_sim::Faults;
///
/// // As on a RabbitMQ with quorum queues and a Redis that is never emptied.
/// let faults = Faults::all().lost_queues(false).lost_records(false);
/// # drop(faults);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Faults {
    crashes: bool,
    pauses: bool,
    lost_queues: bool,
    lost_records: bool,
    clocks_off_by: Duration,
    within: Duration,
    steps: u64,
}

impl Faults {
    /// Every fault there is, in the first 20 s and in the first 300 steps of each process, with clocks
    /// that are off by up to 200 ms, so that no two differ by more than the 500 ms that are allowed.
    pub fn all() -> Self {
        Self {
            crashes: true,
            pauses: true,
            lost_queues: true,
            lost_records: true,
            clocks_off_by: Duration::from_millis(200),
            within: Duration::from_secs(20),
            steps: 300,
        }
    }

    /// Whether processes are killed.
    pub fn crashes(self, crashes: bool) -> Self {
        Self { crashes, ..self }
    }

    /// Whether processes stand still, for longer than a lease as well.
    pub fn pauses(self, pauses: bool) -> Self {
        Self { pauses, ..self }
    }

    /// Whether the broker may lose its queues when it restarts.
    pub fn lost_queues(self, lost_queues: bool) -> Self {
        Self {
            lost_queues,
            ..self
        }
    }

    /// Whether the store may lose its data when it restarts.
    pub fn lost_records(self, lost_records: bool) -> Self {
        Self {
            lost_records,
            ..self
        }
    }

    /// By how much wall clocks may be wrong, in either direction.
    pub fn clocks_off_by(self, clocks_off_by: Duration) -> Self {
        Self {
            clocks_off_by,
            ..self
        }
    }

    /// The time within which servers restart.
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// The steps of a process among which faults hit it. As many as it takes: one that is never
    /// reached is no fault.
    pub fn steps(self, steps: u32) -> Self {
        let steps = u64::from(steps);
        Self { steps, ..self }
    }

    /// What this seed decides for so many processes. The same at any time.
    #[must_use]
    pub fn of_seed(&self, seed: u64, processes: usize) -> Vec<Fault> {
        let mut chance = Chance::new(seed).of_part(1);
        let count = chance.between(1, FAULTS_MAX);
        (0..count)
            .map(|_| self.draw(&mut chance, processes))
            .collect()
    }

    fn draw(&self, chance: &mut Chance, processes: usize) -> Fault {
        let bound = u64::try_from(processes).unwrap_or(u64::MAX);
        let process = usize::try_from(chance.below(bound)).unwrap_or_default();
        // Early steps as often as late ones, by their magnitude: that is where processes begin.
        let magnitude = chance.between(2, 64 - u64::from(self.steps.leading_zeros()));
        let step = chance.between(1, self.steps.min(1 << magnitude.min(63)));
        let step = u32::try_from(step).unwrap_or(u32::MAX);
        let taken = chance.one_in(2);
        let millis =
            |chance: &mut Chance, least, most| Duration::from_millis(chance.between(least, most));
        loop {
            return match chance.below(12) {
                0..=2 if self.crashes => {
                    let down = millis(chance, 1, 5_000);
                    Fault::Crash {
                        process,
                        step,
                        taken,
                        down,
                    }
                }
                3 | 4 if self.pauses => {
                    let pause = millis(chance, 500, 20_000);
                    Fault::Pause {
                        process,
                        step,
                        pause,
                    }
                }
                5 => Fault::Cut {
                    process,
                    step,
                    taken,
                    down: millis(chance, 1, 3_000),
                },
                6 => Fault::LoseStoreStep {
                    process,
                    step,
                    taken,
                },
                7 => Fault::LoseConfirm { process, step },
                8 => Fault::Duplicate { process, step },
                9 => Fault::Delay {
                    process,
                    step,
                    by: millis(chance, 1, 2_000),
                },
                10 => {
                    let at = self.moment(chance);
                    let down = millis(chance, 1, 5_000);
                    let keeps_data = !self.lost_queues || chance.one_in(2);
                    Fault::RestartBroker {
                        at,
                        down,
                        keeps_data,
                    }
                }
                11 if chance.one_in(2) => {
                    let at = self.moment(chance);
                    let down = millis(chance, 1, 5_000);
                    let keeps_data = !self.lost_records || chance.one_in(2);
                    Fault::RestartStore {
                        at,
                        down,
                        keeps_data,
                    }
                }
                11 => {
                    let most = u64::try_from(self.clocks_off_by.as_millis()).unwrap_or(u64::MAX);
                    let off_by = i64::try_from(chance.below(most)).unwrap_or(i64::MAX);
                    let off_by = if taken { off_by } else { -off_by };
                    Fault::Clock { process, off_by }
                }
                _ => continue,
            };
        }
    }

    fn moment(&self, chance: &mut Chance) -> Duration {
        let within = u64::try_from(self.within.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(chance.below(within))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_same_each_time_and_seeds_decide_differently() {
        let faults = Faults::all();
        assert_eq!(faults.of_seed(7, 3), faults.of_seed(7, 3));
        assert_ne!(faults.of_seed(7, 3), faults.of_seed(8, 3));
    }

    #[test]
    fn what_is_left_out_is_never_decided() {
        let faults = Faults::all()
            .crashes(false)
            .pauses(false)
            .lost_queues(false)
            .lost_records(false);
        for fault in (0..500).flat_map(|seed| faults.of_seed(seed, 3)) {
            let is_left_out = matches!(
                fault,
                Fault::Crash { .. }
                    | Fault::Pause { .. }
                    | Fault::RestartBroker {
                        keeps_data: false,
                        ..
                    }
                    | Fault::RestartStore {
                        keeps_data: false,
                        ..
                    }
            );
            assert!(!is_left_out, "{fault}");
        }
    }
}
