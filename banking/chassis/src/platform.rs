//! The platform that a service is started on.

use crate::{
    database::Database,
    guesses::{self, Guesses},
    health::Databases,
    identity::{Identity, PROOFS, SessionStore},
    keys::{self, Keys, PassKeys, PasswordKeys},
    rates::RateLimit,
    redis_connection::{redis_client, redis_manager},
    replicas::Replicas,
    settings::PlatformSettings,
    vitals,
};
use anyhow::Context as _;
use contracts::program::{self, QueueOf};
use redis::aio::ConnectionManager;
use replybus::{
    Amqp, Bus,
    flight::FlightRecord,
    reply::{ReplyBackend, memory::MemoryReplies},
    sealed::{OpeningKey, SealingKey},
    server::{Serve, Service},
    transport::{TransportBackend, memory::MemoryBroker},
};
use replybus_redis::RedisReplies;
use sqlx::migrate::Migrator;
use std::fmt;

/// The highest bound, for each client and minute, that replicas count together: a higher one is for
/// what a machine can carry out, which is each machine's own, and not worth a question for each
/// request.
const COUNTED_TOGETHER_MAX: u32 = 10_000;

/// The bus, who this program is, and where databases are. Clones share them.
#[derive(Clone)]
pub struct Platform {
    /// The bus.
    pub bus: Bus,
    /// The identity of this program, and of who asks it.
    pub identity: Identity,
    keys: PassKeys,
    passwords: PasswordKeys,
    pub(crate) name: String,
    pub(crate) databases: Databases,
    settings: PlatformSettings,
    /// For what the replicas of a program count together.
    counting: Option<ConnectionManager>,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform")
            .field("name", &self.name)
            .field("bus", &self.bus)
            .field("identity", &self.identity)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Platform {
    /// Connects the program `name`. Servers that are not there yet are waited for while it runs.
    ///
    /// # Errors
    /// A setting makes no sense, or the keys can't be read.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it leaves nothing behind.
    pub async fn connect(name: &str, settings: PlatformSettings) -> anyhow::Result<Self> {
        settings.check_encryption()?;
        let (amqp, redis) = (settings.amqp_url.as_ref(), settings.redis_url.as_ref());
        let amqp = amqp.map(|url| settings.amqp_tls.broker(Amqp::new(url.reveal())));
        let redis = redis.map(|url| settings.redis_tls.replies(RedisReplies::new(url.reveal())));
        match (amqp, redis) {
            (Some(amqp), Some(redis)) => Self::over(name, settings, amqp, redis).await,
            (Some(amqp), None) => Self::over(name, settings, amqp, MemoryReplies::new()).await,
            (None, Some(redis)) => Self::over(name, settings, MemoryBroker::new(), redis).await,
            (None, None) => {
                Self::over(name, settings, MemoryBroker::new(), MemoryReplies::new()).await
            }
        }
    }

    /// Connects it over a broker and a reply store that are given, such as those of a test, whatever
    /// is set.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect).
    pub async fn over(
        name: &str,
        settings: PlatformSettings,
        broker: impl TransportBackend,
        replies: impl ReplyBackend,
    ) -> anyhow::Result<Self> {
        // From here on it counts how long it runs.
        vitals::began();
        let keys = match &settings.keys_dir {
            Some(directory) => Keys::load(directory)?,
            None => Keys::draw()?,
        };
        let store = match &settings.redis_url {
            Some(url) => {
                SessionStore::redis(url.reveal(), &settings.redis_tls, &settings.namespace)?
            }
            None => SessionStore::memory(),
        };
        // Services restart one at a time: a call that takes seconds is better than one that fails.
        let mut bus = Bus::builder()
            .namespace(&settings.namespace)
            .app_id(name)
            .wait_for_services();
        if let Some(key) = keys.of_requests()? {
            bus = bus.sign(key).only_signed_replies(keys.passes.services()?);
        }
        if settings.flight_record {
            bus = bus.flight_record(FlightRecord::new());
        }
        let bus = bus.connect(broker, replies).await;
        let counting = settings.redis_url.as_ref();
        let counting = counting
            .map(|url| redis_manager(url.reveal(), &settings.redis_tls))
            .transpose()?;
        Ok(Self {
            bus: bus.context("can't connect to the bus")?,
            identity: Identity::new(name, &keys, store),
            keys: keys.passes,
            passwords: keys.passwords,
            name: name.to_owned(),
            databases: Databases::default(),
            settings,
            counting,
        })
    }

    /// The same bus and keys, for another program in this process.
    #[must_use]
    pub fn of_program(&self, name: &str) -> Self {
        Self {
            identity: self.identity.of_program(name),
            name: name.to_owned(),
            ..self.clone()
        }
    }

    /// The same, for a program that issues passes or signs events.
    ///
    /// # Errors
    /// The key is missing that they are signed with.
    pub fn of_issuer(&self, name: &str) -> anyhow::Result<Self> {
        let platform = self.of_program(name);
        anyhow::ensure!(
            platform.identity.can_issue_passes(),
            "what it asks of other services or tells them would be refused: {} is missing in the \
             directory of keys; `bank keys` adds it to those of an older version",
            keys::pass_signing(name)
        );
        Ok(platform)
    }

    /// The key that passwords are sealed to, for who sends them.
    ///
    /// # Errors
    /// It is missing.
    pub fn password_sealing(&self) -> anyhow::Result<SealingKey> {
        let key = self.passwords.sealing.clone();
        key.with_context(|| missing_of_passwords(keys::SEALING))
    }

    /// The key that opens passwords, for who checks them.
    ///
    /// # Errors
    /// It is missing.
    pub fn password_opening(&self) -> anyhow::Result<OpeningKey> {
        let key = self.passwords.opening.clone();
        key.with_context(|| missing_of_passwords(keys::OPENING))
    }

    /// Serves a queue of the bank to the programs that may ask there: a request that none of them
    /// signed is refused before anything is done. Replies are signed as those of the queue's program.
    /// What proves who asks is left out of dead letters.
    ///
    /// # Errors
    /// The bank has no such queue, or a key is missing: the program's own, or all of those who may
    /// ask.
    pub fn serve(&self, service: impl Service) -> anyhow::Result<Serve> {
        let queue = queue_of(&service)?;
        let (callers, instances) = (self.keys.callers(queue)?, self.keys.instances(queue)?);
        let serving = self.serve_anybody(service)?.secret_metadata(PROOFS);
        Ok(serving.only_signed(callers).believe_instances(instances))
    }

    /// The same of a queue that takes requests of anybody who may write there, for tests of a service
    /// whose callers have no key.
    ///
    /// # Errors
    /// The bank has no such queue, or the program's own key is missing.
    pub fn serve_anybody(&self, service: impl Service) -> anyhow::Result<Serve> {
        let own = self.keys.of_replies(queue_of(&service)?.program)?;
        Ok(self.bus.serve(service).sign(own))
    }

    /// Opens the database of a service; see [`Database::open`].
    ///
    /// # Errors
    /// As [`Database::open`].
    ///
    /// # Cancel safety
    /// As [`Database::open`].
    pub async fn database(
        &self,
        schema: &'static str,
        migrations: &Migrator,
    ) -> anyhow::Result<Database> {
        let database = Database::open(&self.settings, schema, migrations).await?;
        self.databases.opened(schema, database.clone());
        Ok(database)
    }

    /// Guesses that the replicas of this program count together under `what`, if Redis is set; else
    /// those of this process.
    #[must_use]
    pub fn guesses(&self, what: &str, rules: guesses::Rules) -> Guesses {
        match self.replicas(&format!("guesses:{what}")) {
            Some(replicas) => Guesses::of_replicas(rules, replicas),
            None => Guesses::of_process(rules),
        }
    }

    /// A bound of how often each client may ask, so many times a minute; 0 is without bound. Up to
    /// 10,000 the replicas of this program count together if Redis is set.
    #[must_use]
    pub fn rate_limit(&self, name: &'static str, per_minute: u32) -> RateLimit {
        match self.replicas(&format!("rate:{name}")) {
            Some(replicas) if per_minute <= COUNTED_TOGETHER_MAX => {
                RateLimit::of_replicas(name, per_minute, replicas)
            }
            _ => RateLimit::of_process(name, per_minute),
        }
    }

    /// The replicas of this program, as they count `what` together.
    pub(crate) fn replicas(&self, what: &str) -> Option<Replicas> {
        let connection = self.counting.clone()?;
        let key = self.identity.derived_key(what);
        let namespace = &self.settings.namespace;
        Some(Replicas::new(connection, namespace, what, key))
    }

    /// The settings it was made of.
    #[must_use]
    pub fn settings(&self) -> &PlatformSettings {
        &self.settings
    }

    /// A client of the Redis that is set, if one is.
    ///
    /// # Errors
    /// Its address can't be read.
    pub fn redis(&self) -> anyhow::Result<Option<redis::Client>> {
        let url = self.settings.redis_url.as_ref();
        url.map(|url| redis_client(url.reveal(), &self.settings.redis_tls))
            .transpose()
    }
}

fn missing_of_passwords(file: &str) -> String {
    format!(
        "passwords would travel in the clear: {file} is missing in the directory of keys; \
         `bank keys` adds a pair to those of an older version"
    )
}

fn queue_of(service: &impl Service) -> anyhow::Result<&'static QueueOf> {
    let name = service.contract().queue;
    program::queue(name).with_context(|| format!("whose is the queue {name}?"))
}
