//! A listener that serves `/ws` alone.

use super::{Origin, router};
use crate::Feed;
use anyhow::Context as _;
use chassis::{
    Identity, Running,
    http::{self, ConnectionLimits},
};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Serves the [router] on `address` within `limits`; returns the address it listens on.
///
/// # Errors
/// The address can't be bound.
///
/// # Cancel safety
/// Dropped before it is ready, it serves nothing.
pub async fn serve(
    identity: Identity,
    feed: &Feed,
    address: SocketAddr,
    origins: Vec<Origin>,
    limits: ConnectionLimits,
) -> anyhow::Result<(Running, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("can't listen on {address}"))?;
    let address = listener.local_addr()?;
    let (feed, router) = (feed.clone(), router(identity, feed.clone(), origins));
    let running = Running::new().beside(move |stop| async move {
        let serving = http::serve(listener, router, limits, stop.clone());
        let closing = async {
            stop.cancelled().await;
            feed.close().await;
        };
        tokio::join!(serving, closing);
    });
    tracing::info!(%address, "the live feed is served");
    Ok((running, address))
}
