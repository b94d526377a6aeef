//! How the hand-written paths connect to Redis.

use crate::path::Site;
use anyhow::{Context, Result};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, aio::MultiplexedConnection,
    io::tcp::TcpSettings,
};
use std::time::Duration;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection whose commands time out after `response_within`, if given.
pub(super) async fn connect(
    site: &Site,
    response_within: Option<Duration>,
) -> Result<MultiplexedConnection> {
    let info = site
        .redis_url
        .as_str()
        .into_connection_info()
        .context("REDIS_URL is no address of a Redis")?
        .set_tcp_settings(TcpSettings::default().set_nodelay(true));
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(response_within);
    Client::open(info)
        .context("REDIS_URL is no address of a Redis")?
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .context("could not connect to Redis (REDIS_URL)")
}
