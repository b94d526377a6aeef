//! Errors, for three readers: who makes a call, who starts a bus, and the wire.

mod call;
mod fault;
mod setup;

pub(crate) use call::FailedCall;
pub use call::{CallError, CallFailure, FailureKind};
pub use fault::{Fault, FaultCode};
pub use setup::SetupError;

/// An error of any type, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
