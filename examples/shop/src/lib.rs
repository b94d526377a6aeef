//! A shop of four services. Each has its HTTP face, and a database of its own; what one wants of
//! another goes over the bus.
//!
//! In reading order: [`Settings`] are read and a [`Platform`] is made of them, on which a [`Shop`]
//! is started. `contracts` is all that services know of each other. Each is a folder, with its
//! `routes` and its tables: `users`, `products`, `orders` (whose `saga` is what the shop is about)
//! and `notifications`. `http`, `tokens`, `price`, `numbers` and `outbox` are what they share.

pub mod contracts;

mod http;
mod notifications;
mod numbers;
mod orders;
mod platform;
mod price;
mod products;
mod settings;
mod tokens;
mod users;

pub use platform::Platform;
pub use settings::{Settings, TlsFiles};
pub use tokens::Keys;

use chassis::Running;
use clap::ValueEnum;
use std::{collections::BTreeMap, fmt, net::SocketAddr};

/// A service of the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum ServiceName {
    /// Who somebody is, and what they can pay.
    UserService,
    /// What is sold, how much of it is left, and what is written about it.
    ProductService,
    /// Who buys what.
    OrderService,
    /// What buyers are told.
    NotificationService,
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UserService => "user-service",
            Self::ProductService => "product-service",
            Self::OrderService => "order-service",
            Self::NotificationService => "notification-service",
        })
    }
}

/// Services that run in this process.
#[derive(Debug)]
#[must_use = "services are to be stopped"]
pub struct Shop {
    /// To stop them.
    pub running: Running,
    /// Where each of them listens.
    pub addresses: BTreeMap<ServiceName, SocketAddr>,
}

impl Shop {
    /// Starts services.
    ///
    /// # Errors
    /// One of them can't be started. Those that were started before go on; the process is to end.
    ///
    /// # Cancel safety
    /// Not to be dropped before it is ready.
    pub async fn start(platform: &Platform, services: &[ServiceName]) -> anyhow::Result<Self> {
        let mut shop = Self {
            running: Running::new(),
            addresses: BTreeMap::new(),
        };
        for name in services {
            let (running, address) = match name {
                ServiceName::UserService => users::start(platform).await?,
                ServiceName::ProductService => products::start(platform).await?,
                ServiceName::OrderService => orders::start(platform).await?,
                ServiceName::NotificationService => notifications::start(platform).await?,
            };
            shop.running = shop.running.with(running);
            shop.addresses.insert(*name, address);
        }
        Ok(shop)
    }
}
