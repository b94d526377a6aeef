//! A context made by hand, for tests and for what is served.

use super::{Baggage, Context, Inner, Metadata, TraceContext};
use crate::{
    call_id::CallId,
    contract::Priority,
    message::{Properties, Text},
};
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A builder of a [`Context`]; see [`Context::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ContextBuilder(pub(super) Inner);

impl ContextBuilder {
    /// Sets the id of the call.
    pub fn call_id(mut self, id: CallId) -> Self {
        self.0.call_id = Some(id);
        self
    }

    /// Sets the moment at which the caller stops waiting.
    pub fn deadline(mut self, deadline: impl Into<Instant>) -> Self {
        self.0.deadline = Some(deadline.into());
        self
    }

    /// Sets whether the request may have been delivered before.
    pub fn redelivered(mut self, redelivered: bool) -> Self {
        self.0.redelivered = redelivered;
        self
    }

    /// Sets which run of the command this is, from 1; see [`Context::attempt`].
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.0.attempt = attempt;
        self
    }

    /// Sets the name of the program that made the call; see [`Context::caller`].
    pub fn caller(mut self, app_id: impl Into<String>) -> Self {
        self.0.caller = Some(app_id.into().into());
        self
    }

    /// Sets that the work is cancelled; see [`Context::is_cancelled`].
    pub fn cancelled(mut self) -> Self {
        let token = CancellationToken::new();
        token.cancel();
        self.0.cancelled = Some(token);
        self
    }

    /// Sets the idempotency key.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.0.idempotency_key = Some(key.into());
        self
    }

    /// Sets how much the call matters beside others.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.0.priority = priority;
        self
    }

    /// Sets the metadata.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.0.metadata = metadata;
        self
    }

    /// Sets the trace.
    pub fn trace(mut self, trace: TraceContext) -> Self {
        self.0.trace = Some(trace);
        self
    }

    /// Sets the baggage.
    pub fn baggage(mut self, baggage: Baggage) -> Self {
        self.0.baggage = Some(baggage)
            .filter(|baggage| !baggage.is_empty())
            .map(Arc::new);
        self
    }

    pub(crate) fn carried_by(mut self, properties: &Properties, id: CallId) -> Self {
        self.0.trace = Some(TraceContext::of(properties, id));
        self.0.baggage = Baggage::of(properties);
        self
    }

    pub(crate) fn serving(mut self, service: &'static str, method: &'static str) -> Self {
        self.0.service = service;
        self.0.method = method;
        self
    }

    /// A queue without the namespace, and the one that the contract names.
    pub(crate) fn on_queue(mut self, queue: &str, own: &'static str) -> Self {
        self.0.queue = own;
        self.0.other_queue = (queue != own).then(|| queue.into());
        self
    }

    pub(crate) fn called_by(mut self, caller: Option<Text>) -> Self {
        self.0.caller = caller;
        self
    }

    pub(crate) fn cancelled_by(mut self, token: CancellationToken) -> Self {
        self.0.cancelled = Some(token);
        self
    }

    /// The context.
    #[must_use]
    pub fn build(self) -> Context {
        Context(Arc::new(self.0))
    }
}
