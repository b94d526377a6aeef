//! Calls that are refused at once while their service fails: a layer around clients.

mod circuit;
mod circuits;

pub use circuit::CircuitState;
pub use circuits::CircuitReport;

use super::{CallOutcome, CallRequest, CallResponse, ClientService, Verb};
use crate::{
    cache::CacheStatus,
    error::{BoxError, FailureKind},
    limits::{CIRCUIT_FAILURES, CIRCUIT_OPEN_FOR, CIRCUIT_SUCCESSES},
};
use circuit::{Passage, Rules};
use circuits::{Circuits, Name};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service, ServiceExt};

/// A layer that stops calling what fails: a circuit breaker for each method on each queue.
///
/// After so many failures in a row a method's circuit is *open*: its calls fail at once, as
/// [`CircuitOpen`](FailureKind::CircuitOpen), with [when](crate::CallFailure::retry_after) it is worth
/// trying again, and reach neither broker nor service. When it was open for its time it is *half
/// open*: one call at a time passes, and so many answers in a row *close* it, while a failure opens it
/// for another time.
///
/// A failure is what tells that the service, or the way to it, does not do its work: no answer in
/// time, nobody there, overloaded, a panic, a lost worker, no connection. An answer of the handler's
/// is none, be it its own error; nor is what is the caller's own doing, such as a missing right, a
/// request that can't be read, or a call that was dropped. Calls that are sent or submitted pass as
/// they are: the queue keeps them until the service is well.
///
/// Clones share their circuits, so a clone that is kept can [tell](Self::report) and
/// [close](Self::reset) them. Around a [`RetryLayer`](super::RetryLayer) it counts calls, within one it
/// counts attempts; what it refused is not made again.
///
/// ```
/// use replybus::{Bus, FailureKind, client::{BreakerLayer, CircuitState}, queue_handler};
/// use std::time::Duration;
/// # use replybus::Never;
///
/// # #[queue_handler("stock.requests")]
/// # pub trait Stock {
/// #     #[query]
/// #     async fn count(&self, article: u32) -> Result<u32, Never>;
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let bus = Bus::in_memory();
/// let breaker = BreakerLayer::new().failures(3).open_for(Duration::from_secs(10));
/// let stock = StockClient::new(&bus).layer(breaker.clone());
/// for _ in 0..3 {
///     let failure = stock.count(17).await.unwrap_err(); // nobody serves it
/// #   assert_eq!(failure.kind(), Some(FailureKind::Unroutable));
/// }
/// let failure = stock.count(17).await.unwrap_err();
/// assert_eq!(failure.kind(), Some(FailureKind::CircuitOpen));
///
/// assert!(matches!(breaker.report()[0].state, CircuitState::Open { .. }));
/// breaker.reset("stock.requests", "count"); // somebody has mended it
/// assert_eq!(breaker.report()[0].state, CircuitState::Closed);
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until a client is given it"]
pub struct BreakerLayer {
    rules: Rules,
    circuits: Arc<Circuits>,
}

impl Default for BreakerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl BreakerLayer {
    /// The defaults in [`crate::limits`], and circuits that are all closed.
    pub fn new() -> Self {
        let rules = Rules {
            failures: CIRCUIT_FAILURES,
            open_for: CIRCUIT_OPEN_FOR,
            successes: CIRCUIT_SUCCESSES,
        };
        Self {
            rules,
            circuits: Arc::default(),
        }
    }

    /// Failures in a row that open a circuit: [`CIRCUIT_FAILURES`] unless set, at least 1.
    pub fn failures(mut self, failures: u32) -> Self {
        self.rules.failures = failures.max(1);
        self
    }

    /// The time for which an open circuit refuses all calls: [`CIRCUIT_OPEN_FOR`] unless set.
    pub fn open_for(mut self, open_for: Duration) -> Self {
        self.rules.open_for = open_for.min(crate::limits::WAIT_MAX);
        self
    }

    /// Answers in a row that close a half open circuit: [`CIRCUIT_SUCCESSES`] unless set, at least 1.
    pub fn successes(mut self, successes: u32) -> Self {
        self.rules.successes = successes.max(1);
        self
    }

