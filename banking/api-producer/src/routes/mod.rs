//! The routes, by service, and what describes them.

mod account;
mod admin;
mod auth;
mod dashboard;
mod health;
mod notifications;
mod openapi;
mod own;
mod transfer;

use crate::gateway::Gateway;
use axum::{Json, Router, routing::get};
use std::{future::ready, sync::Arc};
use utoipa_axum::router::OpenApiRouter;

/// All routes of the gateway but the page and `/ws`, the description of the API among them.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    let (router, api) = OpenApiRouter::with_openapi(openapi::begin())
        .merge(auth::router())
        .merge(account::router())
        .merge(admin::router())
        .merge(transfer::router())
        .merge(notifications::router())
        .merge(dashboard::router())
        .merge(health::router())
        .merge(own::router())
        .split_for_parts();
    let api = openapi::finish(api);
    router
        .route("/openapi.json", get(move || ready(Json(api.clone()))))
        .with_state(gateway)
}
