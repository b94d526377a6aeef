//! Services together in one process.

use anyhow::Context as _;
use api_producer::HttpSettings;
use auth_service::SessionSettings;
use chassis::{Platform, Running, settings::PlatformSettings};
use clap::{Args, ValueEnum};
use notification_service::Feed;
use std::net::SocketAddr;

/// What to serve, and how.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// Where the servers are.
    #[command(flatten)]
    pub platform: PlatformSettings,

    /// The gateway's.
    #[command(flatten)]
    pub http: HttpSettings,

    /// The auth service's.
    #[command(flatten)]
    pub sessions: SessionSettings,
}

/// A service of the bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ServiceName {
    /// Users and sessions.
    AuthService,
    /// Accounts and the ledger.
    AccountService,
    /// Transfers between users.
    TransferService,
    /// What users are told.
    NotificationService,
    /// The HTTP gateway.
    ApiProducer,
}

/// Services that run in this process.
#[derive(Debug)]
#[must_use = "services are to be stopped"]
pub struct Bank {
    /// To stop them.
    pub running: Running,
    /// Where the gateway listens, if it is one of them.
    pub http_addr: Option<SocketAddr>,
}

impl ServeSettings {
    /// Refuses settings with which some of the services could not meet the others.
    ///
    /// # Errors
    /// A setting is missing; it is named.
    pub fn check(&self, services: &[ServiceName]) -> anyhow::Result<()> {
        let all = ServiceName::value_variants()
            .iter()
            .all(|name| services.contains(name));
        if all {
            return Ok(());
        }
        let keeps_data = services
            .iter()
            .any(|name| *name != ServiceName::ApiProducer);
        self.platform
            .check_standalone(keeps_data)
            .context("only a part of the bank is to run here")
    }
}

/// Starts services. The gateway is the last, so that who reaches it reaches a bank.
///
/// # Errors
/// One of them can't be started. Those that were started before go on; the process is to end.
///
/// # Cancel safety
/// Not to be dropped before it is ready.
pub async fn start(
    platform: &Platform,
    settings: &ServeSettings,
    services: &[ServiceName],
) -> anyhow::Result<Bank> {
    let wanted = |name: ServiceName| services.contains(&name);
    let feed = Feed::open(platform)?;
    let mut running = Running::new();
    if wanted(ServiceName::AuthService) {
        let auth = auth_service::start(platform, settings.sessions.ttl()).await;
        running = running.with(auth.context("the auth service can't start")?);
    }
    if wanted(ServiceName::AccountService) {
        let account = account_service::start(platform).await;
        running = running.with(account.context("the account service can't start")?);
    }
    if wanted(ServiceName::NotificationService) {
        let notification = notification_service::start(platform, &feed).await;
        running = running.with(notification.context("the notification service can't start")?);
    }
    if wanted(ServiceName::TransferService) {
        let transfer = transfer_service::start(platform).await;
        running = running.with(transfer.context("the transfer service can't start")?);
    }
    let mut http_addr = None;
    if wanted(ServiceName::ApiProducer) {
        let gateway = api_producer::start(platform, &settings.http, &feed).await;
        let (gateway, address) = gateway.context("the gateway can't start")?;
        running = running.with(gateway);
        http_addr = Some(address);
    }
    Ok(Bank { running, http_addr })
}
