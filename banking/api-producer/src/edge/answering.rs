//! One request as one unit of work: its name, its time, and what its calls inherit.

use super::observing::known;
use crate::{
    correlation::{Correlation, X_CORRELATION_ID},
    gateway::Gateway,
    limits::Limits,
    problem::Problem,
    request::{discard, session_of, too_large},
};
use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chassis::identity::SESSION;
use replybus::{
    CallId, Context, Metadata,
    context::TraceContext,
    trace::{Span, SpanKind},
};
use std::sync::Arc;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

pub(super) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    let correlation = Correlation::new();
    let mut span = span(&request, correlation.own());
    // Without an export it is the same trace, named after the request.
    let trace = span.trace().cloned();
    let trace = trace.unwrap_or_else(|| TraceContext::root(correlation.own()));
    let name = TraceName(format!("{:032x}", trace.trace_id()));
    let log = tracing::info_span!("request", call_id = %correlation.own(), trace_id = name.0);
    let answering = within(&gateway.limits, trace, request, next).instrument(log);
    let mut response = correlation.clone().scope(answering).await;
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.as_str().to_owned());
    }
    response.extensions_mut().insert(name);
    let headers = response.headers_mut();
    headers.insert(X_CORRELATION_ID, correlation.header());
    response
}

/// The id of the trace of a request, for the line that is written of it.
#[derive(Debug, Clone)]
pub(super) struct TraceName(pub(super) String);

/// The span of a request, by OpenTelemetry's conventions for HTTP. Its path, its query and its headers
/// are in none: they may hold whatever a client makes up.
fn span(request: &Request, id: CallId) -> Span {
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>();
    let name = match route {
        Some(route) => format!("{method} {}", route.as_str()),
        None => method.to_owned(),
    };
    let mut span = Span::begin_trace(id, SpanKind::Server, name);
    span.set("http.request.method", method);
    if let Some(route) = route {
        span.set("http.route", route.as_str().to_owned());
    }
    span
}

async fn within(limits: &Limits, trace: TraceContext, request: Request, next: Next) -> Response {
    if announces_more_than(limits.body_bytes, request.headers()) {
        discard(request.into_body(), limits).await;
        return too_large(limits.body_bytes).into_response();
    }
    // Nothing else of the request travels: neither a pass nor metadata or a trace of the client's
    // making.
    let context = Context::builder()
        .metadata(session(request.headers()))
        .trace(trace)
        .deadline(Instant::now() + limits.request)
        .build();
    let answered = context.scope(next.run(request));
    timeout(limits.request + limits.request_grace, answered)
        .await
        .unwrap_or_else(|_| Problem::not_in_time().into_response())
}

fn announces_more_than(limit: usize, headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit))
}

/// The session, as metadata. One that can't travel is none: the services refuse the call.
fn session(headers: &HeaderMap) -> Metadata {
    let mut metadata = Metadata::new();
    if let Some(session) = session_of(headers)
        && let Err(error) = metadata.insert(SESSION, session)
    {
        tracing::debug!(%error, "a session can't travel");
    }
    metadata
}
