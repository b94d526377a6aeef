//! A message that is to wait on its way.

use crate::message::Text;
use tokio::time::Instant;

/// When a message is to reach its queue, and where those of its namespace wait.
///
/// ```
/// use replybus::{Instant, transport::Delay};
/// use std::time::Duration;
///
/// let delay = Delay::until(Instant::now() + Duration::from_secs(60), "bank.replybus.delay");
/// assert_eq!(delay.way, "bank.replybus.delay");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delay {
    /// When it is due. A moment that has passed is now.
    pub due: Instant,
    /// What the names of all queues and exchanges begin with that messages of this namespace wait
    /// in, where a transport has such.
    pub way: Text,
}

impl Delay {
    /// A delay until `due`, on a way of this name.
    #[must_use]
    pub fn until(due: Instant, way: impl Into<Text>) -> Self {
        Self {
            due,
            way: way.into(),
        }
    }
}
