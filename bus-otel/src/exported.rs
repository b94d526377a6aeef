//! A span of ours as one of OpenTelemetry's.

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use replybus::{
    context::TraceContext,
    trace::{FinishedSpan, SpanKind as Kind, Value},
};

/// The span to export.
pub(crate) fn exported(span: FinishedSpan, scope: &InstrumentationScope) -> SpanData {
    let attributes = span.attributes.into_iter();
    let attributes = attributes.filter_map(|(name, value)| Some(KeyValue::new(name, of(value)?)));
    let mut links = SpanLinks::default();
    links.links = span
        .links
        .iter()
        .map(|link| opentelemetry::trace::Link::with_context(context(link, true)))
        .collect();
    SpanData {
        span_context: context(&span.trace, false),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from),
        parent_span_is_remote: span.parent_is_remote,
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
            Kind::Producer => SpanKind::Producer,
            Kind::Consumer => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        name: String::from(span.name).into(),
        start_time: span.began,
        end_time: span.ended,
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: match span.error {
            Some(error) => Status::error(String::from(error)),
            None => Status::Unset,
        },
        instrumentation_scope: scope.clone(),
    }
}

fn context(trace: &TraceContext, is_remote: bool) -> SpanContext {
    let state = trace.state().and_then(|state| state.parse().ok());
    SpanContext::new(
        TraceId::from(trace.trace_id()),
        SpanId::from(trace.span_id()),
        if trace.is_sampled() {
            TraceFlags::SAMPLED
        } else {
            TraceFlags::default()
        },
        is_remote,
        state.unwrap_or(TraceState::NONE),
    )
}

/// The value of an attribute, if it is of a kind that is known here.
fn of(value: Value) -> Option<opentelemetry::Value> {
    Some(match value {
        Value::Text(text) => String::from(text).into(),
        Value::Int(number) => number.into(),
        Value::Bool(value) => value.into(),
        _ => return None,
    })
}
