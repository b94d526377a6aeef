//! The control line: what is said to those who serve a queue, beside the queue. That calls are
//! cancelled; how far the readers of streams are; questions, and that somebody watches:
//! [`Bus::control`](crate::Bus::control).
//!
//! Every instance that serves a queue has a control queue of its own, bound to one exchange under
//! the name of the served queue; whoever has something to say publishes there, and each of them
//! hears it, or to the control queue of one. Nothing depends on it: what is lost costs work that
//! nobody waits for, or an answer, and no more. Deadlines and claims stay the truth.

mod answers;
mod ask;
mod cancel;
mod cancels;
mod contract;
mod error;
mod held;
mod histogram;
mod line;
mod served;
mod verb;
mod watch;

pub use crate::job::RunningJob;
pub use ask::Control;
pub use contract::InstanceContract;
pub use error::ControlError;
pub use histogram::DurationHistogram;
pub use verb::{DrainOutcome, InstanceDrain, InstanceJobs, InstanceStats, MethodStats, Pong};
pub use watch::{CallWatch, WatchOptions, WatchedCall};

pub(crate) use answers::{AnswerRate, Answers};
pub(crate) use cancels::Cancels;
pub(crate) use contract::ServedContract;
pub(crate) use held::{Entered, HeldCalls};
pub(crate) use line::ControlLine;
pub(crate) use served::ServedCalls;
pub(crate) use watch::{CallReport, Watches};

use crate::presence::InstanceId;

/// The exchange, in the namespace of the bus, and what the names of control queues begin with.
pub(crate) const EXCHANGE: &str = "replybus.control";

/// The control queue of an instance, in the namespace of the bus. What is for one instance alone is
/// published there, through the default exchange.
pub(crate) fn control_queue(instance: InstanceId) -> String {
    format!("{EXCHANGE}.{instance}")
}

/// `true` of a control queue, told by its name beside that of the exchange on the broker.
pub(crate) fn is_control_queue(exchange: &str, queue: &str) -> bool {
    let rest = queue.strip_prefix(exchange);
    rest.is_some_and(|rest| rest.starts_with('.'))
}
