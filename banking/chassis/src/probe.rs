//! The probes of an orchestrator: does a program live, can it work, how is it, what is it, and what
//! does it count.

use crate::Platform;
use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use contracts::{HealthStatus, ProgramHealth, ProgramInfo};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use replybus::Bus;
use std::{future::Future, sync::OnceLock, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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

/// The stage of its life that a program is at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage {
    started: CancellationToken,
    draining: CancellationToken,
}

impl Stage {
    /// It is ready.
    pub(crate) fn start(&self) {
        self.started.cancel();
    }

    /// It was told to stop.
    pub(crate) fn drain(&self) {
        self.draining.cancel();
    }

    /// Why it does not work at this stage, if it does not.
    fn why_not(&self) -> Option<&'static str> {
        if self.draining.is_cancelled() {
            Some("it is stopping\n")
        } else if !self.started.is_cancelled() {
            Some("it is starting\n")
        } else {
            None
        }
    }
}

/// Serves the probes until `stop` is ready. It can work once it has started, if its bus and its
/// database are up.
pub(crate) async fn serve(
    listener: TcpListener,
    platform: Platform,
    stage: Stage,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let probes = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/health", get(health))
        .route("/info", get(info))
        .route("/metrics", get(|| async { metrics_text() }))
        .with_state((platform, stage));
    axum::serve(listener, probes)
        .with_graceful_shutdown(stop)
        .await
}

type Probed = State<(Platform, Stage)>;

async fn ready(State((platform, stage)): Probed) -> (StatusCode, String) {
    let unavailable = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, why.to_owned());
    if let Some(why) = stage.why_not() {
        return unavailable(why);
    }
    if !platform.bus.health().is_up() {
        return unavailable("the bus is down\n");
    }
    if platform.databases.are_up().await == Some(false) {
        return unavailable("the database is down\n");
    }
    (StatusCode::OK, ready_text(&platform.bus))
}

/// A program that starts or stops does no work, however its parts are.
async fn health(State((platform, stage)): Probed) -> (StatusCode, Json<ProgramHealth>) {
    let mut health = platform.health().await;
    if stage.why_not().is_some() {
        health.status = HealthStatus::Unhealthy;
    }
    let status = match health.status {
        HealthStatus::Healthy | HealthStatus::Degraded => StatusCode::OK,
        HealthStatus::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health))
}

async fn info(State((platform, _)): Probed) -> Json<ProgramInfo> {
    Json(platform.info())
}

/// What a program that is ready says: it is also that when it loses dead letters.
fn ready_text(bus: &Bus) -> String {
    let mut text = "ready\n".to_owned();
    for (queue, why) in bus.health().dead_letters_dropped {
        text += &format!("dead letters of {queue} are lost: {why}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::PlatformSettings;
    use replybus::{
        queue_handler,
        reply::memory::MemoryReplies,
        transport::{QueueSpec, Transport, memory::MemoryBroker},
    };
    use std::sync::Arc;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    #[tokio::test]
    async fn it_lives_before_it_is_ready_and_while_it_stops() {
        // A program counts from its beginning.
        let _ = metrics_text();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let platform = Platform::connect("teller", PlatformSettings::default());
        let platform = platform.await.unwrap();
        let (stage, stop) = (Stage::default(), CancellationToken::new());
        let stopped = stop.clone().cancelled_owned();
        let serving = serve(listener, platform.clone(), stage.clone(), stopped);
        let serving = tokio::spawn(serving);
        let get = async |path: &str| {
            let mut connection = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let unwell = async |why: &str| {
            let (ready, health) = (get("/readyz").await, get("/health").await);
            assert!(
                ready.starts_with("HTTP/1.0 503") && ready.ends_with(why),
                "{ready}"
            );
            assert!(health.starts_with("HTTP/1.0 503"), "{health}");
            assert!(health.contains("\"status\":\"unhealthy\""), "{health}");
            assert!(get("/livez").await.starts_with("HTTP/1.0 200"));
        };
        unwell("it is starting\n").await;
        stage.start();
        assert!(get("/readyz").await.starts_with("HTTP/1.0 200"));
        let health = get("/health").await;
        assert!(health.starts_with("HTTP/1.0 200"), "{health}");
        assert!(health.contains("\"status\":\"healthy\""), "{health}");
        let info = get("/info").await;
        assert!(info.contains("\"service\":\"teller\""), "{info}");
        let metrics = get("/metrics").await;
        assert!(metrics.starts_with("HTTP/1.0 200"), "{metrics}");
        assert!(
            metrics.contains("replybus_store_failures_total "),
            "{metrics}"
        );
        platform.bus.close(Duration::from_secs(1)).await;
        unwell("the bus is down\n").await;
        stage.drain();
        unwell("it is stopping\n").await;
        stop.cancel();
        serving.await.unwrap().unwrap();
    }

    #[queue_handler("failing.requests")]
    trait Failing {
        async fn fail(&self) -> Result<(), String>;
    }

    struct Fails;

    impl Failing for Fails {
        async fn fail(&self) -> Result<(), String> {
            Err("on purpose".to_owned())
        }
    }

    #[tokio::test]
    async fn one_that_loses_dead_letters_is_ready_and_says_so() {
        let transport = Arc::new(MemoryBroker::new().connect());
        let full = QueueSpec::new("failing.requests.dead").length_max(0);
        transport.declare(full).await.unwrap();
        let bus = Bus::connect(transport, MemoryReplies::new()).await.unwrap();
        let serving = bus.serve(FailingServer::new(Fails)).await.unwrap();
        assert_eq!(ready_text(&bus), "ready\n");
        FailingClient::new(&bus).fail().send().await.unwrap();
        let dropped = async {
            while bus.health().dead_letters_dropped.is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), dropped)
            .await
            .unwrap();
        assert!(bus.health().is_up());
        let text = ready_text(&bus);
        assert!(text.starts_with("ready\ndead letters of failing.requests.dead are lost: "));
        serving.shutdown().await.unwrap();
    }
}
