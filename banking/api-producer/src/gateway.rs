//! The state that all routes work with.

use crate::{
    correlation::noting,
    limits::Limits,
    operating::{Breakers, Looks, Watchers},
    problem::Problem,
    request::{ADMIN_GUESSES, Network, Rates},
    settings::HttpSettings,
    unserved::watching,
};
use chassis::{Identity, Platform, guesses::Guesses, settings::Secret};
use contracts::{
    account::AccountsClient,
    auth::{AuthClient, Password},
    notification::NotificationsClient,
    transfer::TransfersClient,
};
use replybus::sealed::SealingKey;

/// The services, as the gateway calls them, and who it is.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) auth: AuthClient,
    /// Passwords are sealed to it.
    passwords: SealingKey,
    pub(crate) accounts: AccountsClient,
    pub(crate) transfers: TransfersClient,
    pub(crate) notifications: NotificationsClient,
    pub(crate) platform: Platform,
    pub(crate) identity: Identity,
    pub(crate) breakers: Breakers,
    pub(crate) looks: Looks,
    pub(crate) watchers: Watchers,
    pub(crate) admin_secret: Option<Secret>,
    pub(crate) admin_guesses: Guesses,
    pub(crate) limits: Limits,
    pub(crate) rates: Rates,
    /// Whether `/metrics` is here, too.
    pub(crate) public_metrics: bool,
    /// Proxies that are believed who asked them.
    pub(crate) proxies: Vec<Network>,
}

impl Gateway {
    pub(crate) fn new(
        platform: &Platform,
        settings: &HttpSettings,
        limits: Limits,
    ) -> anyhow::Result<Self> {
        let bus = &platform.bus;
        let breakers = Breakers::new(settings);
        Ok(Self {
            passwords: platform.password_sealing()?,
            auth: AuthClient::new(bus)
                .layer(breakers.guarding())
                .layer(watching(bus, AuthClient::CONTRACT.queue))
                .layer(noting()),
            accounts: AccountsClient::new(bus)
                .layer(breakers.guarding())
                .layer(watching(bus, AccountsClient::CONTRACT.queue))
                .layer(noting()),
            transfers: TransfersClient::new(bus)
                .layer(breakers.guarding())
                .layer(watching(bus, TransfersClient::CONTRACT.queue))
                .layer(noting()),
            notifications: NotificationsClient::new(bus)
                .layer(breakers.guarding())
                .layer(watching(bus, NotificationsClient::CONTRACT.queue))
                .layer(noting()),
            platform: platform.clone(),
            breakers,
            looks: Looks::default(),
            watchers: Watchers::new(),
            identity: platform.identity.clone(),
            admin_secret: settings.admin_secret.clone(),
            admin_guesses: platform.guesses("admin-secret", ADMIN_GUESSES),
            rates: Rates::new(platform, &limits),
            limits,
            public_metrics: settings.public_metrics,
            proxies: settings.trusted_proxies.clone(),
        })
    }

    /// A password as it travels, for a [purpose](contracts::auth::purpose).
    pub(crate) fn sealed(&self, password: &String, purpose: &str) -> Result<Password, Problem> {
        Password::seal(password, &self.passwords, purpose).map_err(|error| {
            tracing::error!(%error, "a password can't be sealed");
            Problem::internal()
        })
    }
}
