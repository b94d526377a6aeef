//! Spans: what a bus does, and a program around it, told to whoever exports it.
//!
//! Nothing is recorded until a [`Tracer`] is [installed](install), and then it costs nothing: one
//! load of an atomic for a call at each end. The crate `replybus-otel` has one that exports by
//! OpenTelemetry's protocol; programs that make spans of their own begin them by
//! [`Span::begin`]. A span's name and attributes are those of OpenTelemetry's conventions for
//! messaging. No body, metadata, header or idempotency key is ever among them.
//!
//! The ids that are exported are those that travel: what makes a call or emits an event has the span
//! id that its message's `traceparent` names, and a handler's context has that of its span.

mod carried;
mod messaging;
mod span;

pub(crate) use carried::Carried;
pub(crate) use messaging::{
    answered, calling, claiming, concluded, emitting, handling, keeping, processing, storing,
};
pub use span::{FinishedSpan, Span, SpanKind, Value};

use crate::context::TraceContext;
use std::sync::OnceLock;

/// Decides what is recorded, and takes it.
///
/// ```
/// use replybus::{
///     context::TraceContext,
///     trace::{FinishedSpan, Span, SpanKind, Tracer},
/// };
/// use std::sync::Mutex;
///
/// /// Keeps the names of all spans of this program.
/// struct Names(&'static Mutex<Vec<String>>);
///
/// impl Tracer for Names {
///     fn samples(&self, _: u128, parent: Option<&TraceContext>) -> bool {
///         parent.is_none_or(TraceContext::is_sampled)
///     }
///
///     fn ended(&self, span: FinishedSpan) {
///         self.0.lock().unwrap().push(span.name.to_string());
///     }
/// }
///
/// static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// replybus::trace::install(Names(&NAMES))?;
/// drop(Span::begin(SpanKind::Internal, "count the money"));
/// assert_eq!(*NAMES.lock().unwrap(), ["count the money"]);
/// # Ok::<(), replybus::trace::AlreadyInstalled>(())
/// ```
pub trait Tracer: Send + Sync + 'static {
    /// `true` if a span of this trace is to be recorded. Without a `parent` the trace begins here.
    /// What is made in the span is told of it by the flag *sampled* of its `traceparent`.
    fn samples(&self, trace_id: u128, parent: Option<&TraceContext>) -> bool;

    /// Takes a span that has ended. Called where it ended, often in the middle of a call: it must not
    /// wait.
    fn ended(&self, span: FinishedSpan);
}

/// A process has one tracer, and there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tracer is installed in this process already")]
pub struct AlreadyInstalled;

static TRACER: OnceLock<Box<dyn Tracer>> = OnceLock::new();

/// Records spans from here on, in all of this process.
///
/// # Errors
/// There is a tracer.
pub fn install(tracer: impl Tracer) -> Result<(), AlreadyInstalled> {
    TRACER.set(Box::new(tracer)).map_err(|_| AlreadyInstalled)
}

/// What spans are told to, if to anybody.
pub(crate) fn tracer() -> Option<&'static dyn Tracer> {
    TRACER.get().map(|tracer| &**tracer)
}

/// `true` if spans may be recorded.
pub(crate) fn is_on() -> bool {
    TRACER.get().is_some()
}
