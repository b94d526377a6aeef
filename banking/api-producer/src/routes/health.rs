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

/// A route that asks a service how it is: its handler, the client of the gateway, its path, and
/// what it is described as.
macro_rules! health_route {
    ($name:ident, $client:ident, $path:literal, $about:literal) => {
        #[doc = $about]
        #[utoipa::path(
            get,
            path = $path,
            tag = "health",
            responses(
                (status = OK, body = ServiceHealth),
                (status = SERVICE_UNAVAILABLE, body = Unwell, description = "A part is down, or nobody answers")
            )
        )]
        async fn $name(State(gateway): State<Arc<Gateway>>) -> Response {
            ask(&gateway, gateway.$client.health()).await
        }
    };
}

health_route!(auth, auth, "/api/auth/health", "How the auth service is.");
health_route!(
    account,
    accounts,
    "/api/account/health",
    "How the account service is."
);
health_route!(
    transfer,
    transfers,
    "/api/transfer/health",
    "How the transfer service is."
);
health_route!(
    notifications,
    notifications,
    "/api/notifications/health",
    "How the notification service is."
);

/// The answer of a service that is not well.
#[derive(utoipa::ToSchema)]
#[schema(description = "How the service is, or that nobody answers.")]
#[allow(dead_code, reason = "it describes an answer of either kind")]
#[serde(untagged)]
enum Unwell {
    Part(ServiceHealth),
    Nobody(Detail),
}

async fn ask(gateway: &Gateway, call: Call<Result<ServiceHealth, Never>>) -> Response {
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
