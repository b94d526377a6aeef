//! The record of a command, as others than its run see it.

use bytes::Bytes;
use std::{fmt, time::Duration};

/// The state of a command, as its claim's record has it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandRecord {
    /// It was started, and did not end yet.
    Running {
        /// Counts the runs that were started.
        attempt: u32,
        /// The time for which the claim still holds. Zero if nobody holds it: the run was given up,
        /// or its worker died.
        lease_left: Duration,
        /// What the run noted last of how far it is.
        progress: Option<Bytes>,
    },
    /// It ended; this is the encoded reply.
    Done(Bytes),
}

impl fmt::Debug for CommandRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running {
                attempt,
                lease_left,
                progress,
            } => f
                .debug_struct("Running")
                .field("attempt", attempt)
                .field("lease_left", lease_left)
                .field("progress_bytes", &progress.as_ref().map(Bytes::len))
                .finish(),
            Self::Done(frame) => write!(f, "Done({} bytes)", frame.len()),
        }
    }
}
