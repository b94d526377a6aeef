//! The auth service.

use chassis::{Platform, Running};

/// Starts the service.
///
/// # Errors
/// Its database or its queue can't be had.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(
    _platform: &Platform,
    _session_ttl: std::time::Duration,
) -> anyhow::Result<Running> {
    anyhow::bail!("not built yet")
}
