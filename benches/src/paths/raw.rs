//! The reference: lapin and redis by hand, the way a good engineer writes it in an afternoon.
//!
//! No confirms, no deadline on the wire, no reconnect, no deduplication, no trace, one method.

use super::{amqp, redis_connection, waiters::Waiters};
use crate::{
    echo::Echo,
    handler::Handler,
    path::{Caller, Calls, Path, Site},
    worker::{self, Ready, Worker},
};
use anyhow::{Context, Result};
use async_trait::async_trait;
use futures_util::StreamExt;
use lapin::{BasicProperties, Channel, message::Delivery, options::BasicAckOptions};
use redis::{AsyncTypedCommands, aio::MultiplexedConnection, cmd};
use std::{sync::Arc, time::Duration};

/// Replies the stream holds, about: more than are under way at once, of large ones as many as fit
/// into [`STREAM_BYTES_MAX`].
const STREAM_LENGTH_MAX: usize = 10_000;
/// Twice what may be under way.
const STREAM_BYTES_MAX: usize = 128 * 1024 * 1024;
/// A stream that a killed benchmark left behind expires.
const STREAM_EXPIRES_S: i64 = 3_600;
/// How long the listener waits before it asks again.
const BLOCK_MS: u32 = 5_000;
const RESPONSE_WITHIN: Duration = Duration::from_secs(5);

/// Request over a queue, reply over one Redis stream.
#[derive(Debug)]
pub struct Raw;

fn queue(site: &Site) -> String {
    site.name("raw.requests")
}

fn stream(site: &Site) -> String {
    site.name("raw.replies")
}

#[async_trait]
impl Path for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn uses_redis(&self) -> bool {
        true
    }

    async fn serve(&self, site: &Site, ready: Ready) -> Result<()> {
        let redis = redis_connection::connect(site, Some(RESPONSE_WITHIN)).await?;
        let connection = amqp::connect(site).await?;
        let channel = connection.create_channel().await?;
        let mut deliveries = amqp::consume(&channel, &queue(site)).await?;
        let stream: Arc<str> = stream(site).into();
        ready.tell()?;
        while let Some(delivery) = deliveries.next().await {
            let answering = answer(delivery?, site.handler, redis.clone(), Arc::clone(&stream));
            tokio::spawn(async { answering.await.unwrap_or_else(|error| worker::fail(&error)) });
        }
        Ok(())
    }

    async fn connect(&self, site: &Site, _workers: &[Worker]) -> Result<Box<dyn Calls>> {
        let waiters = Arc::new(Waiters::default());
        let stream = stream(site);
        let mut listener = redis_connection::connect(site, None).await?;
        // A group that nobody uses is how Redis makes an empty stream, which can then expire.
        listener
            .xgroup_create_mkstream(&stream, "none", "$")
            .await?;
        listener.expire(&stream, STREAM_EXPIRES_S).await?;
        let listening = Arc::clone(&waiters);
        tokio::spawn(async move {
            // Its end is seen by the calls under way, and by all later ones as a timeout.
            let _ = listen(listener, &stream, &listening).await;
            listening.abandon();
        });
        let connection = amqp::connect(site).await?;
        Ok(Box::new(Arc::new(Client {
            channel: connection.create_channel().await?,
            _connection: connection,
            queue: queue(site),
            waiters,
        })))
    }

    async fn remove(&self, site: &Site) -> Result<()> {
        let mut redis = redis_connection::connect(site, Some(RESPONSE_WITHIN)).await?;
        redis
            .del(stream(site))
            .await
            .context("could not delete the stream")?;
        amqp::delete(site, &queue(site)).await
    }
}

/// Stores the reply, then acknowledges the request.
async fn answer(
    delivery: Delivery,
    handler: Handler,
    mut redis: MultiplexedConnection,
    stream: Arc<str>,
) -> Result<()> {
    let id = delivery.properties.correlation_id().as_ref();
    let id = id.context("a request has no correlation id")?.as_str();
    let echo = Echo::decode(&delivery.data)?;
    handler.run().await;
    let body = echo.encode()?;
    let fits = STREAM_BYTES_MAX / body.len().max(1);
    cmd("XADD")
        .arg(&*stream)
        .arg(&["MAXLEN", "~"])
        .arg(STREAM_LENGTH_MAX.min(fits))
        .arg(&["*", "id", id, "body"])
        .arg(body)
        .exec_async(&mut redis)
        .await
        .context("could not store a reply")?;
    delivery
        .ack(BasicAckOptions::default())
        .await
        .context("could not acknowledge")?;
    Ok(())
}

struct Client {
    channel: Channel,
    _connection: lapin::Connection,
    queue: String,
    waiters: Arc<Waiters>,
}

impl Caller for Client {
    async fn call(&self, echo: &Echo) -> Result<Echo> {
        let body = echo.encode()?;
        let (id, reply) = self.waiters.begin();
        let properties = BasicProperties::default().with_correlation_id(id.to_string().into());
        amqp::publish(&self.channel, &self.queue, &body, properties).await?;
        Echo::decode(&self.waiters.reply(id, reply).await?)
    }
}

/// An entry of the stream: its id, and the fields `id` and `body` with their values.
type Entry = (String, (String, u64, String, Vec<u8>));

/// Hands out the replies as they arrive; ends with an error when the connection does.
async fn listen(mut redis: MultiplexedConnection, stream: &str, waiters: &Waiters) -> Result<()> {
    let mut last = "0".to_owned();
    loop {
        let mut read = cmd("XREAD");
        read.arg("BLOCK")
            .arg(BLOCK_MS)
            .arg(&["STREAMS", stream, &last]);
        let read: Option<Vec<(String, Vec<Entry>)>> = read.query_async(&mut redis).await?;
        for (entry, (_, id, _, body)) in read.into_iter().flatten().flat_map(|(_, entries)| entries)
        {
            waiters.arrived(id, body);
            last = entry;
        }
    }
}
