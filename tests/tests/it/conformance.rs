//! RabbitMQ and Redis, held to what every transport and every reply store promises.

use async_trait::async_trait;
use lapin::{Connection, ConnectionProperties};
use replybus::{Amqp, reply::ReplyBackend, transport::TransportBackend};
use replybus_conformance::{
    Declared, StoreCase, StoreFixture, TransportCase, TransportFixture, store_suite,
    transport_suite,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{live, wait::AT_MOST};
use std::time::Duration;

transport_suite!(rabbitmq, claims: all);

#[tokio::main(flavor = "current_thread")]
async fn rabbitmq(case: TransportCase) {
    if let Some(url) = live::rabbitmq().await {
        case.check(RabbitMq(url)).await;
    }
}

pub(crate) struct RabbitMq(pub(crate) String);

#[async_trait]
impl TransportFixture for RabbitMq {
    fn backend(&self) -> Box<dyn TransportBackend> {
        Box::new(Amqp::new(&self.0))
    }

    async fn clear(&self, declared: Declared) {
        let Declared {
            queues,
            exchanges,
            way,
            ..
        } = declared;
        self.delete(&queues, &exchanges).await;
        if let Some(way) = way {
            self.delete_way(&way, &queues, &exchanges).await;
        }
    }

    fn bound(&self) -> Duration {
        AT_MOST
    }
}

impl RabbitMq {
    async fn delete(&self, queues: &[String], exchanges: &[String]) {
        let properties = ConnectionProperties::default();
        let connection = Connection::connect(&self.0, properties).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        for queue in queues {
            let deleted = channel.queue_delete(queue.as_str().into(), Default::default());
            deleted.await.unwrap();
        }
        for exchange in exchanges {
            let deleted = channel.exchange_delete(exchange.as_str().into(), Default::default());
            deleted.await.unwrap();
        }
        connection.close(200, "done".into()).await.unwrap();
    }

    /// Deletes what delays waited in.
    async fn delete_way(&self, way: &str, queues: &[String], exchanges: &[String]) {
        let destinations = queues.iter().map(|queue| format!("{way}.due.{queue}"));
        let events = exchanges
            .iter()
            .map(|exchange| format!("{way}.due.{exchange}:offer.expired"));
        let levels: Vec<_> = (0..25)
            .map(|level| format!("{way}.{}s", 1 << level))
            .collect();
        let other = [format!("{way}.lost"), format!("{way}.unheard")];
        let queues: Vec<_> = destinations
            .chain(events)
            .chain(levels.clone())
            .chain(other)
            .collect();
        let emitting = exchanges
            .iter()
            .map(|exchange| format!("{way}.to.{exchange}"));
        let other = ["", ".fresh", ".first", ".due", ".lost"].map(|name| format!("{way}{name}"));
        let exchanges: Vec<_> = levels.into_iter().chain(emitting).chain(other).collect();
        self.delete(&queues, &exchanges).await;
    }
}

store_suite!(redis, claims: all);

#[tokio::main(flavor = "current_thread")]
async fn redis(case: StoreCase) {
    if let Some(url) = live::redis().await {
        case.check(Redis(url)).await;
    }
}

struct Redis(String);

impl StoreFixture for Redis {
    fn backend(&self) -> Box<dyn ReplyBackend> {
        Box::new(RedisReplies::new(&self.0))
    }

    fn bound(&self) -> Duration {
        AT_MOST
    }
}
