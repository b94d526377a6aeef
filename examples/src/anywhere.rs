//! A bus for an example that needs no servers, and uses those there are.

use replybus::{Bus, CallId};
use std::time::Duration;

/// A bus in a namespace of its own.
#[derive(Debug)]
pub struct Anywhere {
    /// The bus: over the RabbitMQ and the Redis of `AMQP_URL` and `REDIS_URL` if both are set, else
    /// in this process.
    pub bus: Bus,
    /// Queues on RabbitMQ begin with it, and a dot.
    namespace: Option<String>,
}

impl Anywhere {
    /// Connects, or does not have to.
    ///
    /// # Errors
    /// A server can't be reached, or refuses.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it leaves no connection behind.
    pub async fn open() -> anyhow::Result<Self> {
        let namespace = format!("examples.{}", CallId::new());
        let live = connect(&namespace).await?;
        let namespace = live.is_some().then_some(namespace);
        let bus = live.unwrap_or_else(Bus::in_memory);
        Ok(Self { bus, namespace })
    }

    /// Deletes the queues and exchanges in which what is delayed waits, and with them what still
    /// waits for these destinations.
    ///
    /// # Errors
    /// RabbitMQ can't be reached, or refuses.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, queues and exchanges may be left.
    pub async fn forget_delays(&self, destinations: &[&str]) -> anyhow::Result<()> {
        match &self.namespace {
            Some(namespace) => forget_delays(namespace, destinations).await,
            None => Ok(()),
        }
    }

    /// Closes the bus, and deletes these queues of services with their dead letters.
    ///
    /// # Errors
    /// RabbitMQ can't be reached, or refuses.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, queues may be left.
    pub async fn close(self, queues: &[&str]) -> anyhow::Result<()> {
        self.bus.close(Duration::from_secs(5)).await;
        if let Some(namespace) = &self.namespace {
            for queue in queues {
                delete(&format!("{namespace}.{queue}")).await?;
            }
        }
        Ok(())
    }
}

#[cfg(feature = "servers")]
async fn connect(namespace: &str) -> anyhow::Result<Option<Bus>> {
    use crate::servers::{amqp_url, redis_url};
    use replybus::Amqp;
    use replybus_redis::RedisReplies;

    let is_set = |name| std::env::var_os(name).is_some();
    if !is_set("AMQP_URL") || !is_set("REDIS_URL") {
        return Ok(None);
    }
    let bus = Bus::builder().namespace(namespace);
    let bus = bus.connect(Amqp::new(amqp_url()), RedisReplies::new(redis_url()));
    Ok(Some(bus.await?))
}

#[cfg(feature = "servers")]
async fn delete(queue: &str) -> anyhow::Result<()> {
    Ok(crate::servers::delete_queue(queue).await?)
}

#[cfg(feature = "servers")]
async fn forget_delays(namespace: &str, destinations: &[&str]) -> anyhow::Result<()> {
    Ok(crate::servers::delete_delays(namespace, destinations).await?)
}

#[cfg(not(feature = "servers"))]
async fn connect(_: &str) -> anyhow::Result<Option<Bus>> {
    Ok(None)
}

#[cfg(not(feature = "servers"))]
async fn delete(_: &str) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(not(feature = "servers"))]
async fn forget_delays(_: &str, _: &[&str]) -> anyhow::Result<()> {
    Ok(())
}
