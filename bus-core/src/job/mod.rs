//! Jobs: commands that take long. In the order one is worked off: its message is settled while it
//! runs ([`held`]), and comes back now and then so that somebody looks after it ([`look`]); its
//! handler says how far it is ([`report`]), and whoever wants to know reads that ([`watch`]).
//!
//! A job is never held by its message alone or by its record alone. The message waits with the
//! broker for as long as the job is not done, so that it outlives Redis; the record says whether
//! somebody runs it, so that it is not run twice.

mod held;
mod look;
mod progress;
mod report;
mod running;
mod waiting;
mod watch;

pub use progress::Progress;
pub use running::RunningJob;
pub use watch::{ProgressUpdates, TicketStatus};

pub(crate) use held::Held;
pub(crate) use look::Look;
pub(crate) use report::{Reporter, Reports};
pub(crate) use running::{EnteredJob, RunningJobs};
pub(crate) use waiting::{Again, WaitingRoom};
pub(crate) use watch::Watch;
