//! Why letters could not be looked at, or not be put back.

use crate::{error::SetupError, transport::InspectError};

/// Dead letters could not be dealt with. Those that were not are in their queue as before; what was
/// put back last may be there, too, and is recognised if it is put back again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// There is no such queue: nobody has served its queue, or subscribed as its group, on this
    /// broker under this name and namespace.
    #[error("there is no queue {queue:?}")]
    #[non_exhaustive]
    NoQueue {
        /// The queue of the letters, on the broker.
        queue: String,
    },
    /// The queue that the letters come from takes no more: it is full, missing, or the broker does
    /// not let this user write to it. The letters that are left stay where they are.
    #[error("queue {queue:?} takes no letter: {reason}; {redriven} were put back before")]
    #[non_exhaustive]
    NotTaken {
        /// The queue that the letters come from, on the broker.
        queue: String,
        /// What the broker said.
        reason: String,
        /// The letters that were put back before.
        redriven: u64,
    },
    /// The broker can't be reached, does not answer, or refuses.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// A setting makes no sense.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// A letter that is not put back, and stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotRedriven {
    /// It can't be read: no service could do anything with it.
    #[error("it can't be read: {reason}")]
    #[non_exhaustive]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// A part of it was too large to be kept: it is another message now.
    #[error("it is not whole: {missing}")]
    #[non_exhaustive]
    Incomplete {
        /// What is missing, and what is there.
        missing: String,
    },
    /// It may have been done, by it or under its key, and that is no longer remembered. Put back it
    /// could be done twice: see [`may_run_twice`](super::Redrive::may_run_twice).
    #[error(
        "it may have been done, and that is no longer remembered: put back it could be done twice"
    )]
    Forgotten,
}
