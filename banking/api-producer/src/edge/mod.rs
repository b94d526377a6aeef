//! The middleware around every request, whatever its route: from the outside to the inside, it is
//! [observed](observing), its answer gets the [headers](security) that protect who reads it, and it
//! is [answered](answering) within its bounds, as one request with one name.

mod answering;
mod observing;
mod security;

use crate::{gateway::Gateway, problem::Problem};
use axum::{
    Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state, map_response_with_state},
    response::{IntoResponse as _, Response},
};
use std::{any::Any, sync::Arc};
use tower_http::catch_panic::CatchPanicLayer;

/// Puts the edge around all routes.
pub(crate) fn around(routes: Router, gateway: Arc<Gateway>) -> Router {
    routes
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "Not found"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
        })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(gateway, answering::answer))
        .layer(map_response_with_state((), security::protect))
        .layer(from_fn(observing::observe))
}

/// The panic's own message was written by the hook that is installed for it.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a request made its handler panic");
    Problem::internal().into_response()
}
