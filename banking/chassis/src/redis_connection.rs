//! A connection to Redis that notices when its peer is gone.

use crate::settings::TlsSettings;
use anyhow::Context as _;
use redis::{
    Client, IntoConnectionInfo, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use std::time::Duration;

/// Redis answers within this or is away.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Unanswered for so long, the kernel calls the peer dead, and the manager connects again.
const TCP_SILENCE_MAX: Duration = Duration::from_secs(5);

/// A client of the Redis at this address.
pub(crate) fn redis_client(url: &str, tls: &TlsSettings) -> anyhow::Result<Client> {
    let keepalive = TcpKeepalive::new()
        .with_time(TCP_SILENCE_MAX)
        .with_interval(Duration::from_secs(1));
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(TCP_SILENCE_MAX);
    let info = url
        .into_connection_info()
        .context("the address of Redis can't be read")?;
    tls.client(info.set_tcp_settings(tcp))
        .context("the address of Redis can't be used")
}

/// A connection that is made when it is first used, and again when it was lost.
///
/// # Errors
/// The address can't be read or used, or not with these certificates.
pub fn redis_manager(url: &str, tls: &TlsSettings) -> anyhow::Result<ConnectionManager> {
    let settings = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(RESPONSE_TIMEOUT))
        // A call is rather refused than kept waiting; the next one tries again.
        .set_number_of_retries(0);
    let client = redis_client(url, tls)?;
    ConnectionManager::new_lazy_with_config(client, settings)
        .context("the address of Redis can't be used")
}

/// `true` if the connection was lost. The first to ask after that only sets off that it is made
/// again, and may ask once more.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.is_unrecoverable_error() && !error.is_timeout()
}
