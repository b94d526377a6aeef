//! How the hand-written paths connect to Redis.

use crate::path::Site;
use anyhow::{Context, Result};
use redis::{
    AsyncConnectionConfig, AsyncTypedCommands, Client, IntoConnectionInfo,
    aio::MultiplexedConnection, cmd, io::tcp::TcpSettings,
};
use std::time::Duration;

/// Keys that Redis looks at in one step of a scan.
const SCAN: u32 = 10_000;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const RESPONSE_WITHIN: Duration = Duration::from_secs(5);

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

/// Removes every key with this name in it, such as the records of commands: hundreds of thousands,
/// which would be kept for half an hour.
pub(crate) async fn remove_all(site: &Site, name: &str) -> Result<()> {
    let mut redis = connect(site, Some(RESPONSE_WITHIN)).await?;
    let pattern = format!("*{name}*");
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<String>) = cmd("SCAN")
            .arg(cursor)
            .arg(&["MATCH", &pattern, "COUNT"])
            .arg(SCAN)
            .query_async(&mut redis)
            .await
            .context("could not look for keys")?;
        if !keys.is_empty() {
            redis.unlink(keys).await.context("could not remove keys")?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}
