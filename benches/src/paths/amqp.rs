//! What the hand-written paths do with RabbitMQ.

use crate::path::Site;
use anyhow::{Context, Result};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use std::time::Duration;
use tokio::time::timeout;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A queue that a killed benchmark left behind deletes itself after this time without a consumer.
const QUEUE_EXPIRES_MS: u32 = 60_000;
/// Of 16 to 256 the best for `raw` at 64 and at 512 callers: 32 loses a fifth, 256 gains nothing.
const PREFETCH: u16 = 128;

/// Connects to the broker.
pub(super) async fn connect(site: &Site) -> Result<Connection> {
    let connecting = Connection::connect(&site.amqp_url, ConnectionProperties::default());
    timeout(CONNECT_WITHIN, connecting)
        .await
        .context("RabbitMQ (AMQP_URL) does not answer")?
        .context("could not connect to RabbitMQ (AMQP_URL)")
}

/// Declares the queue of requests and consumes it.
pub(super) async fn consume(channel: &Channel, queue: &str) -> Result<Consumer> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongUInt(QUEUE_EXPIRES_MS));
    channel
        .queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments)
        .await
        .context("could not declare the queue")?;
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await
        .context("could not set the prefetch")?;
    channel
        .basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .context("could not consume the queue")
}

/// Publishes to a queue through the default exchange; returns when it is written.
pub(super) async fn publish(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Result<()> {
    channel
        .basic_publish(
            "".into(),
            queue.into(),
            BasicPublishOptions::default(),
            body,
            properties,
        )
        .await
        .context("could not publish")?;
    Ok(())
}

/// Deletes the queue of requests.
pub(crate) async fn delete(site: &Site, queue: &str) -> Result<()> {
    connect(site)
        .await?
        .create_channel()
        .await?
        .queue_delete(queue.into(), QueueDeleteOptions::default())
        .await
        .context("could not delete the queue")?;
    Ok(())
}
