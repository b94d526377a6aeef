//! What an orchestrator asks a program: does it live, can it work, what does it count.

use axum::{Router, http::StatusCode, routing::get};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use replybus::Bus;
use std::{future::Future, net::SocketAddr, sync::OnceLock, time::Duration};
use tokio::net::TcpListener;

static METRICS: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// The metrics of this process in Prometheus' text format; the first use begins to count.
#[must_use]
pub fn metrics_text() -> String {
    let handle = METRICS.get_or_init(|| {
        let seconds = [
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ];
        let builder = PrometheusBuilder::new().set_buckets(&seconds);
        let installed = builder.and_then(PrometheusBuilder::install_recorder);
        installed
            .inspect_err(|error| tracing::error!(%error, "metrics are not counted"))
            .ok()
    });
    handle
        .as_ref()
        .map(PrometheusHandle::render)
        .unwrap_or_default()
}

/// Lets go of what the histograms collected, from time to time.
pub(crate) async fn upkeep() {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        if let Some(Some(handle)) = METRICS.get() {
            handle.run_upkeep();
        }
    }
}

/// Serves the probes until `stop` is ready.
pub(crate) async fn serve(
    address: SocketAddr,
    bus: Bus,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let ready = move || {
        let bus = bus.clone();
        async move {
            if bus.health().is_up() {
                (StatusCode::OK, "ready\n")
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, "the bus is down\n")
            }
        }
    };
    let probes = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|| async { metrics_text() }));
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, probes)
        .with_graceful_shutdown(stop)
        .await
}
