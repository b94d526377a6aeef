//! A tracer that keeps spans by their trace.

use replybus::{
    context::TraceContext,
    trace::{FinishedSpan, SpanKind, Tracer, Value, install},
};
use replybus_testkit::wait::eventually;
use std::{
    cell::Cell,
    collections::BTreeMap,
    sync::{Mutex, Once},
};

static ENDED: Mutex<BTreeMap<u128, Vec<FinishedSpan>>> = Mutex::new(BTreeMap::new());
static INSTALLED: Once = Once::new();

thread_local! {
    /// No trace that begins in this thread is recorded.
    static DECLINES: Cell<bool> = const { Cell::new(false) };
}

struct Keeper;

impl Tracer for Keeper {
    fn samples(&self, _: u128, parent: Option<&TraceContext>) -> bool {
        parent.map_or_else(|| !DECLINES.get(), TraceContext::is_sampled)
    }

    fn ended(&self, span: FinishedSpan) {
        let mut ended = ENDED.lock().unwrap();
        ended.entry(span.trace.trace_id()).or_default().push(span);
    }
}

/// Begins to keep spans, once.
pub(crate) fn keep() {
    INSTALLED.call_once(|| install(Keeper).unwrap());
}

/// Keeps no span of the traces that begin in this thread, which is that of one test.
pub(crate) fn decline() {
    keep();
    DECLINES.set(true);
}

/// The spans of a trace that have ended.
#[derive(Debug)]
pub(crate) struct Spans(pub(crate) Vec<FinishedSpan>);

impl Spans {
    /// Those that there are now.
    pub(crate) fn of(trace: u128) -> Self {
        Self(
            ENDED
                .lock()
                .unwrap()
                .get(&trace)
                .cloned()
                .unwrap_or_default(),
        )
    }

    /// Waits until there are so many.
    pub(crate) async fn wait(trace: u128, count: usize) -> Self {
        eventually(&format!("{count} spans have ended"), || async {
            Self::of(trace).0.len() >= count
        })
        .await;
        let spans = Self::of(trace);
        assert_eq!(spans.0.len(), count, "{spans:#?}");
        spans
    }

    /// The tree below a span, as lines of names and kinds, each behind its depth. Children are in the
    /// order in which they began.
    pub(crate) fn tree(&self, below: Option<u64>) -> Vec<String> {
        let mut lines = Vec::new();
        self.grow(below, 0, &mut lines);
        lines
    }

    fn grow(&self, below: Option<u64>, depth: usize, lines: &mut Vec<String>) {
        let mut children: Vec<_> = self.0.iter().filter(|span| span.parent == below).collect();
        children.sort_by_key(|span| span.began);
        for span in children {
            let kind = match span.kind {
                SpanKind::Producer => " ->",
                SpanKind::Consumer => " <-",
                _ => "",
            };
            let error = span.error.as_ref().map(|error| format!(" !{error}"));
            let error = error.unwrap_or_default();
            lines.push(format!("{}{}{kind}{error}", "  ".repeat(depth), span.name));
            self.grow(Some(span.trace.span_id()), depth + 1, lines);
        }
    }

    pub(crate) fn named(&self, name: &str) -> &FinishedSpan {
        let found = self.0.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("no span {name:?} in {self:#?}"))
    }
}

/// The attributes of a span as text.
pub(crate) fn attributes(span: &FinishedSpan) -> BTreeMap<&'static str, String> {
    let shown = |value: &Value| match value {
        Value::Text(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => panic!("{value:?}"),
    };
    let attributes = span.attributes.iter();
    attributes
        .map(|(name, value)| (*name, shown(value)))
        .collect()
}
