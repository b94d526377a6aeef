//! The HTTP gateway.

use chassis::{Platform, Running, settings::Secret};
use notification_service::Feed;
use std::net::SocketAddr;

/// Settings of the gateway.
#[derive(Debug, Clone, clap::Args)]
pub struct HttpSettings {
    /// Address to listen on
    #[arg(
        long,
        env = "HTTP_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub http_addr: SocketAddr,

    /// What X-Admin-Secret must be; without it the admin routes are off
    #[arg(long, env = "ADMIN_SECRET", hide_env_values = true, value_name = "SECRET", value_parser = admin_secret)]
    pub admin_secret: Option<Secret>,
}

fn admin_secret(text: &str) -> Result<Secret, String> {
    if text.len() < 8 {
        return Err("at least 8 characters are needed".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

/// Starts the gateway; returns the address it listens on.
///
/// # Errors
/// The address can't be bound.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(
    _platform: &Platform,
    _settings: &HttpSettings,
    _feed: &Feed,
) -> anyhow::Result<(Running, SocketAddr)> {
    anyhow::bail!("not built yet")
}
