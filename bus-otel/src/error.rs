//! Why traces are not exported.

use replybus::trace::AlreadyInstalled;

/// Traces can't be exported as it was asked. No message repeats an address or a header: they may hold
/// a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// A variable of the environment has a value that is none of those allowed.
    #[error("{variable}: {allowed}")]
    #[non_exhaustive]
    Variable {
        /// Its name.
        variable: &'static str,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The address of the collector can't be used.
    #[error("the address of the collector: {reason}")]
    #[non_exhaustive]
    Endpoint {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The exporter can't be made.
    #[error("the exporter can't be made: {reason}")]
    #[non_exhaustive]
    Exporter {
        /// What it says.
        reason: String,
    },
    /// Another tracer is installed.
    #[error(transparent)]
    Installed(#[from] AlreadyInstalled),
}
