//! A wall clock that goes with the runtime's paused one. The machine's goes on while a test stands
//! still, and a test that computes much falls behind by it.

use replybus::simulation::{Surroundings, within};
use std::{sync::Arc, time::SystemTime};
use tokio::{runtime::Builder, time::Instant};
use uuid::Uuid;

struct OneClock {
    began: Instant,
    wall_clock: SystemTime,
}

impl Surroundings for OneClock {
    fn wall_clock(&self) -> SystemTime {
        self.wall_clock + self.began.elapsed()
    }

    fn random(&self) -> u128 {
        Uuid::new_v4().as_u128()
    }
}

/// Runs a test on this thread under paused time, by which the wall clock goes as well.
pub(crate) fn on_one_clock(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let entered = runtime.enter();
    let around: Arc<dyn Surroundings> = Arc::new(OneClock {
        began: Instant::now(),
        wall_clock: SystemTime::now(),
    });
    within(&around, || runtime.block_on(test));
    drop(entered);
}
