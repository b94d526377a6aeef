//! The client as a tower service, and the layers users put around it.

use super::{CallRequest, CallResponse, caller::Caller};
use crate::error::BoxError;
use std::{
    fmt,
    task::{Context, Poll},
};
use tower::{Layer, Service, util::BoxCloneSyncService};

/// Calls as a [`tower::Service`]: what a client layer wraps.
#[derive(Clone)]
pub struct ClientService(BoxCloneSyncService<CallRequest, CallResponse, BoxError>);

impl ClientService {
    pub(super) fn new(caller: Caller) -> Self {
        Self(BoxCloneSyncService::new(caller))
    }
}

impl Service<CallRequest> for ClientService {
    type Response = CallResponse;
    type Error = BoxError;
    type Future =
        <BoxCloneSyncService<CallRequest, CallResponse, BoxError> as Service<CallRequest>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: CallRequest) -> Self::Future {
        self.0.call(request)
    }
}

impl fmt::Debug for ClientService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientService")
    }
}

/// A [`tower::Layer`] that can go around a client. Implemented for every layer whose service takes
/// a [`CallRequest`] and returns a [`CallResponse`], with any error: tower's own, and yours.
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
        ClientService(BoxCloneSyncService::new(service))
    }
}
