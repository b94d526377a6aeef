//! The notification service.

use axum::Router;
use chassis::{Identity, Platform, Running};

/// Live notifications, as they are stored; clones share it.
#[derive(Debug, Clone)]
pub struct Feed;

impl Feed {
    /// The feed of this platform: over Redis, or within this process.
    ///
    /// # Errors
    /// The address of Redis can't be read.
    pub fn open(_platform: &Platform) -> anyhow::Result<Self> {
        Ok(Self)
    }
}

/// The route `/ws`.
pub fn live_router(_identity: Identity, _feed: Feed) -> Router {
    Router::new()
}

/// Starts the service.
///
/// # Errors
/// Its database or its queues can't be had.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(_platform: &Platform, _feed: &Feed) -> anyhow::Result<Running> {
    anyhow::bail!("not built yet")
}
