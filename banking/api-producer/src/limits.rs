//! Every bound of the gateway in one place, with its unit and the reason for its value.

use chassis::http::ConnectionLimits;
use std::time::Duration;

/// Limits of one request or connection. The default is for use; tests set
/// smaller ones.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Limits {
    /// Time for one request, from its headers to its answer; calls share what is left of it. As
    /// long as the longest timeout of a contract, so that none is cut short.
    pub request: Duration,
    /// Time for one request beyond its budget, so that an answer that says which call was late
    /// comes before the one that only knows that time is up.
    pub request_grace: Duration,
    /// Bytes of a body. The largest that makes sense, a list of ids, has about a tenth of it.
    pub body_bytes: usize,
    /// Time for a body to arrive; the rest of the budget is left for the call.
    pub body_read: Duration,
    /// Connections. When the gateway stops, requests have their budget and a little to end.
    pub connections: ConnectionLimits,
    /// Time for each part of the dashboard: one that is late must not keep the others waiting.
    pub dashboard_part: Duration,
    /// Time for what a service beside the account service tells the administrator.
    pub admin_part: Duration,
    /// Time for a service to say how it is. An orchestrator that asks does not wait long.
    pub health: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            request_grace: Duration::from_secs(1),
            body_bytes: 64 * 1024,
            body_read: Duration::from_secs(5),
            connections: ConnectionLimits {
                drain: Duration::from_secs(12),
                ..ConnectionLimits::default()
            },
            dashboard_part: Duration::from_secs(3),
            admin_part: Duration::from_secs(4),
            health: Duration::from_secs(2),
        }
    }
}
