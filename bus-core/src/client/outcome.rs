//! The outcome of a call, as the layers around it tell it apart.

use super::{CallResponse, failed};
use crate::{
    error::{BoxError, FailureKind},
    wire::ReplyFrame,
};

/// The outcome of a call, told by what came out of the layers further in: what a layer that
/// repeats, counts or breaks needs to know, without the value itself.
///
/// A policy for tower's `Retry` (its feature `retry`), which repeats what surely was not run:
///
/// ```
/// use replybus::{
///     FailureKind,
///     client::{CallOutcome, CallRequest, CallResponse},
///     contract::MethodKind,
///     error::BoxError,
/// };
///
/// fn is_to_be_repeated(request: &CallRequest, result: &Result<CallResponse, BoxError>) -> bool {
///     match CallOutcome::of(result) {
///         CallOutcome::Failed { kind: FailureKind::Denied | FailureKind::BadRequest, .. } => false,
///         CallOutcome::Failed { may_have_executed, .. } => {
///             request.kind() == MethodKind::Query || !may_have_executed
///         }
///         _ => false, // the handler has answered
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallOutcome {
    /// The handler returned a value.
    Value,
    /// The handler returned its own error.
    HandlerError,
    /// The broker has the request; nobody waits for its reply here.
    Accepted,
    /// There is no answer of the handler's.
    #[non_exhaustive]
    Failed {
        /// The kind of failure.
        kind: FailureKind,
        /// True if the work can have been done, wholly or in part.
        may_have_executed: bool,
    },
}

impl CallOutcome {
    /// The outcome that a result of the [`ClientService`](super::ClientService) stands for.
    #[must_use]
    pub fn of(result: &Result<CallResponse, BoxError>) -> Self {
        match result {
            Ok(response) => match response.reply() {
                Some((_, ReplyFrame::Ok(_))) => Self::Value,
                Some((_, ReplyFrame::Handler(_))) => Self::HandlerError,
                // Of a layer that answers so; of a service it is an error already.
                Some((_, ReplyFrame::Fault(fault))) => Self::Failed {
                    kind: fault.code.into(),
                    may_have_executed: fault.may_have_executed || response.is_repeated(),
                },
                None => Self::Accepted,
            },
            Err(error) => {
                let (kind, may_have_executed) = failed(error);
                Self::Failed {
                    kind,
                    may_have_executed,
                }
            }
        }
    }

    /// One word for it, for metrics and logs: `ok`, `handler`, `accepted`, or the
    /// [kind](FailureKind::as_str) of failure.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Value => "ok",
            Self::HandlerError => "handler",
            Self::Accepted => "accepted",
            Self::Failed { kind, .. } => kind.as_str(),
        }
    }
}
