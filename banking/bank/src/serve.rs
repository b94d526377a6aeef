//! Services together in one process.

use anyhow::Context as _;
use api_producer::HttpSettings;
use auth_service::SessionSettings;
use chassis::{Platform, Running, settings::PlatformSettings};
use clap::{Args, ValueEnum};
use live_feed::Feed;
use std::net::SocketAddr;
use uuid::Uuid;

/// Settings of all services that run together.
#[derive(Debug, Clone, Args)]
pub struct ServeSettings {
    /// Those that all services share.
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
    /// The address the gateway listens on, if it is one of them.
    pub http_addr: Option<SocketAddr>,
}

impl ServeSettings {
    /// Refuses settings with which some of the services could not meet the others, or would meet
    /// those of another bank. A whole bank that is on its own but for its queues gets a namespace,
    /// unless it has one.
    ///
    /// # Errors
    /// A setting is missing; it is named.
    pub fn settle(&mut self, services: &[ServiceName]) -> anyhow::Result<()> {
        let all = ServiceName::value_variants()
            .iter()
            .all(|name| services.contains(name));
        if !all {
            let keeps_data = services
                .iter()
                .any(|name| *name != ServiceName::ApiProducer);
            return self
                .platform
                .check_standalone(keeps_data)
                .context("only a part of the bank is to run here");
        }
        let platform = &mut self.platform;
        let is_alone = platform.amqp_url.is_none() && platform.redis_url.is_none();
        if is_alone || !platform.namespace.is_empty() {
            return Ok(());
        }
        let Err(apart) = platform.check_standalone(true) else {
            return Ok(());
        };
        // Other banks on these servers have other keys, sessions or books. Where data lasts, a
        // namespace that is drawn at each start would lose the events that are still in its queues.
        if !platform.forgets_data() {
            return Err(apart).context(
                "banks that share only a part of what they need would take each other's requests: \
                 either --namespace (BUS_NAMESPACE) must be set to one that is this bank's alone, \
                 or it shares everything",
            );
        }
        platform.namespace = format!("bank-{}", Uuid::new_v4().simple());
        tracing::warn!(
            namespace = platform.namespace,
            "this bank has a namespace of its own on the servers, and what it leaves there stays; \
             --namespace (BUS_NAMESPACE) names it. To meet other banks: {apart}"
        );
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory as _, FromArgMatches as _, Parser};

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeSettings,
    }

    const AMQP: &str = "--amqp-url=amqp://host";
    const REDIS: &str = "--redis-url=redis://host";
    const KEYS: &str = "--keys-dir=keys";
    const LASTING: &str = "--database-url=sqlite:data";
    const NAMED: &str = "--namespace=mine";

    /// The namespace of a whole bank with these settings; nothing if they are refused.
    fn namespace(arguments: &[&str]) -> Option<String> {
        let arguments = ["bank"].iter().chain(arguments);
        // Not what the environment of the tests may say.
        let command = Program::command().mut_args(|argument| argument.env(None::<&str>));
        let matches = command.try_get_matches_from(arguments).ok()?;
        let mut settings = Program::from_arg_matches(&matches).ok()?.serve;
        settings.settle(ServiceName::value_variants()).ok()?;
        Some(settings.platform.namespace)
    }

    #[test]
    fn banks_that_share_a_part_do_not_meet() {
        for forgets in [&[AMQP][..], &[REDIS], &[AMQP, REDIS], &[AMQP, REDIS, KEYS]] {
            let (one, other) = (namespace(forgets).unwrap(), namespace(forgets).unwrap());
            assert!(one.starts_with("bank-") && one.len() <= 64, "{one}");
            assert_ne!(one, other, "{forgets:?}");
        }
        for lasts in [
            &[AMQP, LASTING][..],
            &[AMQP, REDIS, LASTING],
            &[REDIS, KEYS, LASTING],
        ] {
            assert_eq!(namespace(lasts), None, "{lasts:?}");
            let named = [lasts, &[NAMED]].concat();
            assert_eq!(namespace(&named).as_deref(), Some("mine"), "{lasts:?}");
        }
        assert_eq!(namespace(&[AMQP, NAMED]).as_deref(), Some("mine"));
    }

    #[test]
    fn banks_that_share_everything_or_nothing_meet_or_can_not() {
        for arguments in [&[][..], &[LASTING], &[KEYS], &[AMQP, REDIS, KEYS, LASTING]] {
            assert_eq!(namespace(arguments).as_deref(), Some(""), "{arguments:?}");
        }
    }
}
