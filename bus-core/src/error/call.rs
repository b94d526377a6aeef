//! The errors of a call: why it has no answer, and whether its work can have been done all the
//! same.

use super::{BoxError, Fault, FaultCode};
use crate::call_id::CallId;
use std::{borrow::Cow, fmt, time::Duration};

/// The error of a call: the handler's own, or a failure of the way to it and back.
///
/// These two are all there are: what else can happen is a [`FailureKind`].
///
/// ```
/// use replybus::{Bus, CallError, FailureKind, queue_handler};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
/// #[error("{missing} more are needed")]
/// pub struct Overdrawn { missing: u64 }
///
/// #[queue_handler("account.requests")]
/// pub trait Accounts {
///     async fn withdraw(&self, amount: u64) -> Result<u64, Overdrawn>;
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let accounts = AccountsClient::new(&Bus::in_memory());
/// match accounts.withdraw(500).await {
///     Ok(left) => println!("{left} left"),
///     Err(CallError::Handler(Overdrawn { missing })) => println!("{missing} more are needed"),
///     Err(CallError::Bus(failure)) if !failure.may_have_executed() => {
///         // Surely not done: it may be called again, without an idempotency key too.
///         assert_eq!(failure.kind(), FailureKind::Unroutable); // nobody serves it here
///     }
///     Err(CallError::Bus(failure)) => println!("it may have been done: {failure}"),
/// }
/// # }
/// ```
#[derive(Debug)]
pub enum CallError<E> {
    /// The handler ran and returned its own error.
    Handler(E),
    /// There is no answer of the handler's.
    Bus(CallFailure),
}

impl<E> CallError<E> {
    /// True if the work can have been done, wholly or in part. `false` means surely not: the call
    /// may be repeated without an idempotency key. A handler's own error counts as done.
    ///
    /// ```
    /// use replybus::CallError;
    ///
    /// fn may_try_again<E>(error: &CallError<E>, is_query: bool) -> bool {
    ///     is_query || !error.may_have_executed()
    /// }
    /// # assert!(!may_try_again(&CallError::Handler("no"), false));
    /// ```
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        match self {
            Self::Handler(_) => true,
            Self::Bus(failure) => failure.may_have_executed(),
        }
    }

    /// The kind of failure, unless the handler itself returned an error.
    #[must_use]
    pub fn kind(&self) -> Option<FailureKind> {
        match self {
            Self::Handler(_) => None,
            Self::Bus(failure) => Some(failure.kind()),
        }
    }

    /// The handler's own error, if that is what it is.
    #[must_use]
    pub fn handler(&self) -> Option<&E> {
        match self {
            Self::Handler(error) => Some(error),
            Self::Bus(_) => None,
        }
    }

    /// True if the time given ran out, before or after the handler started.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(
            self.kind(),
            Some(FailureKind::TimedOut | FailureKind::Expired)
        )
    }
}

impl<E> From<CallFailure> for CallError<E> {
    fn from(failure: CallFailure) -> Self {
        Self::Bus(failure)
    }
}

impl<E: fmt::Display> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handler(error) => error.fmt(f),
            Self::Bus(failure) => failure.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Handler(error) => error.source(),
            Self::Bus(failure) => failure.source(),
        }
    }
}

/// The failure of a call that got no answer of the handler's: what happened, to which call, after
/// how long.
///
/// Its message names all of that; the cause, if there is one, is its
/// [source](std::error::Error::source).
///
/// ```
/// use replybus::{Bus, CallError, FailureKind, Never, queue_handler};
/// use std::time::Duration;
///
/// #[queue_handler("clock.requests", timeout = "2s")]
/// pub trait Clock {
///     #[query]
///     async fn now(&self) -> Result<u64, Never>;
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = ClockClient::new(&Bus::in_memory());
/// let Err(CallError::Bus(failure)) = clock.now().await else { panic!("nobody serves it") };
/// assert_eq!((failure.service(), failure.method()), ("Clock", "now"));
/// assert_eq!(failure.kind(), FailureKind::Unroutable);
/// assert_eq!(failure.timeout(), Duration::from_secs(2));
/// assert!(failure.elapsed() < failure.timeout());
/// assert!(failure.to_string().contains(&failure.call_id().to_string()));
/// # }
/// ```
pub struct CallFailure(Box<Inner>);

