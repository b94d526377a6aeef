//! The pauses between attempts to reach a broker, or something on it.

use crate::limits::{RECONNECT_MAX, RECONNECT_MIN};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// Growing pauses without end; jittered, so that programs that lost a broker together do not come
/// back together.
pub(crate) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(crate) fn new() -> Self {
        // backon's jitter adds up to the whole pause, so half the bound is the bound.
        let backoff = ExponentialBuilder::new()
            .with_min_delay(RECONNECT_MIN / 2)
            .with_max_delay(RECONNECT_MAX / 2)
            .with_jitter()
            .without_max_times();
        Self(backoff.build())
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.0.next().unwrap_or(RECONNECT_MAX)
    }
}
