//! Settings, from flags and the environment.

mod tls;

pub use tls::TlsFiles;

use crate::{ServiceName, price::MINOR_PER_UNIT};
use anyhow::ensure;
use chassis::settings::{Secret, SecretParser, amqp_url, database_url, redis_url};
use clap::{Args, ValueEnum as _};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

const DATABASE_URL: &str = "sqlite::memory:";
const CACHE_TTL: u64 = 300;
const TOKEN_TTL: u64 = 3600;
/// In whole units of money.
const CREDIT: i64 = 1_000_000;

/// Where servers are, and where the services listen. By default there are no servers: everything
/// stays in this process.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// RabbitMQ, such as amqp://user:password@host:5672/%2f; without it calls stay in this process
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL", value_parser = SecretParser(amqp_url))]
    pub amqp_url: Option<Secret>,

    /// Redis, such as redis://host:6379/0; without it replies and the cache stay in this process
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL", value_parser = SecretParser(redis_url))]
    pub redis_url: Option<Secret>,

    /// postgres://user:password@host:5432/database, where each service has a schema; sqlite:DIR,
    /// where each has a file; or sqlite::memory:, which forgets everything at the end
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", default_value = DATABASE_URL, value_parser = SecretParser(database_url))]
    pub database_url: Secret,

    /// Certificates of the connections to servers
    #[command(flatten)]
    pub tls: TlsFiles,

    /// Directory of the keys that `shop keys` writes; without it they are drawn at start
    #[arg(long, env = "KEYS_DIR", value_name = "DIR")]
    pub keys_dir: Option<PathBuf>,

    /// Prefix of all queues, exchanges and keys, so that several shops can share servers
    #[arg(long, env = "BUS_NAMESPACE", value_name = "NAME", default_value = "")]
    pub namespace: String,

    /// Where the user service listens
    #[arg(long, env = "USER_ADDR", value_name = "ADDR", default_value_t = local(8001))]
    pub user_addr: SocketAddr,

    /// Where the product service listens
    #[arg(long, env = "PRODUCT_ADDR", value_name = "ADDR", default_value_t = local(8002))]
    pub product_addr: SocketAddr,

    /// Where the order service listens
    #[arg(long, env = "ORDER_ADDR", value_name = "ADDR", default_value_t = local(8003))]
    pub order_addr: SocketAddr,

    /// Where the notification service listens
    #[arg(long, env = "NOTIFICATION_ADDR", value_name = "ADDR", default_value_t = local(8004))]
    pub notification_addr: SocketAddr,

    /// Seconds that a product is served from the cache
    #[arg(long, env = "CACHE_TTL", value_name = "SECONDS", default_value_t = CACHE_TTL, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub cache_ttl: u64,

    /// Seconds that a token is good for
    #[arg(long, env = "TOKEN_TTL", value_name = "SECONDS", default_value_t = TOKEN_TTL, value_parser = clap::value_parser!(u64).range(1..=2_592_000))]
    pub token_ttl: u64,

    /// Whole units of money in the wallet of a new user
    #[arg(long, env = "CREDIT", value_name = "UNITS", default_value_t = CREDIT, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    pub credit: i64,

    /// A mail relay on this machine, such as 127.0.0.1:25; without it no mail is sent
    #[arg(long, env = "SMTP_ADDR", value_name = "ADDR", value_parser = smtp_addr)]
    pub smtp_addr: Option<SocketAddr>,
}

impl Default for Settings {
    /// As without any flag or variable.
    fn default() -> Self {
        Self {
            amqp_url: None,
            redis_url: None,
            database_url: Secret::new(DATABASE_URL.to_owned()),
            tls: TlsFiles::default(),
            keys_dir: None,
            namespace: String::new(),
            user_addr: local(8001),
            product_addr: local(8002),
            order_addr: local(8003),
            notification_addr: local(8004),
            cache_ttl: CACHE_TTL,
            token_ttl: TOKEN_TTL,
            credit: CREDIT,
            smtp_addr: None,
        }
    }
}

impl Settings {
    /// Refuses settings with which some of the services could not meet the others, or would forget
    /// what those remember.
    ///
    /// # Errors
    /// A setting is missing; it is named.
    pub fn check(&self, services: &[ServiceName]) -> anyhow::Result<()> {
        let runs = |name: &ServiceName| services.contains(name);
        if ServiceName::value_variants().iter().all(runs) {
            if self.forgets_data() && (self.amqp_url.is_some() || self.redis_url.is_some()) {
                tracing::warn!(
                    "the servers remember what this process forgets at its end, and other shops on \
                     them have other data: --database-url (DATABASE_URL) makes it last"
                );
            }
            return Ok(());
        }
        let missing = [
            (self.amqp_url.is_none(), "--amqp-url (AMQP_URL)"),
            (self.redis_url.is_none(), "--redis-url (REDIS_URL)"),
            (
                self.keys_dir.is_none(),
                "--keys-dir (KEYS_DIR, made by `shop keys`)",
            ),
            (
                self.forgets_data(),
                "--database-url (DATABASE_URL, one that outlives the process)",
            ),
        ];
        let missing: Vec<_> = missing
            .iter()
            .filter_map(|(is_missing, name)| is_missing.then_some(*name))
            .collect();
        ensure!(
            missing.is_empty(),
            "services in processes of their own meet over RabbitMQ and Redis, trust the same keys, \
             and outlive each other: {} must be set",
            missing.join(", ")
        );
        Ok(())
    }

    fn forgets_data(&self) -> bool {
        self.database_url.reveal().contains(":memory:")
    }

    /// What a new user can spend, in minor units.
    pub(crate) fn credit(&self) -> i64 {
        self.credit.saturating_mul(MINOR_PER_UNIT)
    }
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn smtp_addr(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "an address such as 127.0.0.1:25 is allowed".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("mail goes there in the clear: only this machine is allowed".to_owned());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_goes_to_this_machine_only() {
        assert!(smtp_addr("127.0.0.1:25").is_ok() && smtp_addr("[::1]:25").is_ok());
        for text in ["192.0.2.1:25", "localhost", "25"] {
            assert!(smtp_addr(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_part_of_the_shop_needs_to_meet_the_others() {
        let settings = Settings::default();
        assert!(settings.check(ServiceName::value_variants()).is_ok());
        let refused = settings.check(&[ServiceName::OrderService]);
        let reason = refused.unwrap_err().to_string();
        for name in ["AMQP_URL", "REDIS_URL", "KEYS_DIR", "DATABASE_URL"] {
            assert!(reason.contains(name), "{reason}");
        }
    }
}
