//! The layers that a bus puts around all of its clients, and all of its services.

use crate::{
    client::{ClientLayer, ClientService},
    server::{ServerLayer, ServerService},
};
use std::{fmt, sync::Arc};

/// They are nearest the bus: within the layers of a client, and around those of a service.
#[derive(Clone)]
pub(crate) struct Everywhere<S>(Vec<Arc<dyn Fn(S) -> S + Send + Sync>>);

impl<S> Everywhere<S> {
    /// Puts them around a client or a service, the last one added outermost.
    pub(crate) fn wrap(&self, service: S) -> S {
        self.0.iter().fold(service, |service, layer| layer(service))
    }
}

impl Everywhere<ClientService> {
    pub(crate) fn add(&mut self, layer: impl ClientLayer + Clone + Send + Sync + 'static) {
        let wrap = move |service| layer.clone().wrap(service);
        self.0.push(Arc::new(wrap));
    }
}

impl Everywhere<ServerService> {
    pub(crate) fn add(&mut self, layer: impl ServerLayer + Clone + Send + Sync + 'static) {
        let wrap = move |service| layer.clone().wrap(service);
        self.0.push(Arc::new(wrap));
    }
}

impl<S> Default for Everywhere<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<S> fmt::Debug for Everywhere<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Everywhere({} layers)", self.0.len())
    }
}
