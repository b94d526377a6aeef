//! Why a call has no answer, and whether its work can have been done all the same.

use super::{BoxError, Fault, FaultCode};
use crate::call_id::CallId;
use std::{borrow::Cow, fmt, time::Duration};

/// A call failed: the handler said no, or the way to it and back did.
#[derive(Debug)]
pub enum CallError<E> {
    /// The handler ran and returned its own error.
    Handler(E),
    /// There is no answer of the handler's.
    Bus(CallFailure),
}

impl<E> CallError<E> {
    /// Whether the work can have been done, wholly or in part. `false` means surely not: the call
    /// may be repeated without an idempotency key. A handler's own error counts as done.
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

    /// The handler's own error.
    #[must_use]
    pub fn handler(&self) -> Option<&E> {
        match self {
            Self::Handler(error) => Some(error),
            Self::Bus(_) => None,
        }
    }

    /// Whether the budget ran out, before or after the handler started.
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

/// A call that got no answer of the handler's: what happened, to which call, after how long.
pub struct CallFailure(Box<Inner>);

struct Inner {
    kind: FailureKind,
    may_have_executed: bool,
    service: Cow<'static, str>,
    method: Cow<'static, str>,
    call_id: Option<CallId>,
    elapsed: Duration,
    budget: Duration,
    source: Option<BoxError>,
}

/// What happened to a call that got no answer of the handler's.
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
    /// There was no connection to the broker for the whole budget, or the bus was closed.
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
    const fn text(self) -> &'static str {
        match self {
            Self::NotSent => "was not sent",
            Self::Unroutable => {
                "reached no queue: the service has never been served under this name"
            }
            Self::TimedOut => "got no reply in time",
            Self::Expired => "expired before it was started",
            Self::Overloaded => "was refused for load",
            Self::UnknownMethod => "names a method the service does not have",
            Self::BadRequest => "could not be read by the service",
            Self::BadReply => "got a reply that can't be sent or read",
            Self::Panicked => "made its handler panic",
            Self::Disconnected => "found no connection",
            Self::Denied => "was denied",
            Self::KeyConflict => "has an idempotency key that was used for another request",
            Self::Interrupted => "was started and never ended",
            Self::Layer => "failed in a layer",
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

impl CallFailure {
    /// A failure of `kind`, which decides whether the work can have been done.
    pub(crate) fn new(
        kind: FailureKind,
        service: impl Into<Cow<'static, str>>,
        method: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            kind,
            may_have_executed: kind.may_have_executed(),
            service: service.into(),
            method: method.into(),
            call_id: None,
            elapsed: Duration::ZERO,
            budget: Duration::ZERO,
            source: None,
        }))
    }

    /// The failure that a fault reported by the server stands for.
    pub(crate) fn from_fault(fault: Fault) -> Self {
        let kind = match fault.code {
            FaultCode::UnknownMethod => FailureKind::UnknownMethod,
            FaultCode::BadRequest => FailureKind::BadRequest,
            FaultCode::Expired => FailureKind::Expired,
            FaultCode::Overloaded => FailureKind::Overloaded,
            FaultCode::Denied => FailureKind::Denied,
            FaultCode::KeyConflict => FailureKind::KeyConflict,
            FaultCode::TimedOut => FailureKind::TimedOut,
            FaultCode::Panicked => FailureKind::Panicked,
            FaultCode::BadReply | FaultCode::Unknown => FailureKind::BadReply,
            FaultCode::Interrupted => FailureKind::Interrupted,
            FaultCode::Failed => FailureKind::Layer,
        };
        let mut failure = Self::new(kind, "", "");
        failure.0.may_have_executed = fault.may_have_executed;
        failure.with_source(ServerSaid(fault.message))
    }

    /// Says that, against what the kind suggests, the work was surely not done.
    pub(crate) fn surely_not_executed(mut self) -> Self {
        self.0.may_have_executed = false;
        self
    }

    /// Says that, against what the kind suggests, the work can have been done.
    pub(crate) fn may_have_been_executed(mut self) -> Self {
        self.0.may_have_executed = true;
        self
    }

    /// What a failure of one copy of a call says of the call: if there were others, one of them
    /// may have been executed.
    pub(crate) fn of_one_copy(self, repeated: bool) -> Self {
        if repeated {
            self.may_have_been_executed()
        } else {
            self
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Names what was called.
    pub(crate) fn named(
        mut self,
        service: impl Into<Cow<'static, str>>,
        method: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.0.service = service.into();
        self.0.method = method.into();
        self
    }

    /// Adds what only the caller's end knows.
    pub(crate) fn about(mut self, call_id: CallId, elapsed: Duration, budget: Duration) -> Self {
        self.0.call_id = Some(call_id);
        self.0.elapsed = elapsed;
        self.0.budget = budget;
        self
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// Whether the work can have been done, wholly or in part. `false` means surely not.
    #[must_use]
    pub fn may_have_executed(&self) -> bool {
        self.0.may_have_executed
    }

    /// The trait the call went through.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.0.method
    }

    /// The call's id; `None` if it failed before it had one.
    #[must_use]
    pub fn call_id(&self) -> Option<CallId> {
        self.0.call_id
    }

    /// Time from the start of the call to the failure.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// Time the call was given.
    #[must_use]
    pub fn budget(&self) -> Duration {
        self.0.budget
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        write!(f, "call {}.{}", inner.service, inner.method)?;
        if let Some(id) = inner.call_id {
            write!(f, " ({id})")?;
        }
        write!(f, " {}", inner.kind.text())?;
        if inner.call_id.is_some() {
            write!(f, ", after {:?} of {:?}", inner.elapsed, inner.budget)?;
        }
        Ok(())
    }
}

impl fmt::Debug for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.debug_struct("CallFailure")
            .field("kind", &inner.kind)
            .field("may_have_executed", &inner.may_have_executed)
            .field("service", &inner.service)
            .field("method", &inner.method)
            .field("call_id", &inner.call_id)
            .field("elapsed", &inner.elapsed)
            .field("budget", &inner.budget)
            .field("source", &inner.source)
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
