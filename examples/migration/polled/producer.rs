//! The old producer: a JSON message into the queue, and then `GET response:{correlation_id}` until
//! the answer is there.

use crate::migration::{
    contract::AccountsError,
    place::{Place, declare},
};
use lapin::{BasicProperties, Channel, Connection, options::BasicPublishOptions};
use redis::{AsyncTypedCommands, aio::MultiplexedConnection};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;

pub(crate) struct Producer {
    channel: Channel,
    redis: MultiplexedConnection,
    queue: String,
    _connection: Connection,
}

/// What the worker stores: `{"status": "ok", "body": 5}`.
#[derive(Debug, Deserialize)]
#[serde(tag = "status", content = "body", rename_all = "lowercase")]
pub(crate) enum Reply {
    Ok(i64),
    Error(AccountsError),
}

impl Producer {
    pub(crate) async fn connect(place: &Place) -> anyhow::Result<Self> {
        let connection = place.rabbit().await?;
        let channel = connection.create_channel().await?;
        let queue = place.old_queue();
        declare(&channel, &queue).await?;
        Ok(Self {
            channel,
            redis: place.redis().await?,
            queue,
            _connection: connection,
        })
    }

    /// Asks, and polls for as long as it is not dropped.
    pub(crate) async fn call(&self, id: &str, request: &Value) -> anyhow::Result<Reply> {
        let properties = BasicProperties::default()
            .with_correlation_id(id.into())
            .with_delivery_mode(2);
        let body = request.to_string();
        let publish = self.channel.basic_publish(
            "".into(),
            self.queue.as_str().into(),
            BasicPublishOptions::default(),
            body.as_bytes(),
            properties,
        );
        publish.await?;
        let mut redis = self.redis.clone();
        loop {
            if let Some(reply) = redis.get(format!("response:{id}")).await? {
                return Ok(serde_json::from_str(&reply)?);
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}
