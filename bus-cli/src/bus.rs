//! The bus for as long as a command takes.

use crate::{
    failure::{Failure, chain},
    settings::{ServerArgs, Servers},
};
use replybus::{Amqp, Bus, reply::memory::MemoryReplies, transport::memory::MemoryBroker};
use replybus_redis::RedisReplies;
use std::time::Duration;

/// The time in which a server must be reached: somebody waits.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The time a close takes at most: cancelled calls are said so by then.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Runs a command on RabbitMQ and Redis.
pub(crate) async fn with_bus(
    servers: &ServerArgs,
    command: impl AsyncFnOnce(&Bus) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let servers = servers.find()?;
    let connecting = builder(&servers).connect(amqp(&servers), redis(&servers));
    on(connecting.await, command).await
}

/// Runs a command on Redis alone: RabbitMQ may be what is looked for.
pub(crate) async fn with_store(
    servers: &ServerArgs,
    command: impl AsyncFnOnce(&Bus) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let servers = servers.find()?;
    let connecting = builder(&servers).connect(MemoryBroker::new(), redis(&servers));
    on(connecting.await, command).await
}

/// Runs a command on RabbitMQ alone.
pub(crate) async fn with_broker(
    servers: &ServerArgs,
    command: impl AsyncFnOnce(&Bus) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let servers = servers.find()?;
    let connecting = builder(&servers).connect(amqp(&servers), MemoryReplies::new());
    on(connecting.await, command).await
}

pub(crate) fn builder(servers: &Servers) -> replybus::BusBuilder {
    let builder = Bus::builder()
        .namespace(&servers.namespace)
        .app_id("replybus");
    match &servers.signing_key {
        Some(key) => builder.sign(key.clone()),
        None => builder,
    }
}

/// The reply store, as all commands connect to it.
pub(crate) fn redis(servers: &Servers) -> RedisReplies {
    let replies = RedisReplies::new(servers.redis.expose()).connect_within(CONNECT_WITHIN);
    let replies = servers.redis_tls.replies(replies);
    match &servers.key_prefix {
        Some(prefix) => replies.key_prefix(prefix),
        None => replies,
    }
}

pub(crate) fn amqp(servers: &Servers) -> Amqp {
    let amqp = Amqp::new(servers.amqp.expose()).connect_within(CONNECT_WITHIN);
    let amqp = servers.amqp_tls.broker(amqp);
    amqp.connection_name("replybus (command line)")
}

async fn on(
    connected: Result<Bus, replybus::SetupError>,
    command: impl AsyncFnOnce(&Bus) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let bus = connected.map_err(|error| Failure::Said(chain(&error)))?;
    let done = tokio::select! {
        done = command(&bus) => done,
        () = interrupted() => Err(Failure::Interrupted),
    };
    bus.close(CLOSE_WITHIN).await;
    done
}

/// Ready when the user, or who stops programs, wants an end.
pub(crate) async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
