//! Every bound of the gateway in one place, with its unit and the reason for its value.

use crate::settings::HttpSettings;
use chassis::http::ConnectionLimits;
use std::{num::NonZero, thread::available_parallelism, time::Duration};

/// Passwords that a processor could hash in a minute if it did nothing else are fewer: of 19 MiB and
/// 2 passes each takes it 12 ms or more.
const PASSWORDS_PER_PROCESSOR: u32 = 6_000;
/// Accounts that a processor could tell the holders of in a minute, beside all that serves them, are
/// about as many. Transfers are fewer.
const LOOKUPS_PER_PROCESSOR: u32 = 60_000;

/// More often than every 6 us nobody asks.
pub(crate) const PER_MINUTE_MAX: u32 = 10_000_000;

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
    /// Registrations of one client in a minute, at once or spread; 0 is without bound, as for the
    /// next two. By default more than this machine could carry out, so that who shares an address
    /// with others is not kept waiting by them, and a flood is turned away before it is queued.
    pub registrations_per_minute: u32,
    /// Logins and changes of passwords.
    pub logins_per_minute: u32,
    /// Questions whose an account is, transfers, and standing orders that are ordered.
    pub lookups_per_minute: u32,
    /// Time for each part of the dashboard: one that is late must not keep the others waiting.
    pub dashboard_part: Duration,
    /// Time for what a service beside the account service tells the administrator.
    pub admin_part: Duration,
    /// Time for a service to say how it is. An orchestrator that asks does not wait long.
    pub health: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let processors = u32::try_from(processors).unwrap_or(u32::MAX);
        let of_all = |of_one: u32| of_one.saturating_mul(processors).min(PER_MINUTE_MAX);
        Self {
            request: Duration::from_secs(10),
            request_grace: Duration::from_secs(1),
            body_bytes: 64 * 1024,
            body_read: Duration::from_secs(5),
            connections: ConnectionLimits {
                drain: Duration::from_secs(12),
                ..ConnectionLimits::default()
            },
            registrations_per_minute: of_all(PASSWORDS_PER_PROCESSOR),
            logins_per_minute: of_all(PASSWORDS_PER_PROCESSOR),
            lookups_per_minute: of_all(LOOKUPS_PER_PROCESSOR),
            dashboard_part: Duration::from_secs(3),
            admin_part: Duration::from_secs(4),
            health: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// The same, but for those that are set.
    pub(crate) fn with(mut self, settings: &HttpSettings) -> Self {
        if let Some(max) = settings.connections_per_address {
            self.connections.of_address_max = max.into();
        }
        for (limit, set) in [
            (
                &mut self.registrations_per_minute,
                settings.registrations_per_minute,
            ),
            (&mut self.logins_per_minute, settings.logins_per_minute),
            (&mut self.lookups_per_minute, settings.lookups_per_minute),
        ] {
            *limit = set.unwrap_or(*limit);
        }
        self
    }
}
