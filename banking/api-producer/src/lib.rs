//! The HTTP gateway: makes a call over the bus of every request, and an answer of its reply.
//!
//! In reading order, as a request travels: the `edge` gives it
//! a name, a budget and a context that its calls inherit, `request` reads what it brings, one of
//! the `routes` asks a service through the `gateway`'s clients, which note the call's id in its
//! `correlation` and look whether it is `unserved`, and what goes wrong becomes a `problem`. Those who
//! run the bank look after it by what is in `operating`. The `page` is for people.
//!
//! The gateway decides nothing: the services verify each session themselves, and their databases
//! say what an idempotency key has done.

mod correlation;
mod edge;
mod gateway;
mod limits;
mod operating;
mod page;
mod problem;
mod request;
mod routes;
mod settings;
mod unserved;

pub use contracts::program::API_PRODUCER as NAME;
pub use limits::Limits;
pub use request::{InvalidNetwork, Network};
pub use settings::HttpSettings;

use anyhow::Context as _;
use axum::Router;
use chassis::{Platform, Running, http};
use gateway::Gateway;
use live_feed::{Feed, ws};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// Starts the gateway; returns the address it listens on.
///
/// # Errors
/// The address can't be bound, or there is an admin secret and no key of passes for it.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(
    platform: &Platform,
    settings: &HttpSettings,
    feed: &Feed,
) -> anyhow::Result<(Running, SocketAddr)> {
    start_within(platform, settings, feed, Limits::default()).await
}

/// Starts the gateway with other limits.
///
/// # Errors
/// As [`start`].
///
/// # Cancel safety
/// As [`start`].
pub async fn start_within(
    platform: &Platform,
    settings: &HttpSettings,
    feed: &Feed,
    limits: Limits,
) -> anyhow::Result<(Running, SocketAddr)> {
    let platform = match settings.admin_secret {
        Some(_) => platform.of_issuer(NAME)?,
        None => platform.of_program(NAME),
    };
    let limits = limits.with(settings);
    let gateway = Arc::new(Gateway::new(&platform, settings, limits)?);
    let watchers = gateway.watchers.clone();
    let app = app(&platform, settings, feed, gateway);
    let address = settings.http_addr;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("can't listen on {address}"))?;
    let address = listener.local_addr()?;
    if settings.admin_secret.is_none() {
        tracing::info!("the admin routes are off: no admin secret is set");
    }
    let feed = feed.clone();
    let running = Running::start(NAME, async |life| {
        Ok(life
            .on_draining(async move { watchers.close() })
            .beside(|stop| async move {
                let serving = http::serve(listener, app, limits.connections, stop.clone());
                let closing = async {
                    stop.cancelled().await;
                    feed.close().await;
                };
                tokio::join!(serving, closing);
            }))
    });
    Ok((running.await?, address))
}

/// Everything that is served.
fn app(platform: &Platform, settings: &HttpSettings, feed: &Feed, gateway: Arc<Gateway>) -> Router {
    let routes = routes::router(Arc::clone(&gateway))
        .merge(ws::router(
            platform.identity.clone(),
            feed.clone(),
            settings.ws_origins.clone(),
        ))
        .merge(page::router());
    edge::around(routes, gateway)
}
