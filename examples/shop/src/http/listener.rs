//! The listener of a service: its own routes, its health and its metrics.

use super::{BODY_BYTES_MAX, Problem};
use crate::{Platform, ServiceName};
use axum::{
    Json, Router,
    extract::DefaultBodyLimit,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use chassis::{Database, Running, http::ConnectionLimits, metrics_text};
use replybus::{reply::StoreHealth, transport::TransportHealth};
use serde::Serialize;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;

/// Serves the face of a service: its own routes, `/health` and `/metrics`.
pub(crate) async fn serve(
    life: Running,
    platform: &Platform,
    name: ServiceName,
    database: &Database,
    routes: Router,
) -> anyhow::Result<(Running, SocketAddr)> {
    let settings = &platform.settings;
    let address = match name {
        ServiceName::UserService => settings.user_addr,
        ServiceName::ProductService => settings.product_addr,
        ServiceName::OrderService => settings.order_addr,
        ServiceName::NotificationService => settings.notification_addr,
    };
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| {
        anyhow::Error::new(error).context(format!("{name} can't listen on {address}"))
    })?;
    let address = listener.local_addr()?;
    let (health_of, probed) = (platform.clone(), database.clone());
    let app = routes
        .route(
            "/health",
            get(async move || health(name, &health_of, &probed).await),
        )
        .route("/metrics", get(async || metrics_text()))
        .fallback(async || Problem::not_found("Page"))
        .method_not_allowed_fallback(async || {
            Problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed".into())
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::new());
    let limits = ConnectionLimits::default();
    let life = life.beside(|stop| chassis::http::serve(listener, app, limits, stop));
    let database = database.clone();
    let life = life.on_stopped(async move { database.close().await });
    Ok((life, address))
}

/// The state of a service, and of what it stands on: `up`, `down`, or `embedded` where it is a part
/// of this process.
#[derive(Serialize)]
struct Health {
    status: &'static str,
    service: String,
    redis: &'static str,
    rabbitmq: &'static str,
    database: &'static str,
}

/// Without its database a service does nothing; without the bus, less.
async fn health(name: ServiceName, platform: &Platform, database: &Database) -> Response {
    let (bus, settings) = (platform.bus.health(), &platform.settings);
    let state = |is_up: bool, is_embedded: bool| match (is_up, is_embedded) {
        (false, _) => "down",
        (true, true) => "embedded",
        (true, false) => "up",
    };
    let database_is_up = database.is_up().await;
    let (status, word) = match (database_is_up, bus.is_up()) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "healthy"),
    };
    let health = Health {
        status: word,
        service: name.to_string(),
        redis: state(bus.replies == StoreHealth::Up, settings.redis_url.is_none()),
        rabbitmq: state(
            bus.transport == TransportHealth::Up,
            settings.amqp_url.is_none(),
        ),
        database: state(
            database_is_up,
            settings.database_url.reveal().starts_with("sqlite:"),
        ),
    };
    (status, Json(health)).into_response()
}
