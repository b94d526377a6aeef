//! Errors, for three readers: who makes a call, who starts a bus, and the wire.

mod call;
mod failure;
mod fault;
mod kind;
mod setup;

pub use call::CallError;
pub(crate) use failure::FailedCall;
pub use failure::{CallFailure, ContractMismatch};
pub use fault::{Fault, FaultCode};
pub use kind::FailureKind;
pub use setup::SetupError;

/// An error of any type, as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
