//! The RabbitMQ and Redis that the examples use, and how they leave them.

use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use std::env;

/// `AMQP_URL`, or RabbitMQ on this machine.
pub fn amqp_url() -> String {
    env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

/// `REDIS_URL`, or Redis on this machine.
pub fn redis_url() -> String {
    env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379/0".to_owned())
}

/// Deletes a service's queue and its queue of dead letters, so that an example leaves nothing
/// behind. A real service leaves them alone: what is sent while it is away waits in its queue.
///
/// # Errors
/// RabbitMQ can't be reached, or refuses.
///
/// # Cancel safety
/// Dropped before it is ready, queues may be left.
pub async fn delete_queue(queue: &str) -> Result<(), lapin::Error> {
    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    for queue in [queue, &format!("{queue}.dead")] {
        channel
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await?;
    }
    connection.close(200, "done".into()).await
}

/// Deletes the queues and exchanges in which the delayed messages of a namespace wait. A real
/// program leaves them alone.
///
/// # Errors
/// RabbitMQ can't be reached, or refuses.
///
/// # Cancel safety
/// Dropped before it is ready, queues and exchanges may be left.
pub async fn delete_delays(namespace: &str, destinations: &[&str]) -> Result<(), lapin::Error> {
    let way = format!("{namespace}.replybus.delay");
    let levels = (0..25).map(|level| format!("{way}.{}s", 1_u64 << level));
    let connection = Connection::connect(&amqp_url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let due = destinations
        .iter()
        .map(|to| format!("{way}.due.{namespace}.{to}"));
    let others = ["lost", "unheard"].map(|name| format!("{way}.{name}"));
    for queue in levels.clone().chain(due).chain(others) {
        let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        deleted.await?;
    }
    let exchanges = ["", ".fresh", ".first", ".due", ".lost"].map(|name| format!("{way}{name}"));
    let events = format!("{namespace}.replybus.events");
    let emitting = format!("{way}.to.{events}");
    for exchange in levels.chain(exchanges).chain([emitting, events]) {
        let deleted = channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default());
        deleted.await?;
    }
    connection.close(200, "done".into()).await
}
