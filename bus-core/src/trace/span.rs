//! One span: begun, described, ended when it is dropped.

use super::{Tracer, tracer};
use crate::{
    call_id::CallId,
    context::{Context, TraceContext},
    contract::wall_clock,
    message::Text,
};
use std::{fmt, future::Future, time::SystemTime};

/// A part of a trace that has begun, and ends when it is dropped. Without a
/// [tracer](super::install), or in a trace that is not sampled, it records nothing.
///
/// ```
/// use replybus::trace::{Span, SpanKind};
///
/// # async fn render(_: u32) -> Result<Vec<u8>, std::fmt::Error> { Ok(Vec::new()) }
/// async fn page(number: u32) -> Result<Vec<u8>, std::fmt::Error> {
///     let mut span = Span::begin(SpanKind::Internal, "render page");
///     span.set("page.number", i64::from(number));
///     // Calls made within are part of it.
///     let rendered = span.within(render(number)).await;
///     if rendered.is_err() {
///         span.fail("render");
///     }
///     rendered
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() { page(7).await.unwrap(); }
/// ```
#[must_use = "a span that is dropped has ended"]
pub struct Span(Option<Box<Begun>>);

/// A span that was begun while there was a tracer.
struct Begun {
    trace: TraceContext,
    recorded: Option<Recorded>,
}

/// A span that is recorded.
struct Recorded {
    tracer: &'static dyn Tracer,
    span: FinishedSpan,
}

/// What a span is in the exchange that it is a part of, as OpenTelemetry tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanKind {
    /// Work within a program.
    Internal,
    /// A request that is served, such as one over HTTP.
    Server,
    /// A request to another program that is waited for.
    Client,
    /// A message that is sent.
    Producer,
    /// A message that is handled.
    Consumer,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A text.
    Text(Text),
    /// An integer.
    Int(i64),
    /// Yes or no.
    Bool(bool),
}

/// A span that has ended, as a [`Tracer`] gets it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FinishedSpan {
    /// Its trace, its own id, and the state of the trace.
    pub trace: TraceContext,
    /// The span it is a part of; none if its trace begins with it.
    pub parent: Option<u64>,
    /// The parent is in another program, or may be.
    pub parent_is_remote: bool,
    /// What it is in its exchange.
    pub kind: SpanKind,
    /// Its name, one of few.
    pub name: Text,
    /// When it began, by this machine's clock.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Its attributes, in the order they were set, each name once.
    pub attributes: Vec<(&'static str, Value)>,
    /// Spans of which it is a result beside its parent.
    pub links: Vec<TraceContext>,
    /// What it failed of, in one word of few; none if it did not fail.
    pub error: Option<Text>,
}

/// Attributes for which a span has room from the beginning: as many as those of a message have.
const ROOM: usize = 10;

impl Span {
    /// One that records nothing.
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    /// Begins a span in the trace of the [current context](Context::current), or a trace that begins
    /// with it.
    pub fn begin(kind: SpanKind, name: impl Into<Text>) -> Self {
        match tracer() {
            None => Self::none(),
            Some(_) => Self::child(Context::current().trace(), kind, name),
        }
    }

    /// Begins a span in the trace of the [current context](Context::current). Outside of a trace it
    /// records nothing: for what is done on behalf of calls and of nobody alike, such as a statement
    /// that a database is asked.
    pub fn inner(kind: SpanKind, name: impl Into<Text>) -> Self {
        if tracer().is_none() {
            return Self::none();
        }
        match Context::current().trace() {
            None => Self::none(),
            trace => Self::child(trace, kind, name),
        }
    }

    /// Begins a trace that is named after `id`: by it lines of a log and spans find each other.
    pub fn begin_trace(id: CallId, kind: SpanKind, name: impl Into<Text>) -> Self {
        let Some(tracer) = tracer() else {
            return Self::none();
        };
        let trace = TraceContext::root(id);
        let is_sampled = tracer.samples(trace.trace_id(), None);
        let trace = trace.sampled(is_sampled);
        Self::of(tracer, trace, None, kind, || name.into())
    }

