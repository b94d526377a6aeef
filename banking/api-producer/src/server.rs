//! Connections: accepted within a bound, served with time limits, and let end when the gateway
//! stops.

use crate::limits::Limits;
use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Bytes of a request's line and headers together. A session has about 400 of them.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Pause after a connection could not be accepted, which happens when the process may open no more
/// files: some will be closed meanwhile.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled; then requests that were begun may end.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let mut http = Builder::new(TokioExecutor::new()).http1_only();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_buf_size(HEADER_BYTES_MAX);
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    while let Some(accepted) = stop
        .run_until_cancelled(accept(&listener, Arc::clone(&places)))
        .await
    {
        let connection = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(app.clone());
        let served = http.serve_connection_with_upgrades(TokioIo::new(connection), service);
        let served = open.watch(served.into_owned());
        tokio::spawn(async move {
            if let Err(error) = served.await {
                // Mostly a client that is gone, or was too slow.
                tracing::debug!(error, "a connection ended early");
            }
        });
    }
    // Whoever connects from now on is told at once that nobody is there.
    drop(listener);
    if timeout(limits.drain, open.shutdown()).await.is_err() {
        tracing::warn!("requests were still being answered when the gateway stopped");
    }
}

async fn accept(listener: &TcpListener, places: Arc<Semaphore>) -> io::Result<Connection> {
    // It is never closed.
    let place = places.acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Answers are small, and someone waits for each.
    stream.set_nodelay(true)?;
    Ok(Connection {
        stream,
        _place: place,
    })
}

/// A connection and its place among those that may be open, which it keeps when it becomes a
/// WebSocket.
struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
