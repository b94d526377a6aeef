//! One thing that goes wrong in a simulation.

use std::{fmt, time::Duration};

/// One thing that goes wrong.
///
/// A step is a request to the broker or to the store, in the order in which a process makes them,
/// from 1 on, through all its lives: a publish, a settlement, a claim, a reply. A process is named by
/// its number, in the order in which they were added, from 0 on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The process is killed: with all its tasks and connections, in the middle of whatever it does.
    Crash {
        /// The process.
        process: usize,
        /// The step.
        step: u32,
        /// It is killed when the step was taken, and not before.
        taken: bool,
        /// The time until it is started again.
        down: Duration,
    },
    /// The process stands still, with all its threads and clocks, as by `SIGSTOP`.
    Pause {
        /// The process.
        process: usize,
        /// The step after which it does.
        step: u32,
        /// For how long.
        pause: Duration,
    },
    /// The connection of the process to the broker is cut.
    Cut {
        /// The process.
        process: usize,
        /// The step, of those that go to the broker: the first from this one on.
        step: u32,
        /// The broker had got it, but its answer is lost.
        taken: bool,
        /// The time until there is a connection again.
        down: Duration,
    },
    /// A request to the store, or the answer to it, is lost.
    LoseStoreStep {
        /// The process.
        process: usize,
        /// The step, of those that go to the store: the first from this one on.
        step: u32,
        /// The store has carried it out.
        taken: bool,
    },
    /// The broker has a message, and its confirm never comes.
    LoseConfirm {
        /// The process.
        process: usize,
        /// The step, of those that are publishes: the first from this one on.
        step: u32,
    },
    /// A message comes to its queue twice.
    Duplicate {
        /// The process.
        process: usize,
        /// The step, of those that are publishes: the first from this one on.
        step: u32,
    },
    /// A request is late. One to the store is overtaken by others; one to the broker holds up what
    /// follows on its channel.
    Delay {
        /// The process.
        process: usize,
        /// The step.
        step: u32,
        /// By how much.
        by: Duration,
    },
    /// The broker restarts. All connections are cut.
    RestartBroker {
        /// When.
        at: Duration,
        /// The time that it takes.
        down: Duration,
        /// It has its queues afterwards.
        keeps_data: bool,
    },
    /// The store restarts.
    RestartStore {
        /// When.
        at: Duration,
        /// The time that it takes.
        down: Duration,
        /// It has its data afterwards.
        keeps_data: bool,
    },
    /// The wall clock of the process is wrong, by so many milliseconds.
    Clock {
        /// The process.
        process: usize,
        /// The difference.
        off_by: i64,
    },
}

impl Fault {
    /// The process that is hit, and from which of its steps on.
    pub(crate) fn step(&self) -> Option<(usize, u32)> {
        match *self {
            Self::Crash { process, step, .. }
            | Self::Pause { process, step, .. }
            | Self::Cut { process, step, .. }
            | Self::LoseStoreStep { process, step, .. }
            | Self::LoseConfirm { process, step }
            | Self::Duplicate { process, step }
            | Self::Delay { process, step, .. } => Some((process, step)),
            Self::RestartBroker { .. } | Self::RestartStore { .. } | Self::Clock { .. } => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = |taken: bool| if taken { "after" } else { "before" };
        match self {
            Self::Crash {
                process,
                step,
                taken,
                down,
            } => {
                let point = point(*taken);
                write!(
                    f,
                    "process {process} is killed {point} its step {step}, for {down:?}"
                )
            }
            Self::Pause {
                process,
                step,
                pause,
            } => {
                write!(
                    f,
                    "process {process} stands still after its step {step}, for {pause:?}"
                )
            }
            Self::Cut {
                process,
                step,
                taken,
                down,
            } => {
                let point = point(*taken);
                write!(
                    f,
                    "process {process} loses the broker {point} its step {step}, for {down:?}"
                )
            }
            Self::LoseStoreStep {
                process,
                step,
                taken: true,
            } => {
                write!(
                    f,
                    "process {process} gets no answer to its step {step} to the store"
                )
            }
            Self::LoseStoreStep {
                process,
                step,
                taken: false,
            } => {
                write!(f, "the store does not get step {step} of process {process}")
            }
            Self::LoseConfirm { process, step } => {
                write!(f, "process {process} gets no confirm of its step {step}")
            }
            Self::Duplicate { process, step } => {
                write!(
                    f,
                    "what process {process} publishes as its step {step} comes twice"
                )
            }
            Self::Delay { process, step, by } => {
                write!(f, "step {step} of process {process} is late by {by:?}")
            }
            Self::RestartBroker {
                at,
                down,
                keeps_data,
            } => {
                let data = if *keeps_data { "with" } else { "without" };
                write!(
                    f,
                    "the broker restarts {data} its queues at {at:?}, within {down:?}"
                )
            }
            Self::RestartStore {
                at,
                down,
                keeps_data,
            } => {
                let data = if *keeps_data { "with" } else { "without" };
                write!(
                    f,
                    "the store restarts {data} its data at {at:?}, within {down:?}"
                )
            }
            Self::Clock { process, off_by } => {
                write!(f, "the clock of process {process} is off by {off_by} ms")
            }
        }
    }
}