    /// The circuits of all methods that were called, by queue and method.
    #[must_use]
    pub fn report(&self) -> Vec<CircuitReport> {
        self.circuits.report()
    }

    /// Failures in a row that open a circuit.
    #[must_use]
    pub fn failures_allowed(&self) -> u32 {
        self.rules.failures
    }

    /// The time for which an open circuit refuses all calls.
    #[must_use]
    pub fn is_open_for(&self) -> Duration {
        self.rules.open_for
    }

    /// Closes the circuit of a method on a queue. `true` if it was not closed.
    pub fn reset(&self, queue: &str, method: &str) -> bool {
        let reset = |name: &Name| name.queue == *queue && name.method == method;
        self.circuits.reset(reset) > 0
    }

    /// Closes all circuits, and returns how many were not closed.
    pub fn reset_all(&self) -> usize {
        self.circuits.reset(|_| true)
    }
}

impl Layer<ClientService> for BreakerLayer {
    type Service = BreakerService;

    fn layer(&self, inner: ClientService) -> BreakerService {
        BreakerService {
            inner,
            breaker: self.clone(),
        }
    }
}

/// The calls of a client within a [`BreakerLayer`].
#[derive(Debug, Clone)]
pub struct BreakerService {
    inner: ClientService,
    breaker: BreakerLayer,
}

impl Service<CallRequest> for BreakerService {
    type Response = CallResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<CallResponse, BoxError>> + Send>>;

    /// Each call waits for what is further in by itself, if it may pass.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        let (inner, breaker) = (self.inner.clone(), self.breaker.clone());
        if request.verb() != Verb::Call {
            return Box::pin(inner.oneshot(request));
        }
        Box::pin(async move {
            let passing = breaker.pass(&request)?;
            let called = inner.oneshot(request).await;
            let is_kept = called.as_ref().is_ok_and(|response| {
                // The service was not asked.
                response.cache().is_some_and(CacheStatus::is_reused)
            });
            let outcome = CallOutcome::of(&called);
            passing.end((!is_kept).then(|| tells(outcome)).flatten());
            called
        })
    }
}

impl BreakerLayer {
    fn pass(&self, request: &CallRequest) -> Result<Passing, BoxError> {
        let name = Name {
            queue: request.queue_name().clone(),
            method: request.method(),
        };
        match self.circuits.pass(&name) {
            Ok(passage) => Ok(Passing {
                name,
                passage,
                breaker: self.clone(),
                ended: None,
            }),
            Err(left) => {
                let failure = request.failure(FailureKind::CircuitOpen);
                Err(failure.retrying_after(left).into())
            }
        }
    }
}

/// A call that passed. Dropped before it ends it tells nothing.
struct Passing {
    name: Name,
    passage: Passage,
    breaker: BreakerLayer,
    ended: Option<bool>,
}

impl Passing {
    fn end(mut self, ended: Option<bool>) {
        self.ended = ended;
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let BreakerLayer { rules, circuits } = &self.breaker;
        circuits.note(&self.name, self.passage, rules, self.ended);
    }
}

/// What an outcome tells of the service: whether it does its work, if anything.
fn tells(outcome: CallOutcome) -> Option<bool> {
    match outcome {
        CallOutcome::Value | CallOutcome::HandlerError => Some(true),
        CallOutcome::Accepted => None,
        CallOutcome::Failed { kind, .. } => match kind {
            FailureKind::Unroutable
            | FailureKind::NoConsumer
            | FailureKind::TimedOut
            | FailureKind::Expired
            | FailureKind::Overloaded
            | FailureKind::BadReply
            | FailureKind::Panicked
            | FailureKind::Disconnected
            | FailureKind::Interrupted
            | FailureKind::WorkerLost
            | FailureKind::Layer => Some(false),
            // The service was there, and said so.
            FailureKind::UnknownMethod
            | FailureKind::BadRequest
            | FailureKind::ContractMismatch
            | FailureKind::KeyConflict
            | FailureKind::Denied => Some(true),
            FailureKind::NotSent | FailureKind::Cancelled | FailureKind::CircuitOpen => None,
        },
    }
}
