//! The broker a promise is checked on, and short words for what is done to it.

use async_trait::async_trait;
use lapin::{Connection, ConnectionProperties};
use replybus::{
    message::Message,
    transport::{
        Binding, Deliveries, Delivery, Outgoing, QueueSpec, Settled, Source, Transport, Verdict,
        amqp::Amqp, memory::MemoryBroker,
    },
};
use replybus_testkit::{
    live::{self, unique},
    wait::{AT_MOST, bounded},
};
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

/// A broker under test.
#[async_trait]
pub(crate) trait Broker: Send + Sync {
    /// A new connection to it.
    async fn connect(&self) -> Arc<dyn Transport>;

    /// Deletes what a test declared, if it outlives the test.
    async fn delete(&self, queues: &[String], exchanges: &[String]);

    /// Deletes what delays waited in.
    async fn delete_way(&self, _way: &str, _queues: &[String], _exchanges: &[String]) {}
}

/// The broker inside this process.
pub(crate) async fn memory() -> Option<Box<dyn Broker>> {
    Some(Box::new(Memory(MemoryBroker::new())))
}

struct Memory(MemoryBroker);

#[async_trait]
impl Broker for Memory {
    async fn connect(&self) -> Arc<dyn Transport> {
        Arc::new(self.0.connect())
    }

    async fn delete(&self, _queues: &[String], _exchanges: &[String]) {}
}

/// RabbitMQ.
pub(crate) async fn rabbitmq() -> Option<Box<dyn Broker>> {
    let url = live::rabbitmq().await?;
    Some(Box::new(RabbitMq(url)))
}

struct RabbitMq(String);

#[async_trait]
impl Broker for RabbitMq {
    async fn connect(&self) -> Arc<dyn Transport> {
        Amqp::new(&self.0).connect().await.unwrap()
    }

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

/// One test's share of a broker.
pub(crate) struct Bench {
    pub(crate) transport: Arc<dyn Transport>,
    broker: Box<dyn Broker>,
    queues: Mutex<Vec<String>>,
    exchanges: Mutex<Vec<String>>,
    way: Mutex<Option<String>>,
}

type Check = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Checks a promise, and cleans up whether it is kept or not.
pub(crate) async fn run(broker: Option<Box<dyn Broker>>, promise: fn(Arc<Bench>) -> Check) {
    let Some(broker) = broker else {
        return;
    };
    let bench = Arc::new(Bench {
        transport: broker.connect().await,
        broker,
        queues: Mutex::default(),
        exchanges: Mutex::default(),
        way: Mutex::default(),
    });
    // One that is broken often shows by waiting for ever.
    let checked = tokio::spawn(bounded(promise(Arc::clone(&bench)))).await;
    bench.transport.close(AT_MOST).await;
    let (queues, exchanges) = (
        bench.queues.lock().unwrap().clone(),
        bench.exchanges.lock().unwrap().clone(),
    );
    bench.broker.delete(&queues, &exchanges).await;
    let way = bench.way.lock().unwrap().take();
    if let Some(way) = way {
        bench.broker.delete_way(&way, &queues, &exchanges).await;
    }
    if let Err(failure) = checked {
        std::panic::resume_unwind(failure.into_panic());
    }
}

impl Bench {
    /// Another connection to the same broker.
    pub(crate) async fn connect(&self) -> Arc<dyn Transport> {
        self.broker.connect().await
    }

    /// A queue of this test's own, not declared yet.
    pub(crate) fn queue(&self) -> QueueSpec {
        let name = unique("queue");
        self.queues.lock().unwrap().push(name.clone());
        QueueSpec::new(name)
    }

    /// An exchange of this test's own, not declared yet.
    pub(crate) fn exchange(&self) -> String {
        let name = unique("exchange");
        self.exchanges.lock().unwrap().push(name.clone());
        name
    }

    /// A place of this test's own for delays, not declared yet.
    pub(crate) fn way(&self) -> String {
        let mut way = self.way.lock().unwrap();
        way.get_or_insert_with(|| unique("delay")).clone()
    }

    pub(crate) async fn consume(&self, queue: &QueueSpec, prefetch: u16) -> Consumer {
        self.subscribe(queue, prefetch, Vec::new()).await
    }

    pub(crate) async fn subscribe(
        &self,
        queue: &QueueSpec,
        prefetch: u16,
        bindings: Vec<Binding>,
    ) -> Consumer {
        let queue = queue.clone();
        let source = bindings
            .into_iter()
            .fold(Source::new(queue, prefetch), Source::bind);
        Consumer(self.transport.consume(source).await.unwrap())
    }

    /// Publishes and returns the verdict.
    pub(crate) async fn publish(&self, outgoing: Outgoing) -> Verdict {
        self.transport.publish(outgoing).verdict().await
    }

    /// Publishes to a queue what must be confirmed.
    pub(crate) async fn send(&self, queue: &QueueSpec, bodies: &[&str]) {
        for body in bodies {
            let verdict = self.publish(to(queue, body)).await;
            assert_eq!(verdict, Verdict::Confirmed, "{body}");
        }
    }
}

/// Deliveries, by their bodies.
pub(crate) struct Consumer(pub(crate) Box<dyn Deliveries>);

impl Consumer {
    pub(crate) async fn next(&mut self) -> Delivery {
        self.0.next().await.unwrap()
    }

    /// Takes and acks the next delivery, which must have this body.
    pub(crate) async fn takes(&mut self, expected: &str) {
        let delivery = self.next().await;
        assert_eq!(body(&delivery), expected);
        delivery.settler.settle(Settled::Ack);
    }
}

pub(crate) fn body(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.message.body).unwrap()
}

/// A mandatory message without a deadline.
pub(crate) fn to(queue: &QueueSpec, body: &str) -> Outgoing {
    routed("", &queue.name, body)
}

pub(crate) fn routed(exchange: &str, routing_key: &str, body: &str) -> Outgoing {
    Outgoing::new(Message {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        body: body.to_owned().into(),
        ..Message::default()
    })
}

pub(crate) fn bind(exchange: &str, routing_key: &str) -> Binding {
    Binding::new(exchange, routing_key)
}
