//! The agreement between a caller and a service: the queue, the methods and their defaults, the
//! types a method may return, and the rules that names and keys follow.
//!
//! `#[queue_handler]` writes a contract as a constant; nothing here is read from the network.

mod clock;
mod names;
mod outcome;
mod priority;
mod queue;
mod retry;
mod service;

pub use outcome::{Never, Outcome};
pub use priority::Priority;
pub use queue::QueueType;
pub use retry::RetryPolicy;
pub use service::{MethodContract, MethodKind, ServeDefaults, ServiceContract};

pub(crate) use clock::unix_time;
pub(crate) use names::{check_key, check_name};
