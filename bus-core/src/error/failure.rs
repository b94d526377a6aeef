//! The failure of a call: why it has no answer, and whether its work can have been done all the
//! same.

use super::{BoxError, FailureKind, Fault};
use crate::{call_id::CallId, contract::Fingerprint};
use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

/// The failure of a call that got no answer of the handler's: what happened, to which call, after
/// how long.
///
/// Its message names all of that, with the cause if there is one. So the cause is no source of it,
/// lest a report says it twice: it is had by [`cause`](Self::cause), and its own source is the
/// failure's. Two failures are equal if they are of one call and say the same; a clone has the same
/// cause.
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
#[derive(Clone)]
pub struct CallFailure(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: FailureKind,
    may_have_executed: bool,
    retry_after: Option<Duration>,
    call: FailedCall,
    /// Shared by the copies of a failure.
    cause: Option<Arc<dyn Error + Send + Sync>>,
    mismatch: Option<ContractMismatch>,
}

/// Two contracts of one method, where a call failed of that; see
/// [`CallFailure::contract_mismatch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContractMismatch {
    /// That of the caller.
    pub caller: Fingerprint,
    /// That of the service.
    pub service: Fingerprint,
}

/// The call that failed, as a failure names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedCall {
    pub(crate) service: Cow<'static, str>,
    pub(crate) method: Cow<'static, str>,
    pub(crate) id: CallId,
    pub(crate) elapsed: Duration,
    pub(crate) timeout: Duration,
}

impl CallFailure {
    /// A failure of `call`, of a kind which decides whether the work can have been done.
    pub(crate) fn new(kind: FailureKind, call: FailedCall) -> Self {
        Self(Box::new(Inner {
            kind,
            may_have_executed: kind.may_have_executed(),
            retry_after: None,
            call,
            cause: None,
            mismatch: None,
        }))
    }

    /// The failure of `call` that a fault reported by the server stands for.
    pub(crate) fn from_fault(fault: Fault, call: FailedCall) -> Self {
        let mut failure = Self::new(fault.code.into(), call);
        failure.0.may_have_executed = fault.may_have_executed;
        failure.0.retry_after = fault.retry_after;
        failure.with_cause(ServerSaid(fault.message))
    }

