//! Calls that are made again, and asked twice, by their caller: a layer around a client, and the
//! budget that bounds it.

mod attempts;
mod budget;

pub use budget::RetryBudget;

use super::{CallRequest, CallResponse, ClientService, Verb};
use crate::{
    contract::{MethodKind, RetryPolicy},
    error::BoxError,
    limits::{CALL_RETRIES, CALL_RETRY_BASE, CALL_RETRY_DELAY},
};
use attempts::Attempts;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service, ServiceExt};

/// A layer that makes a failed call again, and may ask a slow query twice.
///
/// What is made again is the same call, under one id and with one deadline: a query, or a command
/// that surely was not run ([`may_have_executed`](crate::CallFailure::may_have_executed)), that was
/// refused for load, found no connection, got no answer in time from a layer of the service, or
/// failed in a layer. An answer of the handler's, its own error included, is an answer; so is a
/// failure that the next attempt would meet as well, such as a missing right. Calls that are sent or
/// submitted pass as they are.
///
/// The pauses double up to the longest, each a random part of that ("full jitter"), and none goes
/// beyond the deadline. A service that says [when](crate::CallFailure::retry_after) to try again is
/// not asked before, and is asked the pause after that. All further attempts, of all clones of the layer and the clients within it,
/// are paid from one [`RetryBudget`], 10 % of the calls: when a service is down its callers do not
/// make it ten times the work.
///
/// ```
/// use replybus::{Bus, client::RetryLayer, queue_handler};
/// use std::time::Duration;
/// # use replybus::Never;
///
/// # #[queue_handler("stock.requests")]
/// # pub trait Stock {
/// #     #[query]
/// #     async fn count(&self, article: u32) -> Result<u32, Never>;
/// # }
/// # struct Shelf;
/// # impl Stock for Shelf {
/// #     async fn count(&self, _: u32) -> Result<u32, Never> { Ok(3) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// # let serving = bus.serve(StockServer::new(Shelf)).await?;
/// // Nineteen of twenty are answered within 50 ms; of the others another worker is asked as well.
/// let retries = RetryLayer::new().max(2).hedge_after(Duration::from_millis(50));
/// let stock = StockClient::new(&bus).layer(retries);
/// assert_eq!(stock.count(17).await?, 3);
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until a client is given it"]
pub struct RetryLayer {
    policy: RetryPolicy,
    hedge_after: Option<Duration>,
    budget: RetryBudget,
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryLayer {
    /// The defaults in [`crate::limits`], a budget of its own, and nothing asked twice.
    pub fn new() -> Self {
        let policy = RetryPolicy::new().max(CALL_RETRIES).jitter();
        Self {
            policy: policy.base(CALL_RETRY_BASE).max_delay(CALL_RETRY_DELAY),
            hedge_after: None,
            budget: RetryBudget::new(),
        }
    }

    /// Attempts after the first: [`CALL_RETRIES`] unless set, 1 to
    /// [`RETRIES_MAX`](crate::limits::RETRIES_MAX).
    pub fn max(mut self, max: u32) -> Self {
        self.policy = self.policy.max(max);
        self
    }

    /// The longest that the first pause can be: [`CALL_RETRY_BASE`] unless set.
    pub fn base(mut self, base: Duration) -> Self {
        self.policy = self.policy.base(base);
        self
    }

    /// The longest that any pause can be: [`CALL_RETRY_DELAY`] unless set.
    pub fn max_delay(mut self, max_delay: Duration) -> Self {
        self.policy = self.policy.max_delay(max_delay);
        self
    }

    /// Asks a second time, once, for a query that has no answer after so long; the first answer of
    /// either counts, and the other is withdrawn or cancelled. Against the few that are much slower
    /// than the rest: take a time that nineteen of twenty are answered within, or it is the budget
    /// that decides which are asked again. Commands are not asked twice.
    pub fn hedge_after(mut self, after: Duration) -> Self {
        self.hedge_after = Some(after);
        self
    }

    /// The budget, such as one that several clients share.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }
}

impl Layer<ClientService> for RetryLayer {
    type Service = RetryService;

    fn layer(&self, inner: ClientService) -> RetryService {
        RetryService {
            inner,
            rules: Arc::new(self.clone()),
        }
    }
}

/// The calls of a client within a [`RetryLayer`].
#[derive(Debug, Clone)]
pub struct RetryService {
    inner: ClientService,
    rules: Arc<RetryLayer>,
}

impl Service<CallRequest> for RetryService {
    type Response = CallResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<CallResponse, BoxError>> + Send>>;

    /// Each attempt waits for what is further in by itself.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        let inner = self.inner.clone();
        if request.verb() != Verb::Call {
            return Box::pin(inner.oneshot(request));
        }
        self.rules.budget.earn();
        let hedge_after = match request.kind() {
            MethodKind::Query => self.rules.hedge_after,
            MethodKind::Command => None,
        };
        let attempts = Attempts {
            inner,
            request,
            policy: self.rules.policy,
            budget: self.rules.budget.clone(),
            hedge_after,
        };
        Box::pin(attempts.run())
    }
}
