//! One tick, as its handler and its message have it.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One moment of a schedule, whose work is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    pub(super) schedule: String,
    pub(super) second: u64,
}

/// The arguments of a tick's message.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Arguments {
    /// In seconds since the Unix epoch.
    pub(super) second: u64,
}

impl Tick {
    /// The moment it stands for, however late it is run.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.second)
    }

    /// A name that no other tick of any schedule has: for the idempotency key of a command that is
    /// its work, or for a record of one's own.
    ///
    /// ```
    /// # async fn run(tick: replybus::schedule::Tick) {
    /// let key = tick.key(); // "reports.nightly/1774839600"
    /// # drop(key);
    /// # }
    /// ```
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.schedule, self.second)
    }
}
