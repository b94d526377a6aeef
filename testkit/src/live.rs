//! The servers that tests share, and what to do without them. A test that asks for one must end
//! within 15 minutes; if it does not, its process ends with an error that names it.

use crate::{bound, servers::ServerError};
use std::time::Duration;
use tokio::net::TcpStream;
use url::Url;
use uuid::Uuid;

/// The time a shared server may take to accept a connection.
const REACHED_WITHIN: Duration = Duration::from_secs(2);

/// The shared RabbitMQ: `AMQP_URL`, or the one on this machine.
#[must_use]
pub fn amqp_url() -> String {
    variable("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
}

/// The shared Redis: `REDIS_URL`, or the one on this machine.
#[must_use]
pub fn redis_url() -> String {
    variable("REDIS_URL", "redis://127.0.0.1:6379/0")
}

/// A name that no other test, and no other run of this one, uses.
#[must_use]
pub fn unique(name: &str) -> String {
    format!("test.{name}.{}", Uuid::new_v4().simple())
}

/// The address of the shared RabbitMQ, if it can be reached; else as [`require_or_skip`] says.
///
/// # Panics
/// As [`require_or_skip`].
///
/// # Cancel safety
/// Safe.
pub async fn rabbitmq() -> Option<String> {
    require_or_skip(reached("RabbitMQ", amqp_url(), 5672).await)
}

/// The address of the shared Redis, if it can be reached; else as [`require_or_skip`] says.
///
/// # Panics
/// As [`require_or_skip`].
///
/// # Cancel safety
/// Safe.
pub async fn redis() -> Option<String> {
    require_or_skip(reached("Redis", redis_url(), 6379).await)
}

/// The address of the shared PostgreSQL (`DATABASE_URL`, or the one on this machine), if it can be
/// reached; else as [`require_or_skip`] says.
///
/// # Panics
/// As [`require_or_skip`].
///
/// # Cancel safety
/// Safe.
pub async fn postgres() -> Option<String> {
    let url = variable(
        "DATABASE_URL",
        "postgres://postgres@127.0.0.1:5432/postgres",
    );
    require_or_skip(reached("PostgreSQL", url, 5432).await)
}

/// Gives the test that runs on this thread as long as this, if it takes longer than others on
/// purpose.
pub fn allow(within: Duration) {
    bound::begin_within(within);
}

/// Passes on a server that is there. Without one the test is skipped: it gets `None`, and the
/// reason is printed.
///
/// Also where servers are required it is skipped on one whose version does not fit it, and without
/// libfaketime, which a [`WallClock`](crate::servers::WallClock) takes and `scripts/test`
/// installs wherever it may.
///
/// # Panics
/// Without a server, if `BUS_REQUIRE_LIVE=1` is set, and always if a server is installed and does
/// not start.
#[must_use]
#[allow(
    clippy::panic,
    clippy::print_stderr,
    reason = "only tests ask: they report on stderr and fail by panicking"
)]
pub fn require_or_skip<T>(server: Result<T, ServerError>) -> Option<T> {
    bound::begin();
    match server {
        Ok(server) => Some(server),
        Err(error) if error.is_absence() && (!live_is_required() || error.is_optional()) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn live_is_required() -> bool {
    std::env::var("BUS_REQUIRE_LIVE").is_ok_and(|value| value == "1")
}

fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

async fn reached(server: &'static str, url: String, port: u16) -> Result<String, ServerError> {
    // The address is named without its user and password.
    let parsed = Url::parse(&url).ok();
    let host = parsed.as_ref().and_then(Url::host_str).unwrap_or_default();
    let port = parsed.as_ref().and_then(Url::port).unwrap_or(port);
    let connected = tokio::time::timeout(REACHED_WITHIN, TcpStream::connect((host, port))).await;
    match connected {
        Ok(Ok(_)) => Ok(url),
        _ => Err(ServerError::Unreachable {
            server,
            address: format!("{host}:{port}"),
        }),
    }
}
