//! The context of a handler: the call it serves, and what its own calls inherit.

mod baggage;
mod builder;
pub mod metadata;
mod run;
mod trace;

pub use baggage::{Baggage, InvalidBaggage};
pub use builder::ContextBuilder;
pub use metadata::{InvalidMetadata, Metadata};
pub use trace::TraceContext;

use crate::{call_id::CallId, contract::Priority, job::Reporter, message::Text};
use std::{
    future::IntoFuture,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    static CURRENT: Context;
}

/// The context outside of any call.
static EMPTY: LazyLock<Context> = LazyLock::new(Context::default);

/// The baggage of a context that has none.
static NO_BAGGAGE: Baggage = Baggage::new();

/// The call that is being served. Ambient: [`Context::current`] finds it in a handler without an
/// argument that could be forgotten, and calls made by the handler inherit deadline, metadata and
/// trace from it.
///
/// A task that a handler spawns does not inherit it by itself; wrap the task's future in
/// [`Context::scope`].
///
/// Outside a call the context is empty: no call id, no deadline, no metadata.
///
/// ```
/// use replybus::{Bus, Context, Never, queue_handler};
///
/// #[queue_handler("greeter.requests")]
/// pub trait Greeter {
///     #[query]
///     async fn greet(&self) -> Result<String, Never>;
/// }
///
/// struct Polite;
///
/// impl Greeter for Polite {
///     async fn greet(&self) -> Result<String, Never> {
///         let context = Context::current();
///         let name = context.metadata().get("user").unwrap_or("stranger");
///         Ok(format!("Hello, {name}!"))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// # let serving = bus.serve(GreeterServer::new(Polite)).await?;
/// let greeting = GreeterClient::new(&bus).greet().metadata("user", "Ada").await?;
/// assert_eq!(greeting, "Hello, Ada!");
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Context(Arc<Inner>);

#[derive(Debug, Clone, Default)]
struct Inner {
    call_id: Option<CallId>,
    service: &'static str,
    method: &'static str,
    /// The contract's; empty outside of a service.
    queue: &'static str,
    /// The queue that is served, if it is another.
    other_queue: Option<Text>,
    caller: Option<Text>,
    deadline: Option<Instant>,
    redelivered: bool,
    attempt: u32,
    priority: Priority,
    idempotency_key: Option<String>,
    metadata: Metadata,
    trace: Option<TraceContext>,
    baggage: Option<Arc<Baggage>>,
    /// Nothing but its deadline ends a context without one.
    cancelled: Option<CancellationToken>,
    /// Shared by the clones of a context: the handler sets it, its command's task reads it.
    key_released: Flag,
    /// Likewise.
    put_off: Flag,
    /// Of a job.
    reporter: Option<Reporter>,
    /// The context that this is a part of, which is of the same run.
    within: Option<Arc<Inner>>,
}

impl Inner {
    /// This context and those that it is a part of.
    fn of_one_run(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |inner| inner.within.as_deref())
    }
}

/// A flag that can be set; of a copy of it by itself.
#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Clone for Flag {
    fn clone(&self) -> Self {
        Self(self.0.load(Ordering::Acquire).into())
    }
}

impl Context {
    /// The context of the call that this task serves; an empty one outside a call.
    #[must_use]
    pub fn current() -> Self {
        CURRENT
            .try_with(Clone::clone)
            .unwrap_or_else(|_| EMPTY.clone())
    }

    /// Runs a future with this context as the current one. For a task that a handler spawns:
    ///
    /// ```
    /// use replybus::{CallId, Context};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # let id = CallId::new();
    /// # Context::builder().call_id(id).build().scope(async move {
    /// // In a handler:
    /// let logged = async { println!("for the call {:?}", Context::current().call_id()) };
    /// tokio::spawn(Context::current().scope(logged));
    /// # let there = tokio::spawn(Context::current().scope(async { Context::current().call_id() }));
    /// # assert_eq!(there.await.unwrap(), Some(id));
    /// # }).await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// As safe as the future.
    pub async fn scope<F: IntoFuture>(self, future: F) -> F::Output {
        CURRENT.scope(self, future.into_future()).await
    }

