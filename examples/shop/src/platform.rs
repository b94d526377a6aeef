//! The platform that services are started on.

use crate::{
    settings::Settings,
    tokens::{Keys, Tokens},
};
use anyhow::Context as _;
use chassis::{Database, redis_manager, settings::PlatformSettings};
use redis::aio::ConnectionManager;
use replybus::{Amqp, Bus, reply::memory::MemoryReplies, transport::memory::MemoryBroker};
use replybus_redis::RedisReplies;
use sqlx::migrate::Migrator;
use std::{fmt, sync::Arc};

/// The bus, who may ask, and where data is. Clones share them.
#[derive(Clone)]
pub struct Platform {
    /// The bus.
    pub bus: Bus,
    pub(crate) tokens: Tokens,
    pub(crate) settings: Arc<Settings>,
    /// Redis, for what is not a reply.
    pub(crate) redis: Option<ConnectionManager>,
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform")
            .field("bus", &self.bus)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Platform {
    /// Connects. Servers that are lost later are waited for while it runs.
    ///
    /// # Errors
    /// A setting makes no sense, a server can't be reached, or the keys can't be read.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it leaves nothing behind.
    pub async fn connect(settings: Settings) -> anyhow::Result<Self> {
        let (of_amqp, of_redis) = (settings.tls.of_amqp(), settings.tls.of_redis());
        of_amqp.check("RabbitMQ", settings.amqp_url.as_ref(), "amqps://")?;
        of_redis.check("Redis", settings.redis_url.as_ref(), "rediss://")?;
        let keys = match &settings.keys_dir {
            Some(directory) => Keys::load(directory)?,
            None => Keys::draw()?,
        };
        let bus = Bus::builder().namespace(&settings.namespace).app_id("shop");
        let amqp = settings.amqp_url.as_ref();
        let amqp = amqp.map(|url| of_amqp.broker(Amqp::new(url.reveal())));
        let redis = settings.redis_url.as_ref();
        let replies = redis.map(|url| of_redis.replies(RedisReplies::new(url.reveal())));
        let bus = match (amqp, replies) {
            (Some(amqp), Some(redis)) => bus.connect(amqp, redis).await,
            (Some(amqp), None) => bus.connect(amqp, MemoryReplies::new()).await,
            (None, Some(redis)) => bus.connect(MemoryBroker::new(), redis).await,
            (None, None) => bus.connect(MemoryBroker::new(), MemoryReplies::new()).await,
        };
        Ok(Self {
            bus: bus.context("can't connect to the bus")?,
            tokens: Tokens::new(keys, settings.token_ttl),
            redis: redis
                .map(|url| redis_manager(url.reveal(), &of_redis))
                .transpose()?,
            settings: Arc::new(settings),
        })
    }

    /// Opens the database of a service, and brings it up to date.
    pub(crate) async fn database(
        &self,
        schema: &'static str,
        migrations: &Migrator,
    ) -> anyhow::Result<Database> {
        let url = self.settings.database_url.reveal();
        let mut settings = PlatformSettings::with_database(url);
        settings.database_tls = self.settings.tls.of_database();
        Database::open(&settings, schema, migrations).await
    }
}
