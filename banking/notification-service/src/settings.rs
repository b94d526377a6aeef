//! The notification service's own settings, where it is alone in its process.

use clap::Args;
use live_feed::ws::Origin;
use std::net::SocketAddr;

/// Settings of the live notifications.
#[derive(Debug, Clone, Args)]
pub struct SocketSettings {
    /// Address of the live notifications, at /ws
    #[arg(
        long,
        env = "WS_ADDR",
        value_name = "ADDR",
        default_value = "127.0.0.1:8081"
    )]
    pub ws_addr: SocketAddr,

    /// Origins of pages that may open /ws, such as `https://bank.example.org`, beside its own
    #[arg(long, env = "WS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub ws_origins: Vec<Origin>,

    /// Connections that may be open from one address. All clients of a proxy come from its address
    #[arg(
        long,
        env = "CONNECTIONS_PER_ADDRESS",
        value_name = "N",
        default_value = "512",
        value_parser = clap::value_parser!(u16).range(1..=16384)
    )]
    pub connections_per_address: u16,
}
