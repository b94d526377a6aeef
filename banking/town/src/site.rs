//! The site of one bank on servers that others use, too: a namespace, and a database.

use crate::database::PostgresDatabase;
use anyhow::Result;
use contracts::{TransactionCompleted, program};
use redis::AsyncCommands as _;
use replybus::Event as _;
use replybus_testkit::{leftovers::Leftovers, live, redis::connect};

/// Keys that Redis looks at in one step of a scan.
const SCAN: u32 = 1000;

/// Addresses of servers. They may hold passwords.
#[allow(
    missing_debug_implementations,
    reason = "it knows addresses that hold passwords"
)]
#[derive(Clone)]
pub struct Servers {
    amqp: String,
    redis: String,
    postgres: String,
}

impl Servers {
    /// Servers at these addresses.
    #[must_use]
    pub fn at(amqp: String, redis: String, postgres: String) -> Self {
        Self {
            amqp,
            redis,
            postgres,
        }
    }

    /// The same with another RabbitMQ.
    #[must_use]
    pub fn with_amqp(self, amqp: String) -> Self {
        Self { amqp, ..self }
    }

    /// The servers that tests share; `None` if one is missing and it may be.
    ///
    /// # Panics
    /// One is missing and `BUS_REQUIRE_LIVE=1` is set.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn found() -> Option<Self> {
        Some(Self {
            amqp: live::rabbitmq().await?,
            redis: live::redis().await?,
            postgres: live::postgres().await?,
        })
    }
}

/// A namespace on RabbitMQ and Redis and a database of PostgreSQL, for one bank.
#[allow(
    missing_debug_implementations,
    reason = "it knows addresses that hold passwords"
)]
pub struct Site {
    servers: Servers,
    namespace: String,
    database: PostgresDatabase,
}

impl Site {
    /// Makes the database.
    ///
    /// # Errors
    /// PostgreSQL can't be reached or refuses.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the database may be left.
    pub async fn open(servers: Servers) -> Result<Self> {
        Ok(Self {
            database: PostgresDatabase::create(servers.postgres.clone()).await?,
            servers,
            namespace: live::unique("bank"),
        })
    }

    /// Settings of every process of the bank, as environment variables.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("RABBITMQ_URL", self.servers.amqp.clone()),
            ("REDIS_URL", self.servers.redis.clone()),
            ("DATABASE_URL", self.database_url().to_owned()),
            ("BUS_NAMESPACE", self.namespace.clone()),
        ]
    }

    /// The namespace on RabbitMQ and Redis.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The address of the bank's database. It may hold a password.
    #[must_use]
    pub fn database_url(&self) -> &str {
        self.database.url()
    }

    /// Removes all that a bank left on the servers. Its processes are gone by then.
    ///
    /// # Errors
    /// A server can't be reached or refuses; what the others hold is removed all the same.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, something may be left.
    pub async fn remove(self) -> Result<()> {
        let (queues, keys, database) = tokio::join!(
            self.remove_queues(),
            self.remove_keys(),
            self.database.drop()
        );
        queues.and(keys).and(database)
    }

    async fn remove_queues(&self) -> Result<()> {
        let queues = program::QUEUES.map(|of| of.queue);
        let left = Leftovers::of(&self.namespace).queues(queues);
        let left = left.delays_to(queues);
        let left = left.exchanges([TransactionCompleted::EXCHANGE]);
        Ok(left.delete(&self.servers.amqp).await?)
    }

    async fn remove_keys(&self) -> Result<()> {
        let mut connection = connect(&self.servers.redis).await?;
        // Claims and inboxes have a prefix before the namespace.
        let pattern = format!("*{}.*", self.namespace);
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(SCAN)
                .query_async(&mut connection)
                .await?;
            if !keys.is_empty() {
                let _: () = connection.unlink(keys).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}
