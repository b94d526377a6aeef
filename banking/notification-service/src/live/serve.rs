//! A listener that serves the live router alone.

use super::live_router;
use crate::feed::Feed;
use anyhow::Context as _;
use axum::serve::ListenerExt as _;
use chassis::{Identity, Running};
use std::{future::IntoFuture as _, net::SocketAddr, time::Duration};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

/// Requests that are under way when the service stops are waited for so long.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// Serves the [live router](live_router) on `address`; returns the address it listens on.
///
/// # Errors
/// The address can't be bound.
///
/// # Cancel safety
/// Dropped before it is ready, it serves nothing.
pub async fn serve_live(
    identity: Identity,
    feed: &Feed,
    address: SocketAddr,
) -> anyhow::Result<(Running, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("can't listen on {address}"))?;
    let address = listener.local_addr()?;
    // A notification is one small packet, and is not to wait for the next.
    let listener = listener.tap_io(|connection| {
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "packets of a connection may be delayed");
        }
    });
    let (feed, router) = (feed.clone(), live_router(identity, feed.clone()));
    let running = Running::new().beside(move |stop| async move {
        let serving = axum::serve(listener, router)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        tokio::join!(
            async {
                tokio::select! {
                    served = serving => if let Err(error) = served {
                        tracing::error!(%error, "the live feed is served no more");
                    },
                    () = given_up(&stop) => {}
                }
            },
            async {
                stop.cancelled().await;
                feed.close().await;
            }
        );
    });
    tracing::info!(%address, "the live feed is served");
    Ok((running, address))
}

/// Waits until what is still under way after the stop is no longer waited for.
async fn given_up(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(DRAIN_WITHIN).await;
}
