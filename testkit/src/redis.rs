//! Connections to Redis for what a test looks at and puts there by itself.

use crate::wait::AT_MOST;
use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};

/// Connects to the Redis at this address. The connection gives it the time that a test has,
/// [`AT_MOST`]; the client's own default is half a second, which is short on a busy machine.
///
/// # Errors
/// The address is none, or Redis can't be reached.
///
/// # Cancel safety
/// Dropped, there is no connection.
pub async fn connect(url: &str) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(AT_MOST))
        .set_response_timeout(Some(AT_MOST));
    let client = Client::open(url)?;
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}
