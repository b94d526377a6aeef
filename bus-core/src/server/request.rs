//! One call on its way through the server's layers to its handler.

use super::service::Payload;
use crate::{
    context::Context,
    contract::{MethodContract, MethodKind, ServiceContract},
    retry::Retries,
    work::{Begun, Run},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A call, as a server layer sees it.
///
/// ```
/// use replybus::server::Request;
///
/// /// The name of a span for a call.
/// fn span(request: &Request) -> String {
///     let user = request.context().metadata().get("user").unwrap_or("nobody");
///     format!("{}.{} for {user}", request.service(), request.method())
/// }
/// ```
#[derive(Debug)]
pub struct Request {
    pub(crate) contract: &'static ServiceContract,
    pub(crate) position: usize,
    pub(crate) method: &'static MethodContract,
    pub(crate) context: Context,
    pub(crate) payload: Payload,
    /// When its caller stops waiting, by the caller's clock, since the Unix epoch.
    pub(crate) deadline_named: Option<Duration>,
    /// When it is no longer to be started.
    pub(crate) start_by: Option<Instant>,
    /// Its times are what its caller signed.
    pub(crate) is_signed: bool,
    /// The place where a command's run is found again if a layer drops the future that waits for
    /// it.
    pub(crate) run: Run,
    /// Its delivery, as far as that is counted.
    pub(crate) begun: Begun,
    /// Its runs, if it may be put off.
    pub(crate) retries: Option<Arc<Retries>>,
}

impl Request {
    /// The trait that is served.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.contract.name
    }

    /// The method that is called.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.method.name
    }

    /// The kind of the method: a query may be repeated.
    #[must_use]
    pub fn kind(&self) -> MethodKind {
        self.method.kind
    }

    /// The context that the handler will see as [`Context::current`].
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The encoded arguments.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }
}
