//! The auth service's own settings.

use clap::Args;
use std::time::Duration;

/// Settings of sessions.
#[derive(Debug, Clone, Args)]
pub struct SessionSettings {
    /// Seconds after which a session ends by itself; at most 31 days
    #[arg(
        long,
        env = "SESSION_TTL_SECONDS",
        value_name = "SECONDS",
        default_value_t = 86_400,
        value_parser = clap::value_parser!(u64).range(1..=31 * 86_400)
    )]
    pub session_ttl_seconds: u64,
}

impl SessionSettings {
    /// The lifetime of a session.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.session_ttl_seconds)
    }
}
