//! What a handler may know of the call it serves, and what its own calls inherit.

mod metadata;
mod trace;

pub use metadata::{InvalidMetadata, Metadata};
pub use trace::TraceContext;

use crate::call_id::CallId;
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static CURRENT: Context;
}

/// The call that is being served. Ambient: [`Context::current`] finds it in a handler without an
/// argument that could be forgotten, and calls made by the handler inherit deadline, metadata and
/// trace from it.
///
/// A task that a handler spawns does not inherit it by itself; wrap the task's future in
/// [`Context::scope`].
///
/// Outside a call the context is empty: no call id, no deadline, no metadata.
#[derive(Debug, Clone, Default)]
pub struct Context(Arc<Inner>);

#[derive(Debug, Clone, Default)]
struct Inner {
    call_id: Option<CallId>,
    service: &'static str,
    method: &'static str,
    caller: Option<String>,
    deadline: Option<Instant>,
    redelivered: bool,
    attempt: u32,
    idempotency_key: Option<String>,
    metadata: Metadata,
    trace: Option<TraceContext>,
    cancelled: CancellationToken,
    /// Shared by the clones: the handler sets it, its command's task reads it.
    key_released: Arc<AtomicBool>,
}

impl Context {
    /// The context of the call that this task serves; an empty one outside a call.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.try_with(Clone::clone).unwrap_or_default()
    }

    /// Runs a future with this context as the current one.
    ///
    /// # Cancel safety
    /// As safe as the future.
    pub async fn scope<F: IntoFuture>(self, future: F) -> F::Output {
        CURRENT.scope(self, future.into_future()).await
    }

    /// A context to run a handler in without a bus, for tests and for work that starts a call
    /// chain of its own.
    pub fn builder() -> ContextBuilder {
        ContextBuilder(Inner {
            attempt: 1,
            ..Inner::default()
        })
    }

    /// The id of the call; `None` outside a call.
    #[must_use]
    pub fn call_id(&self) -> Option<CallId> {
        self.0.call_id
    }

    /// The trait that is served; empty outside a call.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// The method that is served; empty outside a call.
    #[must_use]
    pub fn method(&self) -> &'static str {
        self.0.method
    }

    /// The calling program, as it names itself (AMQP `app_id`). Not verified by anyone.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.0.caller.as_deref()
    }

    /// When the caller stops waiting; `None` if nobody waits or outside a call.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Time left until the deadline, zero when it has passed; `None` without one.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether this request may have been delivered before, to here or to another worker: the
    /// broker says that it delivers it again, or its caller, who lost a connection, that it
    /// published it again.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.0.redelivered
    }

    /// Counts the runs of a command: more than 1 after one that did not end, because its worker
    /// died or it panicked. Always 1 for a query.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The idempotency key the caller chose.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.0.idempotency_key.as_deref()
    }

    /// What the caller, or its caller, attached.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// The trace this call is part of (W3C Trace Context).
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.0.trace.as_ref()
    }

    /// Whether the work is no longer wanted: the deadline has passed, the service is shut down and
    /// its time to drain is up, or another worker has taken the command over. A command is not
    /// stopped by it; it may stop itself where that is safe. One that stops before it did anything
    /// should call [`release_key`](Self::release_key), else its error is the outcome for its key.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.is_cancelled() || self.remaining() == Some(Duration::ZERO)
    }

    /// Waits until the work is no longer wanted.
    ///
    /// # Cancel safety
    /// Safe; may be called again.
    pub async fn cancelled(&self) {
        let deadline = async {
            match self.0.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.0.cancelled.cancelled() => {}
            () = deadline => {}
        }
    }

    /// Says that this run of a command did nothing: if it then returns an error, that is answered
    /// but not recorded as the outcome for its idempotency key, and the key is free for another
    /// try. For errors that pass, such as a database that is away; without it they are remembered
    /// as long as any other answer. A handler that returns a value has done something, and this has
    /// no effect; nor has it for queries and events.
    pub fn release_key(&self) {
        self.0.key_released.store(true, Ordering::Release);
    }

    /// Whether the handler said that its run did nothing.
    pub(crate) fn key_is_released(&self) -> bool {
        self.0.key_released.load(Ordering::Acquire)
    }

    /// The token that fires when the work is no longer wanted, its deadline apart.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.0.cancelled
    }

    /// The same call as seen by its `attempt`-th run.
    pub(crate) fn with_attempt(mut self, attempt: u32) -> Self {
        if self.0.attempt != attempt {
            Arc::make_mut(&mut self.0).attempt = attempt;
        }
        self
    }
}

/// Builds a [`Context`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ContextBuilder(Inner);

impl ContextBuilder {
    /// Sets the id of the call.
    pub fn call_id(mut self, id: CallId) -> Self {
        self.0.call_id = Some(id);
        self
    }

    /// Sets when the caller stops waiting.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.0.deadline = Some(deadline);
        self
    }

    /// Sets whether the request may have been delivered before.
    pub fn redelivered(mut self, redelivered: bool) -> Self {
        self.0.redelivered = redelivered;
        self
    }

    /// Sets the idempotency key.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.0.idempotency_key = Some(key.into());
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

    pub(crate) fn serving(mut self, service: &'static str, method: &'static str) -> Self {
        self.0.service = service;
        self.0.method = method;
        self
    }

    pub(crate) fn caller(mut self, caller: Option<String>) -> Self {
        self.0.caller = caller;
        self
    }

    pub(crate) fn cancelled_by(mut self, token: CancellationToken) -> Self {
        self.0.cancelled = token;
        self
    }

    /// The context.
    #[must_use]
    pub fn build(self) -> Context {
        Context(Arc::new(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_ambient_and_empty_outside_a_call() {
        assert_eq!(Context::current().call_id(), None);
        let id = CallId::new();
        let deadline = Instant::now() + Duration::from_secs(3);
        let context = Context::builder().call_id(id).deadline(deadline).build();
        context
            .scope(async {
                tokio::time::advance(Duration::from_secs(1)).await;
                let current = Context::current();
                assert_eq!(current.call_id(), Some(id));
                assert_eq!(current.remaining(), Some(Duration::from_secs(2)));
                assert!(!current.is_cancelled());
                current.cancelled().await;
                assert_eq!(current.remaining(), Some(Duration::ZERO));
                assert!(current.is_cancelled());
            })
            .await;
        assert_eq!(Context::current().call_id(), None);
    }

    #[tokio::test]
    async fn a_token_cancels_before_the_deadline() {
        let token = CancellationToken::new();
        let context = Context::builder().cancelled_by(token.clone()).build();
        assert!(!context.is_cancelled());
        token.cancel();
        context.cancelled().await;
        assert!(context.is_cancelled());
    }
}
