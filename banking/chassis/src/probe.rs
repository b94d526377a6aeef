//! The probes of an orchestrator: does a program live, can it work, what does it count.

use axum::{Router, http::StatusCode, routing::get};
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

/// Serves the probes until `stop` is ready. It can work once it has `started` and its bus is up.
pub(crate) async fn serve(
    listener: TcpListener,
    bus: Bus,
    started: CancellationToken,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let ready = move || {
        let why_not = if !started.is_cancelled() {
            Some("it is starting\n")
        } else if !bus.health().is_up() {
            Some("the bus is down\n")
        } else {
            None
        };
        let answer = match why_not {
            None => (StatusCode::OK, ready_text(&bus)),
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason.to_owned()),
        };
        std::future::ready(answer)
    };
    let probes = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(|| async { metrics_text() }));
    axum::serve(listener, probes)
        .with_graceful_shutdown(stop)
        .await
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
    async fn it_lives_before_it_is_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (started, stop) = (CancellationToken::new(), CancellationToken::new());
        let serving = serve(
            listener,
            Bus::in_memory(),
            started.clone(),
            stop.clone().cancelled_owned(),
        );
        let serving = tokio::spawn(serving);
        let get = async |path: &str| {
            let mut connection = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            connection.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.unwrap();
            answer
        };
        assert!(get("/livez").await.starts_with("HTTP/1.0 200"));
        let starting = get("/readyz").await;
        assert!(starting.starts_with("HTTP/1.0 503") && starting.ends_with("it is starting\n"));
        started.cancel();
        assert!(get("/readyz").await.starts_with("HTTP/1.0 200"));
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
