//! `/health`, `/info` and `/metrics`: the gateway's own.

use crate::{
    gateway::Gateway,
    problem::{Detail, Problem},
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use contracts::{HealthStatus, ProgramHealth, ProgramInfo};
use std::sync::Arc;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(health))
        .routes(routes!(info))
        .routes(routes!(metrics))
}

/// How the gateway is. It is healthy if it can pass requests on; degraded if it refuses some because
/// their service fails, or dead letters are lost; unhealthy if it can't.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses(
        (status = OK, body = ProgramHealth),
        (status = SERVICE_UNAVAILABLE, body = ProgramHealth, description = "It is unhealthy")
    )
)]
async fn health(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    let mut health = gateway.platform.health().await;
    health.circuits_open = gateway.breakers.open().into_iter().collect();
    if health.status == HealthStatus::Healthy && !health.circuits_open.is_empty() {
        health.status = HealthStatus::Degraded;
    }
    let status = match health.status {
        HealthStatus::Healthy | HealthStatus::Degraded => StatusCode::OK,
        HealthStatus::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health))
}

/// What the gateway is.
#[utoipa::path(
    get,
    path = "/info",
    tag = "health",
    responses((status = OK, body = ProgramInfo))
)]
async fn info(State(gateway): State<Arc<Gateway>>) -> Json<ProgramInfo> {
    Json(gateway.platform.info())
}

/// The metrics of this process, in Prometheus' text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    responses(
        (status = OK, body = String, content_type = "text/plain"),
        (status = NOT_FOUND, body = Detail, description = "They are with the probes alone")
    )
)]
async fn metrics(State(gateway): State<Arc<Gateway>>) -> Result<impl IntoResponse, Problem> {
    if !gateway.public_metrics {
        return Err(Problem::new(StatusCode::NOT_FOUND, "Not found"));
    }
    let text = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, text)], chassis::metrics_text()))
}