    /// Says that arguments were not read by a service whose fingerprint of the method is this. It has
    /// another contract only if both are of one kind and differ.
    pub(crate) fn between(mut self, caller: Fingerprint, service: Fingerprint) -> Self {
        if self.0.kind == FailureKind::BadRequest && caller.differs_from(&service) {
            self.0.kind = FailureKind::ContractMismatch;
            self.0.mismatch = Some(ContractMismatch { caller, service });
        }
        self
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

    /// Says after what time it is worth trying again, if that is known.
    pub(crate) fn retrying_after(mut self, after: Option<Duration>) -> Self {
        self.0.retry_after = after;
        self
    }

    pub(crate) fn with_cause(mut self, cause: impl Into<BoxError>) -> Self {
        self.0.cause = Some(Arc::from(cause.into()));
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

    /// After what time it is worth trying again, by the word of a service that is
    /// [overloaded](FailureKind::Overloaded), by how much its queue was behind, or of a
    /// [circuit](FailureKind::CircuitOpen) that is open for so long.
    ///
    /// ```
    /// use replybus::{CallFailure, limits::RECONNECT_MIN};
    /// use std::time::Duration;
    ///
    /// /// How long a client waits before it asks again.
    /// fn pause(failure: &CallFailure) -> Duration {
    ///     failure.retry_after().unwrap_or(RECONNECT_MIN)
    /// }
    /// ```
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Both contracts of the method, of a call whose arguments the service could not read because
    /// they [differ](FailureKind::ContractMismatch).
    ///
    /// ```
    /// use replybus::{Bus, CallError, FailureKind, Never, queue_handler};
    ///
    /// mod old {
    ///     # use super::*;
    ///     #[queue_handler("greeter.requests")]
    ///     pub trait Greeter {
    ///         #[query]
    ///         async fn greet(&self, name: String) -> Result<String, Never>;
    ///     }
    /// }
    ///
    /// mod new {
    ///     # use super::*;
    ///     #[queue_handler("greeter.requests")]
    ///     pub trait Greeter {
    ///         #[query]
    ///         async fn greet(&self, name: String, language: String) -> Result<String, Never>;
    ///     }
    /// }
    /// # struct Greeting;
    /// # impl new::Greeter for Greeting {
    /// #     async fn greet(&self, name: String, _: String) -> Result<String, Never> { Ok(name) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// let serving = bus.serve(new::GreeterServer::new(Greeting)).await?;
    /// let greeter = old::GreeterClient::new(&bus);
    /// let Err(CallError::Bus(failure)) = greeter.greet("Ada".to_owned()).await else { panic!() };
    /// assert_eq!(failure.kind(), FailureKind::ContractMismatch);
    /// let contracts = failure.contract_mismatch().ok_or("both are known")?;
    /// assert!(contracts.caller.differs_from(&contracts.service));
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn contract_mismatch(&self) -> Option<ContractMismatch> {
        self.0.mismatch
    }

    /// The cause: an option that makes no sense, the service's words, the error of a layer.
    ///
    /// ```
    /// use replybus::{Bus, CallError, FailureKind, client::ClientService, queue_handler};
    /// use std::io;
    /// use tower::{layer::layer_fn, service_fn};
    ///
    /// #[queue_handler("greeter.requests")]
    /// pub trait Greeter {
    ///     async fn greet(&self) -> Result<String, String>;
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let layer = layer_fn(|_: ClientService| {
    ///     service_fn(|_| async { Err(io::Error::other("the breaker is open")) })
    /// });
    /// let greeter = GreeterClient::new(&Bus::in_memory()).layer(layer);
    /// let Err(CallError::Bus(failure)) = greeter.greet().await else { panic!("it is open") };
    /// assert_eq!(failure.kind(), FailureKind::Layer);
    /// assert!(failure.cause().is_some_and(|cause| cause.is::<io::Error>()));
    /// assert!(failure.to_string().ends_with("a layer failed: the breaker is open"));
    /// # }
    /// ```
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
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
        let reason = self.0.kind.reason();
        write!(f, ": {reason}")?;
        match self.0.cause.as_ref().map(ToString::to_string) {
            Some(cause) if cause != reason => write!(f, ": {cause}")?,
            _ => {}
        }
        match self.0.mismatch {
            Some(ContractMismatch { caller, service }) => {
                write!(f, " (the service has {service}, the caller {caller})")
            }
            None => Ok(()),
        }
    }
}

impl fmt::Debug for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallFailure")
            .field("kind", &self.0.kind)
            .field("may_have_executed", &self.0.may_have_executed)
            .field("call", &self.0.call)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl Error for CallFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause()?.source()
    }
}

impl PartialEq for CallFailure {
    fn eq(&self, other: &Self) -> bool {
        let said = |failure: &Self| failure.0.cause.as_ref().map(ToString::to_string);
        self.0.kind == other.0.kind
            && self.0.may_have_executed == other.0.may_have_executed
            && self.0.call == other.0.call
            && said(self) == said(other)
    }
}

impl Eq for CallFailure {}

/// The server's own words about a fault.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ServerSaid(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::FaultCode;

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
    fn a_message_names_the_cause_and_a_report_says_it_once() {
        let said = Fault::new(FaultCode::Denied, "the role teller is needed");
        let denied = CallFailure::from_fault(said, failure(FailureKind::Denied).0.call);
        assert!(
            denied
                .to_string()
                .ends_with(": denied: the role teller is needed")
        );
        assert!(Error::source(&denied).is_none());
        let said = Fault::new(FaultCode::Panicked, "the handler panicked");
        let panicked = CallFailure::from_fault(said, failure(FailureKind::Panicked).0.call);
        assert!(panicked.to_string().ends_with("5s: the handler panicked"));

        let cause = crate::SetupError::unreachable("Redis", "h:1", "refused");
        let layer = failure(FailureKind::Layer).with_cause(cause);
        assert!(
            layer
                .to_string()
                .ends_with(": Redis can't be reached at h:1")
        );
        let source = Error::source(&layer).unwrap();
        assert_eq!(source.to_string(), "refused");
    }

    #[test]
    fn failures_of_one_call_that_say_the_same_are_equal() {
        let said = |text: &str| failure(FailureKind::Layer).with_cause(text);
        assert_eq!(said("no"), said("no"));
        assert_eq!(said("no").clone(), said("no"));
        assert_ne!(said("no"), said("never"));
        assert_ne!(said("no"), failure(FailureKind::Layer));
        assert_ne!(failure(FailureKind::Layer), failure(FailureKind::Denied));
        let surely = failure(FailureKind::Layer).surely_not_executed();
        assert_ne!(surely, failure(FailureKind::Layer));
        assert_eq!(
            crate::CallError::<u8>::Bus(said("no")),
            crate::CallError::Bus(said("no"))
        );
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
