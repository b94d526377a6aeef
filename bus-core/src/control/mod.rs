//! The control line: what is said to those who serve a queue, beside the queue. Now: that calls
//! are cancelled.
//!
//! Everybody who serves a queue has a control queue of its own, bound to one exchange under the
//! name of the served queue; whoever has something to say publishes there, and each of them hears
//! it. Nothing depends on it: what is lost costs work that nobody waits for, and no more. Deadlines
//! and claims stay the truth.

mod cancel;
mod cancels;
mod held;
mod line;

pub(crate) use cancels::Cancels;
pub(crate) use held::Entered;
pub(crate) use line::ControlLine;

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
