//! The same by hand with RabbitMQ's own reply queue, without Redis.

use super::{amqp, waiters::Waiters};
use crate::{
    echo::Echo,
    handler::Handler,
    path::{Caller, Calls, Path, Site},
    worker::{self, Ready, Worker},
};
use anyhow::{Context, Result};
use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions},
    types::FieldTable,
};
use std::sync::Arc;

/// Where the broker takes replies on behalf of the channel that consumes it.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Request over a queue, reply over `amq.rabbitmq.reply-to`.
#[derive(Debug)]
pub struct DirectReplyTo;

fn queue(site: &Site) -> String {
    site.name("direct.requests")
}

#[async_trait]
impl Path for DirectReplyTo {
    fn name(&self) -> &'static str {
        "direct_reply_to"
    }

    async fn serve(&self, site: &Site, ready: Ready) -> Result<()> {
        let connection = amqp::connect(site).await?;
        let channel = connection.create_channel().await?;
        let replies = connection.create_channel().await?;
        let mut deliveries = amqp::consume(&channel, &queue(site)).await?;
        ready.tell()?;
        while let Some(delivery) = deliveries.next().await {
            let answering = answer(delivery?, site.handler, replies.clone());
            tokio::spawn(async { answering.await.unwrap_or_else(|error| worker::fail(&error)) });
        }
        Ok(())
    }

    async fn connect(&self, site: &Site, _workers: &[Worker]) -> Result<Box<dyn Calls>> {
        let connection = amqp::connect(site).await?;
        let channel = connection.create_channel().await?;
        let no_ack = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let replies = channel
            .basic_consume(REPLY_TO.into(), "".into(), no_ack, FieldTable::default())
            .await
            .context("could not consume the reply queue")?;
        let waiters = Arc::new(Waiters::default());
        let listening = Arc::clone(&waiters);
        tokio::spawn(async move {
            // Its end is seen by the calls under way, and by all later ones as a timeout.
            let _ = listen(replies, &listening).await;
            listening.abandon();
        });
        Ok(Box::new(Arc::new(Client {
            channel,
            _connection: connection,
            queue: queue(site),
            waiters,
        })))
    }

    async fn remove(&self, site: &Site) -> Result<()> {
        amqp::delete(site, &queue(site)).await
    }
}

/// Publishes the reply, then acknowledges the request.
async fn answer(delivery: Delivery, handler: Handler, replies: Channel) -> Result<()> {
    let (Some(reply_to), Some(id)) = (
        delivery.properties.reply_to(),
        delivery.properties.correlation_id(),
    ) else {
        anyhow::bail!("a request does not say where its reply goes");
    };
    let echo = Echo::decode(&delivery.data)?;
    handler.run().await;
    let body = echo.encode()?;
    let properties = BasicProperties::default().with_correlation_id(id.clone());
    amqp::publish(&replies, reply_to.as_str(), &body, properties).await?;
    delivery
        .ack(BasicAckOptions::default())
        .await
        .context("could not acknowledge")?;
    Ok(())
}

struct Client {
    channel: Channel,
    _connection: Connection,
    queue: String,
    waiters: Arc<Waiters>,
}

impl Caller for Client {
    async fn call(&self, echo: &Echo) -> Result<Echo> {
        let body = echo.encode()?;
        let (id, reply) = self.waiters.begin();
        let properties = BasicProperties::default()
            .with_correlation_id(id.to_string().into())
            .with_reply_to(REPLY_TO.into());
        amqp::publish(&self.channel, &self.queue, &body, properties).await?;
        Echo::decode(&self.waiters.reply(id, reply).await?)
    }
}

/// Hands out the replies as they arrive; ends when the channel does.
async fn listen(mut replies: Consumer, waiters: &Waiters) -> Result<()> {
    while let Some(reply) = replies.next().await {
        let reply = reply?;
        let id = reply.properties.correlation_id().as_ref();
        let id = id
            .context("a reply has no correlation id")?
            .as_str()
            .parse()?;
        waiters.arrived(id, reply.data);
    }
    Ok(())
}
