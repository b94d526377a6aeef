//! `/health` and `/metrics`: the gateway's own.

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
use contracts::{PartHealth, program::API_PRODUCER};
use replybus::{reply::StoreHealth, transport::TransportHealth};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(health))
        .routes(routes!(metrics))
}

/// The health of the gateway.
#[derive(Serialize, ToSchema)]
struct GatewayHealth {
    /// `up` if all its parts are.
    status: PartHealth,
    /// Its name.
    service: &'static str,
    /// The way of requests.
    broker: PartHealth,
    /// The way of replies.
    replies: PartHealth,
}

/// `up` if the gateway can pass requests on.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    responses(
        (status = OK, body = GatewayHealth),
        (status = SERVICE_UNAVAILABLE, body = GatewayHealth, description = "A part is down")
    )
)]
async fn health(State(gateway): State<Arc<Gateway>>) -> impl IntoResponse {
    let health = gateway.bus.health();
    let status = if health.is_up() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let health = GatewayHealth {
        status: PartHealth::of(health.is_up()),
        service: API_PRODUCER,
        broker: PartHealth::of(health.transport == TransportHealth::Up),
        replies: PartHealth::of(health.replies == StoreHealth::Up),
    };
    (status, Json(health))
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