    /// A context to run a handler in without a bus, for tests and for work that starts a call
    /// chain of its own.
    ///
    /// ```
    /// use replybus::{Context, Metadata};
    ///
    /// async fn tenant() -> Option<String> {
    ///     Context::current().metadata().get("tenant").map(str::to_owned)
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let metadata = Metadata::try_from([("tenant", "acme")])?;
    /// let context = Context::builder().metadata(metadata).build();
    /// assert_eq!(context.scope(tenant()).await.as_deref(), Some("acme"));
    ///
    /// // The second run of a command, and one that nobody waits for any more.
    /// let second = Context::builder().attempt(2).caller("till").build();
    /// assert_eq!((second.attempt(), second.caller()), (2, Some("till")));
    /// assert!(Context::builder().cancelled().build().is_cancelled());
    /// # Ok(())
    /// # }
    /// ```
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

    /// The queue that is served, without the namespace of the bus: the contract's, unless the service
    /// is [served on another](crate::server::Serve::on_queue). `None` outside of a service, in the
    /// handler of an event too.
    #[must_use]
    pub fn queue(&self) -> Option<&str> {
        let own = Some(self.0.queue).filter(|queue| !queue.is_empty());
        self.other_queue().or(own)
    }

    /// The same, if it is another than the contract's: what `replybus-sql` kept before it knew of
    /// queues was kept without them.
    #[doc(hidden)]
    #[must_use]
    pub fn other_queue(&self) -> Option<&str> {
        self.0.other_queue.as_deref()
    }

    /// The calling program, as it names itself (AMQP `app_id`). Not verified by anyone.
    #[must_use]
    pub fn caller(&self) -> Option<&str> {
        self.0.caller.as_deref()
    }

