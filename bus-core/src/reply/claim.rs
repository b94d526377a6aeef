//! The right to run a command: asked for, kept, given up, and taken away before it was given.

use crate::{
    limits::{CLAIM_LEASE, UNKEYED_RETENTION},
    message::Text,
};
use bytes::Bytes;
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// The right to run a command, as it is asked for, kept and given up.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Claim {
    /// Queue, method and idempotency key (or call id).
    pub key: Text,
    /// Tells requests under one key apart: a digest of the encoded arguments and their encoding.
    pub fingerprint: [u8; 16],
    /// Names this run of this process, so that a run that was given up can't overwrite its
    /// successor.
    pub owner: Text,
    /// The time the claim holds without being renewed. It lapses only if somebody else has asked for
    /// it for half of that as well, from when it should have been renewed: while the store stood
    /// still nobody could. With none it holds nobody off, and counts.
    pub lease: Duration,
    /// The time the outcome is remembered.
    pub retention: Duration,
    /// Another had it when this one asked before. If a store has forgotten that meanwhile, so that
    /// it knows of nobody, it takes the claim as held, by whoever renews it next, until its lease is
    /// over: who has it may still run.
    pub waiting: bool,
    /// The moment until which the record is kept at least, and from which on the claim is not given
    /// to anybody unless there is a record of it. By the clock of the store.
    pub until: Option<SystemTime>,
}

impl Claim {
    /// A claim with the lease [`CLAIM_LEASE`] whose outcome is remembered for
    /// [`UNKEYED_RETENTION`].
    #[must_use]
    pub fn new(key: impl Into<Text>, fingerprint: [u8; 16], owner: impl Into<Text>) -> Self {
        Self {
            key: key.into(),
            fingerprint,
            owner: owner.into(),
            lease: CLAIM_LEASE,
            retention: UNKEYED_RETENTION,
            waiting: false,
            until: None,
        }
    }

    /// Sets how long the claim holds without being renewed.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Sets how long the outcome is remembered.
    #[must_use]
    pub fn retention(self, retention: Duration) -> Self {
        Self { retention, ..self }
    }

    /// Says that another had it when this one asked before.
    #[must_use]
    pub fn waiting(self) -> Self {
        let waiting = true;
        Self { waiting, ..self }
    }

    /// Sets the moment until which the record is kept at least, and from which on the claim is not
    /// given unless there is a record of it. So a record that is forgotten is not an invitation to
    /// run the command again.
    #[must_use]
    pub fn until(self, until: SystemTime) -> Self {
        let until = Some(until);
        Self { until, ..self }
    }
}

// The key holds the caller's idempotency key, which may be a secret of its own.
impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("key_bytes", &self.key.len())
            .field("owner", &self.owner)
            .field("lease", &self.lease)
            .field("retention", &self.retention)
            .field("waiting", &self.waiting)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// The answer to a claim.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimed {
    /// Run it. `attempt` is 1 the first time, and higher after runs that did not end.
    Run {
        /// Counts the runs that were started.
        attempt: u32,
    },
    /// It ran before; this is the encoded reply.
    Done(Bytes),
    /// It is running now; ask again in a while.
    Running,
    /// The key was used for a request with another fingerprint.
    Conflict,
    /// Its time is over, and nothing is known of it, any more or yet. It is not to be run.
    Expired,
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run { attempt } => f.debug_struct("Run").field("attempt", attempt).finish(),
            Self::Done(frame) => write!(f, "Done({} bytes)", frame.len()),
            Self::Running => f.write_str("Running"),
            Self::Conflict => f.write_str("Conflict"),
            Self::Expired => f.write_str("Expired"),
        }
    }
}

/// What is asked of a store so that a command is never started, unless it was.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancel {
    /// The key of the command's claim.
    pub key: Text,
    /// The time for which that is remembered.
    pub retention: Duration,
    /// The outcome of a command that was never started, encoded.
    pub never_started: Bytes,
    /// The outcome of one that was, and came to none, and is started no more.
    pub interrupted: Bytes,
}

impl Cancel {
    /// Cancels the command of this claim, with what it came to then.
    #[must_use]
    pub fn new(
        key: impl Into<Text>,
        retention: Duration,
        never_started: Bytes,
        interrupted: Bytes,
    ) -> Self {
        Self {
            key: key.into(),
            retention,
            never_started,
            interrupted,
        }
    }
}

// As a claim's: the key may be a secret.
impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel")
            .field("key_bytes", &self.key.len())
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

/// The answer to a [`Cancel`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// It was not started, and will not be: whoever asks for its claim is given the outcome that
    /// came with the question.
    NeverStarted,
    /// It is running, or its worker died a moment ago; it is not begun anew.
    Running,
    /// This is the outcome, now if not before.
    Done(Bytes),
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverStarted => f.write_str("NeverStarted"),
            Self::Running => f.write_str("Running"),
            Self::Done(frame) => write!(f, "Done({} bytes)", frame.len()),
        }
    }
}
