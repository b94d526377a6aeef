//! A listener of HTTP: connections are accepted within a bound, served with time limits, and let
//! end when the service stops.

use axum::Router;
use hyper::server::conn::http1::Builder;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Bytes of a request's line and headers together; a read or two more may pass. A session has about
/// 400 of them.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Pause after a connection could not be accepted, which happens when the process may open no more
/// files: some will be closed meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Limits of connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Time for the headers of a request to arrive, and for the next request to begin on a
    /// connection that is kept. Longer than a proxy keeps idle connections (Kong: 60 s), so that
    /// it is never we who close one just as the proxy uses it.
    pub header_read: Duration,
    /// Connections that may be open, but for WebSockets; more wait to be accepted.
    pub open_max: usize,
    /// Time for requests to end when the service stops.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(75),
            open_max: 4096,
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves until `stop` is cancelled; then requests that were begun may end.
///
/// # Cancel safety
/// Dropped, it takes no more connections, and leaves those that are open to themselves.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
) {
    // Not hyper-util's builder for several versions: while it waits for the first bytes of a
    // connection, no timeout of its own runs.
    let mut http = Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(HEADER_BYTES_MAX);
    let permits = Arc::new(Semaphore::new(limits.open_max.min(Semaphore::MAX_PERMITS)));
    let (open, over) = (TaskTracker::new(), CancellationToken::new());
    while let Some(accepted) = stop
        .run_until_cancelled(accept(&listener, Arc::clone(&permits)))
        .await
    {
        match accepted {
            Ok((stream, permit)) => {
                let connection = attend(http.clone(), stream, app.clone(), stop.clone());
                let over = over.clone();
                open.spawn(async move {
                    over.run_until_cancelled(connection).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    // Whoever connects from now on is told at once that nobody is there.
    drop(listener);
    open.close();
    if timeout(limits.drain, open.wait()).await.is_err() {
        tracing::warn!(left = open.len(), "requests are given up");
        over.cancel();
        open.wait().await;
    }
}

/// A connection, and its permit, of which there are as many as connections may be open. A WebSocket
/// gives it back: they are counted where they are served.
async fn accept(
    listener: &TcpListener,
    permits: Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    // It is never closed.
    let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are small, and someone waits for each.
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

/// Answers the requests of a connection. After the stop, the one that was begun is the last.
async fn attend(http: Builder, stream: TcpStream, app: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(app);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection.with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        let error: &(dyn std::error::Error + 'static) = &error;
        // Mostly a client that is gone, or was too slow.
        tracing::debug!(error, "a connection ended early");
    }
}
