//! Every bound of the gateway in one place, with its unit and the reason for its value.

use std::time::Duration;

/// How much of everything one request or connection may take. The default is for use; tests set
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
    /// Time for the headers of a request to arrive, and for the next request to begin on a
    /// connection that is kept. Longer than a proxy keeps idle connections (Kong: 60 s), so that
    /// it is never the gateway that closes one just as the proxy uses it.
    pub header_read: Duration,
    /// Connections that may be open, but for WebSockets; more wait to be accepted.
    pub connections: usize,
    /// Time for each part of the dashboard: one that is late must not keep the others waiting.
    pub dashboard_part: Duration,
    /// Time for a service to say how it is. An orchestrator that asks does not wait long.
    pub health: Duration,
    /// Time for requests to end when the gateway stops: their budget, and a little.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            request_grace: Duration::from_secs(1),
            body_bytes: 64 * 1024,
            body_read: Duration::from_secs(5),
            header_read: Duration::from_secs(75),
            connections: 4096,
            dashboard_part: Duration::from_secs(3),
            health: Duration::from_secs(2),
            drain: Duration::from_secs(12),
        }
    }
}
