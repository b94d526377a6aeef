//! The client as a tower service, and the layers users put around it.

use super::{CallRequest, CallResponse, caller::Caller};
use crate::error::BoxError;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower::{Layer, Service, util::BoxCloneSyncService};

/// The calls of a client as a [`tower::Service`]: what a client layer wraps.
#[derive(Clone)]
pub struct ClientService(Kind);

#[derive(Clone)]
enum Kind {
    /// There are no layers, and so there is nothing to box.
    Plain(Caller),
    Layered(BoxCloneSyncService<CallRequest, CallResponse, BoxError>),
}

impl ClientService {
    pub(super) fn new(caller: Caller) -> Self {
        Self(Kind::Plain(caller))
    }

    /// The caller itself, if there are no layers around it.
    pub(super) fn as_plain(&self) -> Option<&Caller> {
        match &self.0 {
            Kind::Plain(caller) => Some(caller),
            Kind::Layered(_) => None,
        }
    }
}

impl Service<CallRequest> for ClientService {
    type Response = CallResponse;
    type Error = BoxError;
    type Future = CallFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.0 {
            Kind::Plain(caller) => caller.poll_ready(cx),
            Kind::Layered(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        CallFuture(match &mut self.0 {
            Kind::Plain(caller) => caller.call(request),
            Kind::Layered(service) => service.call(request),
        })
    }
}

/// The future of a [`ClientService`]: a call on its way.
///
/// Dropping it frees the waiter; a request that was written runs all the same.
#[must_use = "a call goes on only while its future is polled"]
pub struct CallFuture(Pin<Box<dyn Future<Output = Result<CallResponse, BoxError>> + Send>>);

impl Future for CallFuture {
    type Output = Result<CallResponse, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for CallFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallFuture")
    }
}

impl fmt::Debug for ClientService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientService")
    }
}

/// A [`tower::Layer`] that can go around a client. Implemented for every layer whose service takes
/// a [`CallRequest`] and returns a [`CallResponse`], with any error: tower's own, and yours.
///
/// An error that is tower's own keeps its meaning: a limit that is reached is
/// [`Overloaded`](crate::FailureKind::Overloaded), a timeout is
/// [`TimedOut`](crate::FailureKind::TimedOut). Any other is
/// [`Layer`](crate::FailureKind::Layer), with the error as its [cause](crate::CallFailure::cause).
/// What comes out of the service is told apart by a [`CallOutcome`](super::CallOutcome): a service
/// that sheds load, denies or panics is an error there like a connection that is lost.
///
/// ```
/// use replybus::{Bus, Never, queue_handler};
/// use tower::limit::ConcurrencyLimitLayer;
///
/// #[queue_handler("greeter.requests")]
/// pub trait Greeter {
///     async fn greet(&self, name: String) -> Result<String, Never>;
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // At most 10 calls of this client, and of its clones, are on their way at once.
/// let greeter = GreeterClient::new(&Bus::in_memory()).layer(ConcurrencyLimitLayer::new(10));
/// # assert!(greeter.greet("Ada".into()).await.is_err());
/// # }
/// ```
pub trait ClientLayer {
    /// Puts the layer around the service.
    fn wrap(self, service: ClientService) -> ClientService;
}

impl<L, S> ClientLayer for L
where
    L: Layer<ClientService, Service = S>,
    S: Service<CallRequest, Response = CallResponse> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn wrap(self, service: ClientService) -> ClientService {
        let service = tower::util::MapErr::new(self.layer(service), Into::into);
        ClientService(Kind::Layered(BoxCloneSyncService::new(service)))
    }
}