    /// Begins a span of this process in a trace, or a trace that begins with it.
    pub(crate) fn child(
        parent: Option<&TraceContext>,
        kind: SpanKind,
        name: impl Into<Text>,
    ) -> Self {
        let Some(tracer) = tracer() else {
            return Self::none();
        };
        let Some(parent) = parent else {
            return Self::begin_trace(CallId::new(), kind, name);
        };
        let is_sampled = tracer.samples(parent.trace_id(), Some(parent));
        if !is_sampled && !parent.is_sampled() {
            return Self::none();
        }
        let trace = parent.child(CallId::new()).sampled(is_sampled);
        Self::of(tracer, trace, Some(parent.span_id()), kind, || name.into())
    }

    /// A span with this place in its trace, which is recorded, and needs a name, if that is sampled.
    pub(super) fn of(
        tracer: &'static dyn Tracer,
        trace: TraceContext,
        parent: Option<u64>,
        kind: SpanKind,
        name: impl FnOnce() -> Text,
    ) -> Self {
        let recorded = trace.is_sampled().then(|| {
            let began = wall_clock();
            Recorded {
                tracer,
                span: FinishedSpan {
                    trace: trace.clone(),
                    parent,
                    parent_is_remote: false,
                    kind,
                    name: name(),
                    began,
                    ended: began,
                    attributes: Vec::with_capacity(ROOM),
                    links: Vec::new(),
                    error: None,
                },
            }
        });
        Self(Some(Box::new(Begun { trace, recorded })))
    }

    /// The same, whose parent is in another program.
    pub(super) fn of_remote(mut self) -> Self {
        if let Some(span) = self.recorded() {
            span.parent_is_remote = true;
        }
        self
    }

    fn recorded(&mut self) -> Option<&mut FinishedSpan> {
        let recorded = self.0.as_mut()?.recorded.as_mut()?;
        Some(&mut recorded.span)
    }

    /// `true` if it is recorded: what takes effort to say need not be said otherwise.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|begun| begun.recorded.is_some())
    }

    /// Its place in its trace; none without a tracer, and in a trace of which is known already that
    /// it is not sampled: what is made in the span has its place from there.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.0.as_ref().map(|begun| &begun.trace)
    }

    /// Sets an attribute, replacing what it was. Whoever reads traces reads it: it is no place for a
    /// secret.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        let Some(span) = self.recorded() else { return };
        let value = value.into();
        match span.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some(attribute) => attribute.1 = value,
            None => span.attributes.push((name, value)),
        }
    }

    /// Says that it failed, and of what: one word of few, such as the kind of an error.
    pub fn fail(&mut self, error: impl Into<Text>) {
        if let Some(span) = self.recorded() {
            let error = error.into();
            span.error = Some(error.clone());
            self.set("error.type", error);
        }
    }

    /// Says that it also comes of another span.
    pub fn link(&mut self, to: &TraceContext) {
        if let Some(span) = self.recorded() {
            span.links.push(to.clone());
        }
    }

    /// The [current context](Context::current), in this span.
    #[must_use]
    pub fn context(&self) -> Context {
        let context = Context::current();
        match self.trace() {
            Some(trace) => context.with_trace(trace.clone()),
            None => context,
        }
    }

    /// Runs a future in this span: calls, events and spans that it makes are part of it.
    ///
    /// # Cancel safety
    /// As safe as the future.
    pub async fn within<F: Future>(&self, future: F) -> F::Output {
        match self.0 {
            Some(_) => self.context().scope(future).await,
            None => future.await,
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let recorded = self.0.take().and_then(|begun| begun.recorded);
        if let Some(Recorded { tracer, mut span }) = recorded {
            // A clock that was set back meanwhile makes no span that ends before it began.
            span.ended = wall_clock().max(span.began);
            tracer.ended(span);
        }
    }
}

// Without attributes: a program may have set one that is not for a log.
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("trace", &self.trace())
            .field("is_recorded", &self.is_recorded())
            .finish_non_exhaustive()
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Text::from_static(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

/// What is above the largest integer that is exported is that one.
impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
