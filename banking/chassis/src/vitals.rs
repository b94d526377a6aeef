//! What this process takes of its machine: memory and processor time.
//!
//! It is read from the operating system, which takes well under a millisecond, on a thread for what
//! blocks, and at most once a second, however many ask.

use contracts::{CpuUse, MemoryUse};
use jiff::Timestamp;
use std::{
    num::NonZero,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread::available_parallelism,
    time::{Duration, Instant},
};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, get_current_pid};

/// What was read so lately is not read again. sysinfo needs a pause between two looks, too: a share
/// of a moment says nothing.
const KEPT_FOR: Duration = Duration::from_secs(1);

static BEGAN: LazyLock<(Instant, Timestamp)> = LazyLock::new(|| (Instant::now(), Timestamp::now()));
static LOOK: LazyLock<Mutex<Look>> = LazyLock::new(|| Mutex::new(Look::begin()));

/// What was seen last, and what the next look is compared with.
struct Look {
    system: System,
    process: Option<Pid>,
    at: Option<Instant>,
    seen: Vitals,
}

/// What a process takes of its machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Vitals {
    pub(crate) memory: MemoryUse,
    pub(crate) cpu: CpuUse,
}

/// When this program began, and how long ago that is. The first use begins to count.
pub(crate) fn began() -> (Timestamp, Duration) {
    let (began, at) = *BEGAN;
    (at, began.elapsed())
}

/// What this process takes now, or took a second ago.
///
/// # Cancel safety
/// Safe; it only reads.
pub(crate) async fn vitals() -> Vitals {
    let looking = tokio::task::spawn_blocking(|| look().now());
    // A runtime that ends takes no more work: nobody reads this then.
    looking.await.unwrap_or(Vitals::UNKNOWN)
}

fn look() -> MutexGuard<'static, Look> {
    LOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vitals {
    const UNKNOWN: Self = Self {
        memory: MemoryUse {
            used: 0,
            total: 0,
            percentage: 0.0,
        },
        cpu: CpuUse { usage: 0.0 },
    };
}

impl Look {
    fn begin() -> Self {
        Self {
            system: System::new(),
            process: get_current_pid().ok(),
            at: None,
            seen: Vitals::UNKNOWN,
        }
    }

    fn now(&mut self) -> Vitals {
        if self.at.is_none_or(|at| at.elapsed() >= KEPT_FOR) {
            self.seen = self.read();
            self.at = Some(Instant::now());
        }
        self.seen
    }

    fn read(&mut self) -> Vitals {
        self.system.refresh_memory();
        let machine = self.system.total_memory();
        let limit = self.system.cgroup_limits();
        let limit = limit.map(|limits| limits.total_memory);
        let total = limit.filter(|limit| (1..machine).contains(limit));
        let total = total.unwrap_or(machine);
        let Some(process) = self.process else {
            return Vitals::UNKNOWN;
        };
        let wanted = ProcessesToUpdate::Some(&[process]);
        let parts = ProcessRefreshKind::nothing().with_memory().with_cpu();
        self.system
            .refresh_processes_specifics(wanted, false, parts);
        let process = self.system.process(process);
        let used = process.map_or(0, sysinfo::Process::memory);
        let of_one = process.map_or(0.0, sysinfo::Process::cpu_usage);
        let processors = available_parallelism().map_or(1, NonZero::get);
        Vitals {
            memory: MemoryUse {
                used,
                total,
                percentage: share(used, total),
            },
            cpu: CpuUse {
                usage: rounded(f64::from(of_one) / as_number(processors)),
            },
        }
    }
}

fn share(of: u64, all: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let share = |of: u64, all: u64| of as f64 / all as f64 * 100.0;
    if all == 0 {
        0.0
    } else {
        rounded(share(of, all))
    }
}

fn as_number(processors: usize) -> f64 {
    u32::try_from(processors).map_or(f64::MAX, f64::from)
}

/// A share of 100, with two digits behind the point.
fn rounded(share: f64) -> f64 {
    (share.clamp(0.0, 100.0) * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_has_memory_and_never_more_than_all_of_it() {
        let began_before = began().1;
        let seen = vitals().await;
        assert!(seen.memory.used > 1024 * 1024, "{seen:?}");
        assert!(seen.memory.total > seen.memory.used, "{seen:?}");
        let percentage = seen.memory.percentage;
        assert!(percentage > 0.0 && percentage <= 100.0, "{seen:?}");
        assert!((0.0..=100.0).contains(&seen.cpu.usage), "{seen:?}");
        assert!(began().1 >= began_before);
    }

    #[test]
    fn work_is_seen_and_what_was_just_read_is_not_read_again() {
        let mut look = Look::begin();
        look.now();
        let first = look.at;
        assert_eq!(look.now(), look.seen);
        assert_eq!(look.at, first);
        // Busy until the next look is due.
        let busy = Instant::now();
        while busy.elapsed() < KEPT_FOR {
            std::hint::spin_loop();
        }
        let seen = look.now();
        assert_ne!(look.at, first);
        assert!(seen.cpu.usage > 0.0, "{seen:?}");
    }

    #[test]
    fn a_share_is_between_nothing_and_all() {
        for (of, all, expected) in [(0, 0, 0.0), (1, 3, 33.33), (5, 4, 100.0), (4, 4, 100.0)] {
            assert_eq!(share(of, all), expected);
        }
    }
}