    /// The moment at which the caller stops waiting; `None` if nobody waits or outside a call. For
    /// a library that takes a moment:
    ///
    /// ```
    /// use replybus::Context;
    /// use tokio::time::timeout_at;
    ///
    /// async fn asked(question: impl std::future::Future<Output = u64>) -> Option<u64> {
    ///     match Context::current().deadline() {
    ///         Some(deadline) => timeout_at(deadline, question).await.ok(),
    ///         None => Some(question.await),
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # assert_eq!(asked(async { 7 }).await, Some(7));
    /// # }
    /// ```
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// Time left until the deadline, zero when it has passed; `None` without one. Calls that the
    /// handler makes never get more by themselves.
    ///
    /// ```
    /// use replybus::Context;
    /// use std::time::Duration;
    ///
    /// /// A cheaper answer when there is no time for the good one.
    /// fn has_time() -> bool {
    ///     let needed = Duration::from_millis(200);
    ///     Context::current().remaining().is_none_or(|left| left > needed)
    /// }
    /// # assert!(has_time());
    /// ```
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// True if this request may have been delivered before, to here or to another worker: the
    /// broker says that it delivers it again, or its caller, who lost a connection, that it
    /// published it again.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.0.redelivered
    }

    /// The number of this run of a command: more than 1 after one that did not end, because its
    /// worker died or it panicked, and after one that was [put off](crate::RetryLater). Of a message
    /// without any id, the number of its deliveries that did not end, and 1. Always 1 for a query.
    ///
    /// ```
    /// use replybus::Context;
    ///
    /// # struct Payments;
    /// # impl Payments {
    /// #     fn find(&self, _: &str) -> Option<u64> { None }
    /// #     fn pay(&self, _: &str) -> u64 { 1 }
    /// # }
    /// fn pay(payments: &Payments, order: &str) -> u64 {
    ///     // A run before this one may have paid, and died before it could say so.
    ///     if Context::current().attempt() > 1 {
    ///         if let Some(receipt) = payments.find(order) {
    ///             return receipt;
    ///         }
    ///     }
    ///     payments.pay(order)
    /// }
    /// # assert_eq!(pay(&Payments, "17"), 1);
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// The idempotency key the caller chose, to be written in one transaction with the effect. It
    /// is not inherited by calls that the handler makes: they have effects of their own.
    ///
    /// ```
    /// use replybus::Context;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # Context::builder().idempotency_key("order-17").build().scope(async {
    /// let context = Context::current();
    /// // A key for the one mail that belongs to this order.
    /// let mail = context.idempotency_key().map(|key| format!("{key}/mail"));
    /// # assert_eq!(mail.as_deref(), Some("order-17/mail"));
    /// # }).await;
    /// # }
    /// ```
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.0.idempotency_key.as_deref()
    }

    /// How much the call matters beside others; calls that the handler makes inherit it.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.0.priority
    }

    /// The metadata that the caller, or its caller, attached.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// The trace this call is part of (W3C Trace Context).
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.0.trace.as_ref()
    }

    /// The baggage that goes along with the trace; calls and events that the handler makes inherit
    /// it.
    #[must_use]
    pub fn baggage(&self) -> &Baggage {
        self.0.baggage.as_deref().unwrap_or(&NO_BAGGAGE)
    }

    /// The same context with other baggage, to [run](Self::scope) what is to take it along.
    #[must_use]
    pub fn with_baggage(self, baggage: Baggage) -> Self {
        let baggage = Some(baggage).filter(|baggage| !baggage.is_empty());
        Self(Arc::new(Inner {
            baggage: baggage.map(Arc::new),
            ..self.within()
        }))
    }

    pub(crate) fn shared_baggage(&self) -> Option<&Arc<Baggage>> {
        self.0.baggage.as_ref()
    }

    /// Says in a span of the log which call this is, and of which trace: both ends of a call, and
    /// all it leads to, are found by them.
    pub(crate) fn name_in(&self, span: &tracing::Span) {
        if span.is_disabled() {
            return;
        }
        if let Some(id) = self.0.call_id {
            span.record("call_id", tracing::field::display(id));
        }
        if let Some(trace) = &self.0.trace {
            span.record("trace_id", format!("{:032x}", trace.trace_id()));
        }
    }

    /// The same context at another place of its trace, for a part of its run.
    pub(crate) fn with_trace(self, trace: TraceContext) -> Self {
        Self(Arc::new(Inner {
            trace: Some(trace),
            ..self.within()
        }))
    }

    /// Puts a context that nobody has yet at another place of its trace.
    pub(crate) fn set_trace(&mut self, trace: TraceContext) {
        Arc::make_mut(&mut self.0).trace = Some(trace);
    }

    /// That of a part of this run, whose marks are marks of the run.
    fn within(self) -> Inner {
        Inner {
            within: Some(Arc::clone(&self.0)),
            ..Inner::clone(&self.0)
        }
    }

    /// The same call, whose handler reports to `reporter`.
    pub(crate) fn reporting_to(mut self, reporter: Reporter) -> Self {
        Arc::make_mut(&mut self.0).reporter = Some(reporter);
        self
    }

    /// The same call as seen by its stream: it has no deadline, which was that of its opening, and
    /// ends with its reader.
    pub(crate) fn of_stream(mut self, reader_gone: CancellationToken) -> Self {
        let inner = Arc::make_mut(&mut self.0);
        inner.deadline = None;
        inner.cancelled = Some(reader_gone);
        self
    }

    /// The same call as seen by its `attempt`-th run.
    pub(crate) fn with_attempt(mut self, attempt: u32) -> Self {
        if self.0.attempt != attempt {
            Arc::make_mut(&mut self.0).attempt = attempt;
        }
        self
    }
}

impl Context {
    /// The same call as seen by its `attempt`-th run, with marks of that run alone.
    pub(crate) fn with_attempt_of_its_own(&self, attempt: u32) -> Self {
        Self(Arc::new(Inner {
            attempt,
            key_released: Flag::default(),
            put_off: Flag::default(),
            within: None,
            ..Inner::clone(&self.0)
        }))
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
}
