//! The server as a tower service, and the layers users put around it.

use super::{dispatch::Dispatch, request::Request};
use crate::{
    error::{BoxError, FaultCode},
    work::Answer,
};
use futures_util::{FutureExt, future::Either};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service as _, util::BoxCloneSyncService};

/// Requests to a service as a [`tower::Service`]: what a server layer wraps.
#[derive(Clone)]
pub struct ServerService(Kind);

#[derive(Clone)]
enum Kind {
    /// There are no layers, and so there is nothing to box.
    Plain(Arc<Dispatch>),
    Layered(BoxCloneSyncService<Request, Answer, BoxError>),
}

impl ServerService {
    pub(super) fn new(dispatch: Dispatch) -> Self {
        Self(Kind::Plain(Arc::new(dispatch)))
    }

    /// Runs a request, when the service is ready.
    pub(super) fn run(
        &mut self,
        request: Request,
    ) -> impl Future<Output = Result<Answer, BoxError>> + Send + use<> {
        match &mut self.0 {
            Kind::Plain(dispatch) => Either::Left(dispatch.run(request).map(Ok)),
            Kind::Layered(service) => Either::Right(service.call(request)),
        }
    }
}

impl tower::Service<Request> for ServerService {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.0 {
            Kind::Plain(_) => Poll::Ready(Ok(())),
            Kind::Layered(service) => service.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match &mut self.0 {
            Kind::Plain(dispatch) => Box::pin(dispatch.run(request).map(Ok)),
            Kind::Layered(service) => service.call(request),
        }
    }
}

impl fmt::Debug for ServerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerService")
    }
}

/// A [`tower::Layer`] that can go around a server. Implemented for every layer whose service takes
/// a [`Request`] and returns an [`Answer`], with any error: tower's own, and yours.
///
/// A layer that drops its inner future stops a query. A command goes on in its own task, and its
/// delivery is acknowledged when that ends.
///
/// ```
/// use replybus::{
///     Bus, Never,
///     error::{BoxError, FaultCode},
///     queue_handler,
///     server::{Answer, Request, ServerService},
/// };
/// use tower::ServiceExt;
/// # #[queue_handler("greeter.requests")]
/// # pub trait Greeter {
/// #     #[query]
/// #     async fn greet(&self, name: String) -> Result<String, Never>;
/// # }
/// # struct English;
/// # impl Greeter for English {
/// #     async fn greet(&self, name: String) -> Result<String, Never> {
/// #         Ok(format!("Hello, {name}!"))
/// #     }
/// # }
///
/// /// Lets nobody in who does not say for which tenant.
/// async fn checked(inner: ServerService, request: Request) -> Result<Answer, BoxError> {
///     if request.context().metadata().get("tenant").is_none() {
///         return Ok(Answer::fault(FaultCode::Denied, "a tenant is needed"));
///     }
///     inner.oneshot(request).await
/// }
/// #
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// let layer = tower::layer::layer_fn(|inner: ServerService| {
///     tower::service_fn(move |request| checked(inner.clone(), request))
/// });
/// let serving = bus.serve(GreeterServer::new(English)).layer(layer).await?;
///
/// let greeter = GreeterClient::new(&bus);
/// let greet = || greeter.greet("Ada".to_owned());
/// assert_eq!(greet().await.unwrap_err().kind(), Some(replybus::FailureKind::Denied));
/// assert_eq!(greet().metadata("tenant", "acme").await?, "Hello, Ada!");
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub trait ServerLayer {
    /// Puts the layer around the service.
    fn wrap(self, service: ServerService) -> ServerService;
}

impl<L, S> ServerLayer for L
where
    L: Layer<ServerService, Service = S>,
    S: tower::Service<Request, Response = Answer> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn wrap(self, service: ServerService) -> ServerService {
        let service = tower::util::MapErr::new(self.layer(service), Into::into);
        ServerService(Kind::Layered(BoxCloneSyncService::new(service)))
    }
}

/// The answer that an error out of the layers stands for.
pub(super) fn answer_of(error: &BoxError) -> Answer {
    if error.is::<tower::timeout::error::Elapsed>() {
        Answer::fault(FaultCode::TimedOut, "the handler did not finish in time")
    } else if error.is::<tower::load_shed::error::Overloaded>() {
        Answer::fault(FaultCode::Overloaded, "the service sheds load")
    } else {
        tracing::error!(%error, "a layer of the server failed");
        Answer::fault(FaultCode::Failed, "a layer of the service failed")
    }
}
