//! What a handler does besides returning its argument.

use std::{
    hint,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// The clock of the runtime counts milliseconds: what takes less can't be waited for.
const SLEEP_MIN: Duration = Duration::from_millis(1);

/// The time that a handler takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handler(pub Duration);

impl Handler {
    /// Waits, or works if the time is too short to be waited for.
    pub async fn run(self) {
        if self.0 >= SLEEP_MIN {
            sleep(self.0).await;
        } else if !self.0.is_zero() {
            let begun = Instant::now();
            while begun.elapsed() < self.0 {
                hint::spin_loop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn takes_at_least_its_time_whether_it_works_or_waits() {
        for micros in [50, 1_500] {
            let (begun, time) = (Instant::now(), Duration::from_micros(micros));
            Handler(time).run().await;
            assert!(begun.elapsed() >= time);
        }
    }
}
