//! What is counted and written of every request. Neither a query nor a header is: they hold
//! sessions.

use super::answering::TraceName;
use crate::correlation::X_CORRELATION_ID;
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderValue, Method, StatusCode},
    middleware::Next,
    response::Response,
};
use std::time::Instant;

pub(super) async fn observe(request: Request, next: Next) -> Response {
    let mut observed = Observed::begin(&request);
    let response = next.run(request).await;
    observed.end(&response);
    response
}

/// A request that goes on. It is counted when it is dropped: a client that hangs up early has its
/// request dropped as well.
struct Observed {
    method: &'static str,
    route: String,
    path: String,
    started: Instant,
    status: Option<StatusCode>,
    correlation: Option<HeaderValue>,
    trace: Option<TraceName>,
}

impl Observed {
    fn begin(request: &Request) -> Self {
        // Labels have few values: paths and methods are whatever a client makes up.
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("unmatched", MatchedPath::as_str);
        Self {
            method: known(request.method()),
            route: route.to_owned(),
            path: request.uri().path().to_owned(),
            started: Instant::now(),
            status: None,
            correlation: None,
            trace: None,
        }
    }

    fn end(&mut self, response: &Response) {
        self.status = Some(response.status());
        self.correlation = response.headers().get(X_CORRELATION_ID).cloned();
        self.trace = response.extensions().get().cloned();
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        let status = self.status.as_ref().map_or("dropped", StatusCode::as_str);
        let (method, route) = (self.method, self.route.clone());
        // The route by two names: dashboards for other gateways call it the endpoint.
        metrics::histogram!(
            "http_request_duration_seconds",
            "method" => method, "route" => route.clone(), "endpoint" => route.clone()
        )
        .record(seconds);
        metrics::counter!(
            "http_requests_total",
            "method" => method, "route" => route.clone(), "endpoint" => route,
            "status" => status.to_owned()
        )
        .increment(1);
        let correlation = self.correlation.as_ref();
        let correlation = correlation.and_then(|id| id.to_str().ok());
        tracing::info!(
            method,
            path = self.path,
            status,
            seconds,
            correlation,
            trace_id = self.trace.as_ref().map(|trace| trace.0.as_str()),
            "http"
        );
    }
}

/// The method, if it is one of those that have a meaning here.
pub(super) fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
