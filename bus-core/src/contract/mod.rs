//! The agreement between a caller and a service: the queue, the methods and their defaults, the
//! types a method may return, and the rules that names and keys follow.
//!
//! `#[queue_handler]` writes a contract as a constant, and a [`LearnedContract`] is put together by a
//! program; nothing here is read from the network.

mod cache;
mod chance;
mod clock;
mod described;
mod fingerprint;
mod learned;
mod names;
mod outcome;
mod priority;
mod queue;
mod retry;
mod service;

pub use cache::CachePolicy;
pub use fingerprint::{Fingerprint, FingerprintKind, InvalidFingerprint};
pub use learned::LearnedContract;
pub use outcome::{Never, Outcome};
pub use priority::Priority;
pub use queue::QueueType;
pub use retry::RetryPolicy;
pub use service::{MethodContract, MethodKind, ServeDefaults, ServiceContract};

#[doc(hidden)]
pub use described::Described;

pub(crate) use chance::{id_of_now, random_id};
pub(crate) use clock::{unix_time, wall_clock};
pub(crate) use names::{check_key, check_name};
