//! The server as a tower service: the layers users put around it, and the innermost service,
//! which runs the handler.

use super::{
    command::{Command, panicked},
    request::Request,
    service::{Answer, Service},
};
use crate::{
    call_id::CallId,
    contract::MethodKind,
    error::{BoxError, FaultCode},
    limits::{CALL_TIMEOUT_MAX, CLAIM_LEASE, KEYED_RETENTION, UNKEYED_RETENTION},
    reply::{Claim, ReplyStore},
};
use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use std::{
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};
use tokio::time::{Instant, timeout_at};
use tower::{Layer, util::BoxCloneSyncService};

/// Requests to a service as a [`tower::Service`]: what a server layer wraps.
#[derive(Clone)]
pub struct ServerService(BoxCloneSyncService<Request, Answer, BoxError>);

impl ServerService {
    pub(super) fn new(dispatch: Dispatch) -> Self {
        Self(BoxCloneSyncService::new(dispatch))
    }
}

impl tower::Service<Request> for ServerService {
    type Response = Answer;
    type Error = BoxError;
    type Future =
        <BoxCloneSyncService<Request, Answer, BoxError> as tower::Service<Request>>::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        self.0.call(request)
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
        ServerService(BoxCloneSyncService::new(service))
    }
}

/// The answer that an error out of the layers stands for.
pub(crate) fn answer_of(error: &BoxError) -> Answer {
    if error.is::<tower::timeout::error::Elapsed>() {
        Answer::fault(FaultCode::TimedOut, "the handler did not finish in time")
    } else if error.is::<tower::load_shed::error::Overloaded>() {
        Answer::fault(FaultCode::Overloaded, "the service sheds load")
    } else {
        tracing::error!(%error, "a layer of the server failed");
        Answer::fault(FaultCode::Failed, "a layer of the service failed")
    }
}

/// Runs handlers.
#[derive(Clone)]
pub(super) struct Dispatch {
    pub(super) service: Arc<dyn Service>,
    /// The queue it is served from, without the namespace.
    pub(super) queue: Arc<str>,
    pub(super) store: Arc<dyn ReplyStore>,
}

impl tower::Service<Request> for Dispatch {
    type Response = Answer;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match request.method.kind {
            MethodKind::Query => Box::pin(self.query(request).map(Ok)),
            MethodKind::Command => Box::pin(self.command(request).map(Ok)),
        }
    }
}

impl Dispatch {
    /// A query runs in the task of its delivery, and is dropped at its deadline.
    fn query(&self, request: Request) -> impl Future<Output = Answer> + Send + use<> {
        let service = Arc::clone(&self.service);
        let Request {
            context,
            position,
            payload,
            ..
        } = request;
        async move {
            let until = context
                .deadline()
                .unwrap_or_else(|| Instant::now() + CALL_TIMEOUT_MAX);
            let handler = async move { service.dispatch(position, payload).await };
            let caught = AssertUnwindSafe(context.scope(handler)).catch_unwind();
            match timeout_at(until, caught).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => panicked(),
                Err(_) => Answer::fault(FaultCode::TimedOut, "the handler did not finish in time"),
            }
        }
    }

    fn command(&self, request: Request) -> impl Future<Output = Answer> + Send + use<> {
        let service = Arc::clone(&self.service);
        let id = request.context.call_id().unwrap_or_else(CallId::new);
        let claim = claim_of(&self.queue, &request, id);
        let Request {
            context,
            position,
            payload,
            start_by,
            run,
            ..
        } = request;
        let command = Command {
            store: Arc::clone(&self.store),
            claim,
            context,
            id,
            content_type: payload.content_type,
            start_by,
            errors_count: true,
        };
        command.start(run, move || service.dispatch(position, payload))
    }
}

/// What a command is claimed under: its idempotency key, or else its call id, by which a second
/// delivery of the same request is recognised.
fn claim_of(queue: &str, request: &Request, id: CallId) -> Claim {
    let method = request.method.name;
    let (key, retention) = match request.context.idempotency_key() {
        Some(key) => (format!("{queue}:{method}:key:{key}"), KEYED_RETENTION),
        None => (format!("{queue}:{method}:id:{id}"), UNKEYED_RETENTION),
    };
    Claim {
        key,
        fingerprint: fingerprint(request),
        owner: CallId::new().to_string(),
        lease: CLAIM_LEASE,
        retention,
    }
}

/// Tells requests under one key apart.
fn fingerprint(request: &Request) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(request.payload.content_type.as_str());
    hash.update([0]);
    hash.update(&request.payload.body);
    let digest: [u8; 32] = hash.finalize().into();
    let mut first_half = [0; 16];
    first_half.copy_from_slice(digest.split_at(16).0);
    first_half
}
