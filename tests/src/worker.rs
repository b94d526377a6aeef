//! What the programs that serve in tests begin with.

use replybus::{Amqp, Bus};
use replybus_redis::RedisReplies;
use replybus_testkit::wait::AT_MOST;
use std::{env, error::Error, io};
use tracing::Level;

/// A bus at `AMQP_URL` and `REDIS_URL`, in `NAMESPACE`. It waits for both servers as long as tests
/// do, and what the program warns of goes to stderr from now on.
///
/// # Errors
/// A variable is missing, or a server can't be reached.
///
/// # Cancel safety
/// Dropped, it leaves no connection.
pub async fn connect() -> Result<Bus, Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_max_level(Level::WARN)
        .with_ansi(false)
        .with_writer(io::stderr)
        .init();
    let amqp = Amqp::new(env::var("AMQP_URL")?).connect_within(AT_MOST);
    let redis = RedisReplies::new(env::var("REDIS_URL")?).connect_within(AT_MOST);
    let bus = Bus::builder().namespace(env::var("NAMESPACE")?);
    Ok(bus.connect(amqp, redis).await?)
}
