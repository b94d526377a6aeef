//! One request as one unit of work: its name, its time, and what its calls inherit.

use crate::{
    correlation::{Correlation, X_CORRELATION_ID},
    gateway::Gateway,
    limits::Limits,
    problem::Problem,
    request::{discard, session_of, too_large},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use chassis::identity::SESSION;
use replybus::{Context, Metadata, context::TraceContext};
use std::sync::Arc;
use tokio::time::{Instant, timeout};

pub(super) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
    next: Next,
) -> Response {
    let correlation = Correlation::new();
    let answering = within(&gateway.limits, &correlation, request, next);
    let mut response = correlation.clone().scope(answering).await;
    let headers = response.headers_mut();
    headers.insert(X_CORRELATION_ID, correlation.header());
    response
}

async fn within(
    limits: &Limits,
    correlation: &Correlation,
    request: Request,
    next: Next,
) -> Response {
    if announces_more_than(limits.body_bytes, request.headers()) {
        discard(request.into_body(), limits).await;
        return too_large(limits.body_bytes).into_response();
    }
    // Nothing else of the request travels: neither a pass nor metadata or a trace of the client's
    // making.
    let context = Context::builder()
        .metadata(session(request.headers()))
        .trace(TraceContext::root(correlation.own()))
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
