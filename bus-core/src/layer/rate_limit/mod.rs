//! No more than so many calls in a time: a layer around clients and services.

mod bucket;

use crate::{
    client::{CallRequest, CallResponse, ClientService},
    error::{BoxError, FailureKind, Fault, FaultCode},
    limits::WAIT_MAX,
    server::{Answer, Request, ServerService},
};
use bucket::{Bucket, Rate};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt};

/// A layer that lets no more than so many calls pass in a time, around a client or around a service.
///
/// Calls beyond the rate wait for their turn, in the order in which they came; one whose turn would
/// not come before its deadline is refused at once, as [`Overloaded`](FailureKind::Overloaded), with the
/// [time](crate::CallFailure::retry_after) after which there would be one. What is sent or submitted
/// to a service has no deadline there, and waits. A call that waits in a service has its permit: the
/// others stay in the queue, for whichever worker has a turn first.
///
/// Clones share their turns, and so do all clients and services that are given clones. A turn of a
/// call that is dropped while it waits is lost.
///
/// ```
/// use replybus::{Bus, FailureKind, Never, layer::RateLimitLayer, queue_handler};
/// use std::time::Duration;
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
/// // Two a minute, and no call waits longer than its caller does.
/// let limit = RateLimitLayer::new(2, Duration::from_secs(60));
/// let serving = bus.serve(StockServer::new(Shelf)).layer(limit).await?;
/// let stock = StockClient::new(&bus);
/// assert_eq!(stock.count(17).await?, 3);
/// assert_eq!(stock.count(17).await?, 3);
/// let refused = stock.count(17).timeout(Duration::from_secs(1)).await.unwrap_err();
/// assert_eq!(refused.kind(), Some(FailureKind::Overloaded));
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a layer does nothing until a client or a service is given it"]
pub struct RateLimitLayer {
    rate: Rate,
    wait_at_most: Duration,
    bucket: Arc<Bucket>,
}

impl RateLimitLayer {
    /// So many calls, at least 1, in that time: all of them at once after a rest, and then one after
    /// the other, evenly.
    pub fn new(calls: u32, per: Duration) -> Self {
        let burst = calls.max(1);
        let every = (per.min(WAIT_MAX) / burst).max(Duration::from_nanos(1));
        Self {
            rate: Rate { every, burst },
            wait_at_most: WAIT_MAX,
            bucket: Arc::default(),
        }
    }

    /// Calls that may pass at once after a rest: as many as the rate has in its time unless set, at
    /// least 1.
    pub fn burst(mut self, calls: u32) -> Self {
        self.rate.burst = calls.max(1);
        self
    }

    /// The longest time that a call waits for its turn: as long as its caller does unless set. With
    /// none it is refused if its turn is not now.
    ///
    /// Around a service it is refused to whoever sent it, too, who does not learn of it.
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.wait_at_most = wait.min(WAIT_MAX);
        self
    }

    /// The wait of a call that has until `deadline`; the error is the time after which there would be
    /// a turn.
    fn turn(&self, deadline: Option<Instant>, of: &Call) -> Result<Duration, Duration> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let patience = left.map_or(self.wait_at_most, |left| left.min(self.wait_at_most));
        let turn = self.bucket.turn(self.rate, patience);
        match turn {
            Ok(Duration::ZERO) => {}
            Ok(_) => of.count("waited"),
            Err(_) => of.count("refused"),
        }
        turn
    }
}

/// The call that is counted.
struct Call {
    service: &'static str,
    method: &'static str,
}

impl Call {
    fn count(&self, outcome: &'static str) {
        let labels = [
            ("service", self.service),
            ("method", self.method),
            ("outcome", outcome),
        ];
        metrics::counter!("replybus_rate_limited_total", &labels).increment(1);
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimitService<S>;

    fn layer(&self, inner: S) -> RateLimitService<S> {
        RateLimitService {
            inner,
            limit: self.clone(),
        }
    }
}

/// A client or a service within a [`RateLimitLayer`].
#[derive(Debug, Clone)]
pub struct RateLimitService<S> {
    inner: S,
    limit: RateLimitLayer,
}

type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

impl Service<CallRequest> for RateLimitService<ClientService> {
    type Response = CallResponse;
    type Error = BoxError;
    type Future = Boxed<CallResponse>;

    /// Each call waits for what is further in by itself, when its turn has come.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        let of = Call {
            service: request.service(),
            method: request.method(),
        };
        match self.limit.turn(Some(request.deadline()), &of) {
            Ok(wait) => Box::pin(after(wait, self.inner.clone(), request)),
            Err(wait) => {
                let failure = request.failure(FailureKind::Overloaded);
                let failure = failure.retrying_after(Some(wait));
                Box::pin(std::future::ready(Err(failure.into())))
            }
        }
    }
}

impl Service<Request> for RateLimitService<ServerService> {
    type Response = Answer;
    type Error = BoxError;
    type Future = Boxed<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let of = Call {
            service: request.service(),
            method: request.method(),
        };
        match self.limit.turn(request.context().deadline(), &of) {
            Ok(wait) => Box::pin(after(wait, self.inner.clone(), request)),
            Err(wait) => {
                let text = format!("{} is called more often than it may be", of.method);
                let fault = Fault::new(FaultCode::Overloaded, text).retry_after(wait);
                Box::pin(std::future::ready(Ok(fault.into())))
            }
        }
    }
}

async fn after<S, R>(wait: Duration, inner: S, request: R) -> Result<S::Response, BoxError>
where
    S: Service<R, Error = BoxError>,
{
    if !wait.is_zero() {
        sleep(wait).await;
    }
    inner.oneshot(request).await
}