struct Inner {
    kind: FailureKind,
    may_have_executed: bool,
    call: FailedCall,
    source: Option<BoxError>,
}

/// The call that failed, as a failure names it.
#[derive(Debug)]
pub(crate) struct FailedCall {
    pub(crate) service: Cow<'static, str>,
    pub(crate) method: Cow<'static, str>,
    pub(crate) id: CallId,
    pub(crate) elapsed: Duration,
    pub(crate) timeout: Duration,
}

/// The kind of a failure: what happened to a call that got no answer of the handler's.
///
/// ```
/// use replybus::FailureKind;
///
/// /// The status that a web page answers with.
/// fn status(kind: FailureKind) -> u16 {
///     match kind {
///         FailureKind::Overloaded => 503,
///         FailureKind::TimedOut | FailureKind::Expired => 504,
///         FailureKind::Denied => 403,
///         FailureKind::KeyConflict => 409,
///         _ => 502, // more kinds may come
///     }
/// }
/// # assert_eq!(status(FailureKind::BadReply), 502);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// It never left this process: the request can't be encoded, is too large, or has a bad option.
    NotSent,
    /// The service's queue does not exist: it never ran here, or under another name.
    Unroutable,
    /// No reply came in time.
    TimedOut,
    /// Its time had passed before the handler started.
    Expired,
    /// The queue is full, the broker or the service sheds load, or too many calls are waiting.
    Overloaded,
    /// The service has no such method.
    UnknownMethod,
    /// The service could not read the request.
    BadRequest,
    /// The reply can't be sent or read.
    BadReply,
    /// The handler panicked.
    Panicked,
    /// There was no connection to the broker for all the time given, or the bus was closed.
    Disconnected,
    /// The service does not do this for this caller.
    Denied,
    /// The idempotency key was used for another request.
    KeyConflict,
    /// The command was started before and never ended; its time has passed, or it was started as
    /// often as is allowed.
    Interrupted,
    /// A layer, of the client or the server, failed.
    Layer,
}

impl FailureKind {
    /// The reason, as a message gives it after "failed: ".
    const fn reason(self) -> &'static str {
        match self {
            Self::NotSent => "it was not sent",
            Self::Unroutable => "no queue: the service has never been served under this name",
            Self::TimedOut => "no reply in time",
            Self::Expired => "it expired before it was started",
            Self::Overloaded => "refused for load",
            Self::UnknownMethod => "the service has no such method",
            Self::BadRequest => "the service could not read the request",
            Self::BadReply => "the reply can't be sent or read",
            Self::Panicked => "the handler panicked",
            Self::Disconnected => "no connection to the broker",
            Self::Denied => "denied",
            Self::KeyConflict => "its idempotency key was used for another request",
            Self::Interrupted => "it was started and never ended",
            Self::Layer => "a layer failed",
        }
    }

    const fn may_have_executed(self) -> bool {
        match self {
            Self::NotSent
            | Self::Unroutable
            | Self::Expired
            | Self::Overloaded
            | Self::UnknownMethod
            | Self::BadRequest
            | Self::Denied
            | Self::KeyConflict => false,
            Self::TimedOut
            | Self::BadReply
            | Self::Panicked
            | Self::Disconnected
            | Self::Interrupted
            | Self::Layer => true,
        }
    }
}

