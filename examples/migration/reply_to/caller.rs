//! The old caller: a reply queue for the process, and those who wait by their correlation ids.

use crate::migration::place::{Place, declare};
use anyhow::Context as _;
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, Consumer,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    Balance { account: String },
    Deposit { account: String, amount: i64 },
}

/// As it travels: `{"Ok": 5}` or `{"Err": "no such account"}`.
pub(crate) type Reply = Result<i64, String>;

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Vec<u8>>>>>;

pub(crate) struct Caller {
    channel: Channel,
    queue: String,
    replies: String,
    waiting: Waiting,
    _connection: Connection,
}

impl Caller {
    pub(crate) async fn connect(place: &Place) -> anyhow::Result<Self> {
        let connection = place.rabbit().await?;
        let channel = connection.create_channel().await?;
        let queue = place.old_queue();
        declare(&channel, &queue).await?;
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel.queue_declare("".into(), exclusive, FieldTable::default());
        let replies = declared.await?.name().to_string();
        let no_ack = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        let consumer = channel
            .basic_consume(
                replies.as_str().into(),
                "".into(),
                no_ack,
                FieldTable::default(),
            )
            .await?;
        let waiting = Waiting::default();
        tokio::spawn(hand_out(consumer, Arc::clone(&waiting)));
        Ok(Self {
            channel,
            queue,
            replies,
            waiting,
            _connection: connection,
        })
    }

    pub(crate) async fn call(&self, id: &str, request: &Request) -> anyhow::Result<Reply> {
        let (answers, reply) = oneshot::channel();
        let waiting = || self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting().insert(id.to_owned(), answers);
        let properties = BasicProperties::default()
            .with_correlation_id(id.into())
            .with_reply_to(self.replies.as_str().into())
            .with_delivery_mode(2);
        let body = serde_json::to_vec(request)?;
        let publish = self.channel.basic_publish(
            "".into(),
            self.queue.as_str().into(),
            BasicPublishOptions::default(),
            &body,
            properties,
        );
        publish.await?;
        let reply = reply.await.context("the connection is gone")?;
        Ok(serde_json::from_slice(&reply)?)
    }
}

async fn hand_out(mut replies: Consumer, waiting: Waiting) {
    while let Some(Ok(reply)) = replies.next().await {
        let id = reply.properties.correlation_id().as_ref();
        let id = id.map(|id| id.as_str().to_owned()).unwrap_or_default();
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = waiting.remove(&id) {
            // Whoever asked may have left.
            let _ = answer.send(reply.data);
        }
    }
    // Those who still wait are told that nothing will come.
    waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clear();
}
