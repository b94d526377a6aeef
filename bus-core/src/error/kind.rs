//! The kinds of failure of a call, and what each says of the work.

use super::FaultCode;

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
    /// It was never on its way to a service: the request can't be encoded, is too large (by our
    /// limits or the broker's), or has a bad option.
    NotSent,
    /// The service's queue does not exist: it never ran here, or under another name.
    Unroutable,
    /// The service's queue exists, and nobody serves it: no consumer has it on the broker, and no
    /// instance has a [record](crate::Bus::instances). A call can
    /// [wait](crate::Call::wait_for_service) instead.
    ///
    /// It will not be run any more: a command without an idempotency key is withdrawn in its record,
    /// anything else is noted for whoever begins to serve the queue. Nor was it, unless
    /// [`may_have_executed`](crate::CallFailure::may_have_executed) is `true`: of a command that can be
    /// put off ([`RetryLater`](crate::RetryLater)), which may have run and wait for its next run; of a
    /// query or a command with a record of its own that was made a while before it was given up, or
    /// that an instance gave back; and where too many are noted, or the store notes none.
    NoConsumer,
    /// No reply came in time.
    TimedOut,
    /// Its time had passed before the handler started.
    Expired,
    /// The queue is full, the broker or the service sheds load, or too many calls are waiting. A
    /// service whose queue is behind says [when](crate::CallFailure::retry_after) to try again.
    Overloaded,
    /// The service has no such method.
    UnknownMethod,
    /// The service could not read the request.
    BadRequest,
    /// The service could not read the arguments, and has another contract of the method:
    /// [`contract_mismatch`](crate::CallFailure::contract_mismatch) says which. Deploy the one or the
    /// other; it is not worth trying again before.
    ContractMismatch,
    /// The reply can't be sent or read.
    BadReply,
    /// The handler panicked.
    Panicked,
    /// There was no connection to the broker for all the time given, or the bus was closed.
    Disconnected,
    /// The service does not do this for this caller, or the broker does not let this user send to
    /// the service.
    Denied,
    /// The idempotency key was used for another request.
    KeyConflict,
    /// It was started before and never ended; it was started as often as is allowed, or cancelled.
    Interrupted,
    /// The command was started, and its worker was lost: its lease has lapsed, and no time is left
    /// for another to run it.
    WorkerLost,
    /// It was cancelled.
    Cancelled,
    /// Its service failed lately, and a [breaker](crate::client::BreakerLayer) of this process did not
    /// let it pass; it says [when](crate::CallFailure::retry_after) to try again, where that is known.
    CircuitOpen,
    /// A layer, of the client or the server, failed.
    Layer,
}

impl FailureKind {
    /// One word for it, for metrics and logs.
    ///
    /// ```
    /// assert_eq!(replybus::FailureKind::TimedOut.as_str(), "timed_out");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSent => "not_sent",
            Self::Unroutable => "unroutable",
            Self::NoConsumer => "no_consumer",
            Self::TimedOut => "timed_out",
            Self::Expired => "expired",
            Self::Overloaded => "overloaded",
            Self::UnknownMethod => "unknown_method",
            Self::BadRequest => "bad_request",
            Self::ContractMismatch => "contract_mismatch",
            Self::BadReply => "bad_reply",
            Self::Panicked => "panicked",
            Self::Disconnected => "disconnected",
            Self::Denied => "denied",
            Self::KeyConflict => "key_conflict",
            Self::Interrupted => "interrupted",
            Self::WorkerLost => "worker_lost",
            Self::Cancelled => "cancelled",
            Self::CircuitOpen => "circuit_open",
            Self::Layer => "layer",
        }
    }

    /// The reason, as a message gives it after "failed: ".
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::NotSent => "it was not sent",
            Self::Unroutable => "no queue: the service has never been served under this name",
            Self::NoConsumer => "nobody serves the queue",
            Self::TimedOut => "no reply in time",
            Self::Expired => "it expired before it was started",
            Self::Overloaded => "refused for load",
            Self::UnknownMethod => "the service has no such method",
            Self::BadRequest => "the service could not read the request",
            Self::ContractMismatch => "the service has another contract",
            Self::BadReply => "the reply can't be sent or read",
            Self::Panicked => "the handler panicked",
            Self::Disconnected => "no connection to the broker",
            Self::Denied => "denied",
            Self::KeyConflict => "its idempotency key was used for another request",
            Self::Interrupted => "it was started and never ended",
            Self::WorkerLost => "its worker was lost, and its time has passed",
            Self::Cancelled => "it was cancelled",
            Self::CircuitOpen => "its service failed lately, and is not asked for a while",
            Self::Layer => "a layer failed",
        }
    }

    pub(crate) const fn may_have_executed(self) -> bool {
        match self {
            Self::NotSent
            | Self::Unroutable
            | Self::NoConsumer
            | Self::Expired
            | Self::Overloaded
            | Self::UnknownMethod
            | Self::BadRequest
            | Self::ContractMismatch
            | Self::Denied
            | Self::KeyConflict
            | Self::Cancelled
            | Self::CircuitOpen => false,
            Self::TimedOut
            | Self::BadReply
            | Self::Panicked
            | Self::Disconnected
            | Self::Interrupted
            | Self::WorkerLost
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
            FaultCode::WorkerLost => Self::WorkerLost,
            FaultCode::Cancelled => Self::Cancelled,
            FaultCode::Failed => Self::Layer,
        }
    }
}
