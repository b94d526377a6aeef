//! `/api/*/health`: how the services are, asked over their queues.

use crate::{
    gateway::Gateway,
    problem::{Detail, Problem, RETRY_AFTER_SECONDS},
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use contracts::{PartHealth, ServiceHealth};
use replybus::{CallError, Never, client::Call};
use std::sync::Arc;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::default()
        .routes(routes!(auth))
        .routes(routes!(account))
        .routes(routes!(transfer))
        .routes(routes!(notifications))
}

/// How the auth service is.
#[utoipa::path(
    get,
    path = "/api/auth/health",
    tag = "health",
    responses(
        (status = OK, body = ServiceHealth),
        (status = SERVICE_UNAVAILABLE, body = Unwell, description = "A part is down, or nobody answers")
    )
)]
async fn auth(State(gateway): State<Arc<Gateway>>) -> Response {
    asked(&gateway, gateway.auth.health()).await
}

/// How the account service is.
#[utoipa::path(
    get,
    path = "/api/account/health",
    tag = "health",
    responses(
        (status = OK, body = ServiceHealth),
        (status = SERVICE_UNAVAILABLE, body = Unwell, description = "A part is down, or nobody answers")
    )
)]
async fn account(State(gateway): State<Arc<Gateway>>) -> Response {
    asked(&gateway, gateway.accounts.health()).await
}

/// How the transfer service is.
#[utoipa::path(
    get,
    path = "/api/transfer/health",
    tag = "health",
    responses(
        (status = OK, body = ServiceHealth),
        (status = SERVICE_UNAVAILABLE, body = Unwell, description = "A part is down, or nobody answers")
    )
)]
async fn transfer(State(gateway): State<Arc<Gateway>>) -> Response {
    asked(&gateway, gateway.transfers.health()).await
}

/// How the notification service is.
#[utoipa::path(
    get,
    path = "/api/notifications/health",
    tag = "health",
    responses(
        (status = OK, body = ServiceHealth),
        (status = SERVICE_UNAVAILABLE, body = Unwell, description = "A part is down, or nobody answers")
    )
)]
async fn notifications(State(gateway): State<Arc<Gateway>>) -> Response {
    asked(&gateway, gateway.notifications.health()).await
}

/// What is said of a service that is not well.
#[derive(utoipa::ToSchema)]
#[schema(description = "How the service is, or that nobody answers.")]
#[allow(dead_code, reason = "it describes an answer of either kind")]
#[serde(untagged)]
enum Unwell {
    Part(ServiceHealth),
    Nobody(Detail),
}

async fn asked(gateway: &Gateway, call: Call<Result<ServiceHealth, Never>>) -> Response {
    let health = match call.timeout(gateway.limits.health).await {
        Ok(health) => health,
        Err(CallError::Handler(never)) => match never {},
        Err(CallError::Bus(failure)) => {
            return Problem::unanswered(&failure).into_response();
        }
    };
    if health.status == PartHealth::Up {
        return Json(health).into_response();
    }
    let retry_after = [(header::RETRY_AFTER, RETRY_AFTER_SECONDS)];
    (StatusCode::SERVICE_UNAVAILABLE, retry_after, Json(health)).into_response()
}