impl From<FaultCode> for FailureKind {
    /// The failure that a server's report stands for, seen from the caller.
    fn from(code: FaultCode) -> Self {
        match code {
            FaultCode::UnknownMethod => Self::UnknownMethod,
            FaultCode::BadRequest => Self::BadRequest,
            FaultCode::Expired => Self::Expired,
            FaultCode::Overloaded => Self::Overloaded,
            FaultCode::Denied => Self::Denied,
            FaultCode::KeyConflict => Self::KeyConflict,
            FaultCode::TimedOut => Self::TimedOut,
            FaultCode::Panicked => Self::Panicked,
            FaultCode::BadReply | FaultCode::Unknown => Self::BadReply,
            FaultCode::Interrupted => Self::Interrupted,
            FaultCode::Failed => Self::Layer,
        }
    }
}

impl CallFailure {
    /// A failure of `call`, of a kind which decides whether the work can have been done.
    pub(crate) fn new(kind: FailureKind, call: FailedCall) -> Self {
        Self(Box::new(Inner {
            kind,
            may_have_executed: kind.may_have_executed(),
            call,
            source: None,
        }))
    }

    /// The failure of `call` that a fault reported by the server stands for.
    pub(crate) fn from_fault(fault: Fault, call: FailedCall) -> Self {
        let mut failure = Self::new(fault.code.into(), call);
        failure.0.may_have_executed = fault.may_have_executed;
        failure.with_source(ServerSaid(fault.message))
    }

    /// Says that, against what the kind suggests, the work was surely not done.
    pub(crate) fn surely_not_executed(mut self) -> Self {
        self.0.may_have_executed = false;
        self
    }

    /// Says what a failure of one copy of a call means for the call: if there were others, one of
    /// them may have been executed.
    pub(crate) fn of_one_copy(mut self, repeated: bool) -> Self {
        self.0.may_have_executed |= repeated;
        self
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// True if the work can have been done, wholly or in part. `false` means surely not.
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        self.0.may_have_executed
    }

    /// The trait the call went through.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.call.service
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.0.call.method
    }

    /// The call's id.
    #[must_use]
    pub fn call_id(&self) -> CallId {
        self.0.call.id
    }

    /// Time from the start of the call, or of the wait on its ticket, to the failure.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.call.elapsed
    }

    /// Time that was given to the call, or to the wait on its ticket.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.0.call.timeout
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedCall {
            service,
            method,
            id,
            elapsed,
            timeout,
        } = &self.0.call;
        write!(f, "call {service}.{method} ({id}) failed")?;
        // One that was not sent took no time worth mentioning.
        if self.0.kind != FailureKind::NotSent {
            write!(f, " after {elapsed:.1?} of {timeout:?}")?;
        }
        write!(f, ": {}", self.0.kind.reason())
    }
}

impl fmt::Debug for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFailure")
            .field("kind", &self.0.kind)
            .field("may_have_executed", &self.0.may_have_executed)
            .field("call", &self.0.call)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for CallFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The server's own words about a fault.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ServerSaid(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: FailureKind) -> CallFailure {
        let call = FailedCall {
            service: "Accounts".into(),
            method: "balance".into(),
            id: CallId::from_bytes([1; 16]),
            elapsed: Duration::from_millis(5_003),
            timeout: Duration::from_secs(5),
        };
        CallFailure::new(kind, call)
    }

    #[test]
    fn a_message_names_the_call_the_times_and_the_reason() {
        let id = CallId::from_bytes([1; 16]);
        for (kind, message) in [
            (
                FailureKind::Disconnected,
                format!(
                    "call Accounts.balance ({id}) failed after 5.0s of 5s: no connection to the broker"
                ),
            ),
            (
                FailureKind::NotSent,
                format!("call Accounts.balance ({id}) failed: it was not sent"),
            ),
        ] {
            assert_eq!(failure(kind).to_string(), message);
        }
    }

    #[test]
    fn other_copies_may_have_been_executed() {
        let expired = || failure(FailureKind::Expired);
        assert!(!expired().of_one_copy(false).may_have_executed());
        assert!(expired().of_one_copy(true).may_have_executed());
        let lost = failure(FailureKind::Disconnected).surely_not_executed();
        assert!(lost.of_one_copy(true).may_have_executed());
    }
}
