//! The moment at which a message is due: asked for, bounded, and counted by both clocks.

use crate::{
    contract::{unix_time, wall_clock},
    limits::DELAY_MAX,
};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// When a message is to reach its queue, as it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    Now,
    After(Duration),
    At(SystemTime),
}

/// A moment ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// By the clock of this process.
    pub(crate) at: Instant,
    /// By the clock on the wall, since the Unix epoch: one for all copies of a message, whatever
    /// becomes of that clock.
    pub(crate) named: Duration,
}

/// A delay that no transport is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("delay: {given:?}, up to {max:?} is allowed", max = DELAY_MAX)]
pub(crate) struct DelayTooLong {
    given: Duration,
}

impl When {
    /// The moment, counted from now; `None` if it is not ahead.
    pub(crate) fn due(self) -> Result<Option<Due>, DelayTooLong> {
        let given = match self {
            Self::Now => return Ok(None),
            Self::After(delay) => delay,
            // Fails of a moment that has passed.
            Self::At(moment) => moment.duration_since(wall_clock()).unwrap_or_default(),
        };
        if given > DELAY_MAX {
            return Err(DelayTooLong { given });
        }
        Ok((!given.is_zero()).then(|| Due {
            at: Instant::now() + given,
            named: unix_time() + given,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_has_passed_is_now_and_one_too_far_is_an_error() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        for when in [
            When::Now,
            When::After(Duration::ZERO),
            When::At(SystemTime::UNIX_EPOCH),
        ] {
            assert_eq!(when.due(), Ok(None), "{when:?}");
        }
        for delay in [Duration::from_nanos(1), second, DELAY_MAX] {
            let due = When::After(delay).due().unwrap().unwrap();
            assert_eq!(due.at, now + delay);
        }
        let ahead = When::At(SystemTime::now() + 60 * second).due();
        let ahead = ahead.unwrap().unwrap().at - now;
        assert!(ahead <= 60 * second && ahead > 50 * second, "{ahead:?}");

        let given = DELAY_MAX + second;
        let refused = When::After(given).due().unwrap_err();
        assert_eq!(refused, DelayTooLong { given });
        assert_eq!(
            refused.to_string(),
            "delay: 31622401s, up to 31622400s is allowed"
        );
        assert!(When::After(Duration::MAX).due().is_err());
        assert!(When::At(SystemTime::now() + given + second).due().is_err());
    }
}
