//! A listener of HTTP: connections are accepted within a bound, served with time limits, and let
//! end when the service stops.

mod pace;
mod places;

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1::Builder,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use pace::{AnswerBody, Pace, Paced};
use places::Places;
pub use places::{Taken, site};
use std::{io, net::IpAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
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
    /// Time for the headers of a request to arrive: from the beginning of a connection, or from
    /// the first byte of a later request.
    pub header_read: Duration,
    /// Time for the next request to begin on a connection that is kept. Longer than a proxy keeps
    /// idle connections (Kong: 60 s), so that it is never we who close one just as the proxy uses
    /// it. While all connections are taken, and others wait, it is as long as for headers.
    pub idle: Duration,
    /// Time for which the other side may take nothing of an answer.
    pub write: Duration,
    /// Connections that may be open, but for WebSockets that are counted where they are served; more
    /// wait to be accepted.
    pub open_max: usize,
    /// Connections that may be open from one address, or one network of IPv6 (64 bits), WebSockets
    /// among them; more are closed at once. A program that asks for many has no use for more, and
    /// eight such addresses take all.
    pub of_address_max: usize,
    /// Time for requests to end when the service stops.
    pub drain: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(5),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(20),
            open_max: 4096,
            of_address_max: 512,
            drain: Duration::from_secs(5),
        }
    }
}

/// The address that a request's connection comes from, among its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

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
        .header_read_timeout(limits.idle.max(limits.header_read))
        .max_buf_size(HEADER_BYTES_MAX);
    let permits = Arc::new(Semaphore::new(limits.open_max.min(Semaphore::MAX_PERMITS)));
    let places = Places::new(limits.of_address_max);
    let (open, over) = (TaskTracker::new(), CancellationToken::new());
    while let Some(accepted) = stop
        .run_until_cancelled(accept(&listener, Arc::clone(&permits), &places))
        .await
    {
        match accepted {
            Ok((stream, peer, taken)) => {
                let permits = Arc::clone(&permits);
                let is_full = move || permits.available_permits() == 0;
                let (http, app, stop) = (http.clone(), app.clone(), stop.clone());
                let who = (peer, taken);
                let connection = attend(http, stream, who, app, limits, is_full, stop);
                let over = over.clone();
                open.spawn(async move { over.run_until_cancelled(connection).await });
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

/// A connection, and what it takes.
async fn accept(
    listener: &TcpListener,
    permits: Arc<Semaphore>,
    places: &Arc<Places>,
) -> io::Result<(TcpStream, Peer, Taken)> {
    // It is never closed.
    let permit = permits.acquire_owned().await.map_err(io::Error::other)?;
    loop {
        let (stream, peer) = listener.accept().await?;
        let Some(place) = places.take(peer.ip()) else {
            metrics::counter!("bank_connections_refused_total").increment(1);
            tracing::debug!(%peer, "an address has too many connections");
            continue;
        };
        // Answers are small, and someone waits for each.
        stream.set_nodelay(true)?;
        return Ok((stream, Peer(peer.ip()), Taken::new(permit, place)));
    }
}

/// Answers the requests of a connection. After the stop, the one that was begun is the last.
async fn attend(
    http: Builder,
    stream: TcpStream,
    (peer, taken): (Peer, Taken),
    app: Router,
    limits: ConnectionLimits,
    is_full: impl Fn() -> bool,
    stop: CancellationToken,
) {
    let (pace, service) = (Pace::new(), TowerToHyperService::new(app));
    let noted = pace.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        // Not by a layer on the router, which would copy all routes for each connection.
        request.extensions_mut().insert(peer);
        // What becomes a WebSocket takes it on: this task ends then.
        request.extensions_mut().insert(taken.clone());
        let (_answering, answer) = (noted.begin_answer(), service.call(request));
        async move {
            let answer = answer.await;
            answer.map(|answer| answer.map(|body| AnswerBody { body, _answering }))
        }
    });
    let stream = Paced {
        stream,
        pace: pace.clone(),
    };
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection.with_upgrades());
    let attended = async {
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let ended = tokio::select! {
        ended = attended => ended,
        () = pace.lost(&limits, is_full) => {
            metrics::counter!("bank_connections_too_slow_total").increment(1);
            return;
        }
    };
    if let Err(error) = ended {
        let error: &(dyn std::error::Error + 'static) = &error;
        // Mostly a client that is gone, or was too slow.
        tracing::debug!(error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Extension, routing::get};
    use replybus_testkit::wait::bounded;
    use std::{
        future::ready,
        net::Ipv4Addr,
        sync::atomic::{AtomicUsize, Ordering},
    };
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Counts how often it was copied.
    #[derive(Debug, Default)]
    struct Counted(Arc<AtomicUsize>);

    impl Clone for Counted {
        fn clone(&self) -> Self {
            self.0.fetch_add(1, Ordering::Relaxed);
            Self(Arc::clone(&self.0))
        }
    }

    #[tokio::test]
    async fn connections_share_the_routes_and_each_request_knows_its_peer() {
        let counted = Counted::default();
        let copies = Arc::clone(&counted.0);
        let large = get(move || ready(format!("{counted:?}")));
        let peer = async |Extension(Peer(peer)): Extension<Peer>| peer.to_string();
        let app = Router::new().route("/large", large).route("/", get(peer));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let limits = ConnectionLimits::default();
        let serving = tokio::spawn(serve(listener, app, limits, stop.clone()));

        let before = copies.load(Ordering::Relaxed);
        let mut open = Vec::new();
        for _ in 0..10 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = b"GET / HTTP/1.1\r\nHost: bank\r\n\r\n";
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"127.0.0.1") {
                let read = bounded(stream.read_buf(&mut answer)).await.unwrap();
                assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
            }
            open.push(stream);
        }
        assert_eq!(copies.load(Ordering::Relaxed), before);
        stop.cancel();
        bounded(serving).await.unwrap();
    }
}
