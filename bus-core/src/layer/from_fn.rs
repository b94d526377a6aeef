//! A layer that is one async function.

use crate::error::BoxError;
use std::{
    fmt,
    future::Future,
    task::{Context, Poll},
};
use tower::{Layer, Service, ServiceExt, util::Oneshot};

/// A layer of an async function that is given the request and what is further in: around a client,
/// around a service, or around [all of a bus](crate::BusBuilder::client_layer).
///
/// ```
/// use replybus::{
///     Bus, FailureKind, Never,
///     client::{CallRequest, CallResponse, ClientService},
///     error::{BoxError, FaultCode},
///     layer::{Next, from_fn},
///     queue_handler,
///     server::{Answer, Request, ServerService},
/// };
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
/// /// Around a client: says who asks.
/// async fn named(
///     mut request: CallRequest,
///     next: Next<ClientService>,
/// ) -> Result<CallResponse, BoxError> {
///     request.metadata_mut().insert("tenant", "acme")?;
///     next.run(request).await
/// }
///
/// /// Around a service: lets nobody in who does not.
/// async fn checked(request: Request, next: Next<ServerService>) -> Result<Answer, BoxError> {
///     if request.context().metadata().get("tenant").is_none() {
///         return Ok(Answer::fault(FaultCode::Denied, "a tenant is needed"));
///     }
///     next.run(request).await
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// let serving = bus.serve(GreeterServer::new(English)).layer(from_fn(checked)).await?;
/// let greeter = GreeterClient::new(&bus);
/// let denied = greeter.greet("Ada".to_owned()).await.unwrap_err();
/// assert_eq!(denied.kind(), Some(FailureKind::Denied));
///
/// let greeter = greeter.layer(from_fn(named));
/// assert_eq!(greeter.greet("Ada".to_owned()).await?, "Hello, Ada!");
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub fn from_fn<F>(function: F) -> FromFn<F> {
    FromFn(function)
}

/// The layer that [`from_fn`] makes.
#[derive(Clone, Copy)]
#[must_use = "a layer does nothing until a client or a service is given it"]
pub struct FromFn<F>(F);

impl<S, F: Clone> Layer<S> for FromFn<F> {
    type Service = FromFnService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        FromFnService {
            inner,
            function: self.0.clone(),
        }
    }
}

/// A service within a function.
#[derive(Clone, Copy)]
pub struct FromFnService<S, F> {
    inner: S,
    function: F,
}

impl<S, F, R, Made, Response> Service<R> for FromFnService<S, F>
where
    S: Service<R> + Clone,
    F: Fn(R, Next<S>) -> Made,
    Made: Future<Output = Result<Response, BoxError>>,
{
    type Response = Response;
    type Error = BoxError;
    type Future = Made;

    /// What is further in is waited for when the function runs it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Made {
        (self.function)(request, Next(self.inner.clone()))
    }
}

/// What is further in than a layer: run once, or not at all.
pub struct Next<S>(S);

impl<S> Next<S> {
    /// Runs a request, when what is further in is ready.
    ///
    /// Dropped, it does what dropping that does: a call is cancelled, a query is stopped, a command
    /// goes on.
    pub fn run<R>(self, request: R) -> Oneshot<S, R>
    where
        S: Service<R>,
    {
        self.0.oneshot(request)
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<S: fmt::Debug, F> fmt::Debug for FromFnService<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFnService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for Next<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Next").field(&self.0).finish()
    }
}
