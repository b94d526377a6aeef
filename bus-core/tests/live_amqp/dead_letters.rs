//! Dead letters on a real broker: whole, bounded, and no reason for a service to stop.

use crate::support::{BOUND, Broker, TestQueue, broker};
use lapin::{
    BasicProperties,
    options::{BasicGetOptions, BasicNackOptions, BasicPublishOptions, QueueDeclareOptions},
    types::{AMQPValue, DecimalValue, FieldTable},
};
use replybus::{
    Bus, Never, contract::QueueType, limits, queue_handler, reply::memory::MemoryReplies,
    server::Serving,
};
use replybus_testkit::wait::eventually;
use tokio::time::{Instant, sleep};

#[queue_handler("live.requests", prefetch = 32)]
trait Echo {
    async fn echo(&self, number: u32) -> Result<u32, Never>;
}

struct Echoes;

impl Echo for Echoes {
    async fn echo(&self, number: u32) -> Result<u32, Never> {
        Ok(number)
    }
}

/// A service on a queue of its own, and the queue of its dead letters.
struct Site {
    queue: TestQueue,
    dead: TestQueue,
    bus: Bus,
    raw: lapin::Channel,
}

impl Site {
    async fn new(broker: &Broker, name: &str) -> Self {
        let queue = broker.queue(name);
        Self {
            dead: broker.named(format!("{}.dead", queue.name())),
            queue,
            bus: Bus::connect(broker.amqp(), MemoryReplies::new())
                .await
                .unwrap(),
            raw: broker.raw().await,
        }
    }

    async fn serve(&self) -> Serving {
        let serving = self.bus.serve(EchoServer::new(Echoes));
        serving.on_queue(self.queue.name()).await.unwrap()
    }

    async fn serve_quorum(&self) -> Serving {
        let serving = self.bus.serve(EchoServer::new(Echoes));
        let serving = serving.queue_type(QueueType::Quorum);
        serving.on_queue(self.queue.name()).await.unwrap()
    }

    async fn answers(&self) {
        let client = EchoClient::new(&self.bus).on_queue(self.queue.name());
        assert_eq!(client.echo(7).timeout(BOUND).await.unwrap(), 7);
    }

    /// Whoever declares the queue of the letters as it is meant to be is not refused.
    async fn declare_dead_as_meant(&self, queue_type: &str, returns: Option<i64>) {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), text(queue_type));
        let number = i64::from(limits::DEAD_LETTERS_MAX);
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(number));
        let bytes = i64::try_from(limits::DEAD_LETTERS_BYTES_MAX).unwrap();
        arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
        arguments.insert("x-overflow".into(), text("reject-publish"));
        if let Some(returns) = returns {
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(returns));
        }
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let declared = self
            .raw
            .queue_declare(self.dead.name().into(), durable, arguments);
        declared.await.unwrap();
    }

    async fn publish(&self, properties: BasicProperties) {
        let (key, options) = (self.queue.name().into(), BasicPublishOptions::default());
        let published = self
            .raw
            .basic_publish("".into(), key, options, b"{}", properties);
        published.await.unwrap().await.unwrap();
    }

    async fn letter(&self) -> lapin::message::Delivery {
        let until = Instant::now() + BOUND;
        loop {
            let options = BasicGetOptions { no_ack: true };
            let letter = self.raw.basic_get(self.dead.name().into(), options);
            if let Some(letter) = letter.await.unwrap() {
                return letter.delivery;
            }
            assert!(Instant::now() < until, "there is no letter");
            sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

fn one_way() -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_type("steal".into())
        .with_message_id("m".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_has_the_properties_headers_and_body_of_the_message() {
    let Some(broker) = broker().await else { return };
    let site = Site::new(&broker, "whole").await;
    let serving = site.serve().await;
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::LongLongInt(1));
    let decimal = DecimalValue { scale: 2, value: 5 };
    let copies = broker.queue("copies");
    let options = QueueDeclareOptions::default();
    let declared = site
        .raw
        .queue_declare(copies.name().into(), options, FieldTable::default());
    declared.await.unwrap();
    let copy_to = vec![AMQPValue::LongString(copies.name().into())];
    let mut headers = FieldTable::default();
    for (name, value) in [
        ("CC", AMQPValue::FieldArray(copy_to.clone().into())),
        ("array", AMQPValue::FieldArray(vec![AMQPValue::Void].into())),
        ("bytes", AMQPValue::ByteArray(vec![0xff].into())),
        ("decimal", AMQPValue::DecimalValue(decimal)),
        ("double", AMQPValue::Double(0.5)),
        ("int", AMQPValue::LongInt(-7)),
        ("table", AMQPValue::FieldTable(inner)),
        ("text", AMQPValue::LongString("t".into())),
        ("time", AMQPValue::Timestamp(7)),
    ] {
        headers.insert(name.into(), value);
    }
    let user = broker.url.username().to_owned();
    let sent = one_way()
        .with_priority(7)
        .with_content_encoding("identity".into())
        .with_content_type("application/json".into())
        .with_user_id(user.as_str().into())
        .with_timestamp(1_700_000_000)
        .with_app_id("elsewhere".into())
        .with_reply_to("nobody".into());
    site.publish(sent.clone().with_headers(headers.clone()))
        .await;

    let letter = site.letter().await;
    assert_eq!(letter.data, b"{}");
    let got = letter.properties.headers().clone().unwrap();
    let mut got = got.inner().clone();
    for (name, value) in headers.inner() {
        let name = if name.as_str() == "CC" {
            "dead-letter-cc"
        } else {
            name.as_str()
        };
        assert_eq!(got.remove(name).as_ref(), Some(value), "{name}");
    }
    let user = AMQPValue::LongString(user.into());
    assert_eq!(got.remove("dead-letter-user-id"), Some(user));
    let added: Vec<&str> = got.keys().map(|name| name.as_str()).collect();
    assert_eq!(
        added,
        [
            "dead-letter-at",
            "dead-letter-known-until",
            "dead-letter-may-have-executed",
            "dead-letter-message",
            "dead-letter-queue",
            "dead-letter-reason"
        ]
    );
    // RabbitMQ takes no other user's name from us.
    let expected = sent.with_user_id("".into());
    let got = letter.properties.clone().with_user_id("".into());
    let got = got.with_headers(FieldTable::default());
    assert_eq!(got, expected.with_headers(FieldTable::default()));
    site.answers().await;
    serving.shutdown().await.unwrap();
    assert_eq!(site.dead.ready(&site.raw).await, 0);
    // The sender asked for a copy of the message, and nobody for one of the letter.
    assert_eq!(copies.ready(&site.raw).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_with_large_headers_are_settled() {
    let Some(broker) = broker().await else { return };
    let site = Site::new(&broker, "large").await;
    let serving = site.serve().await;
    let mut headers = FieldTable::default();
    headers.insert(
        "large".into(),
        AMQPValue::LongString("x".repeat(70_000).into()),
    );
    for _ in 0..64 {
        site.publish(one_way().with_headers(headers.clone())).await;
    }
    site.dead.wait_ready(&site.raw, 64).await;
    site.answers().await;
    let letter = site.letter().await;
    let headers = letter.properties.headers().clone().unwrap();
    assert!(!headers.contains_key("large") && headers.contains_key("dead-letter-shortened"));
    assert!(site.bus.health().dead_letters_dropped.is_empty());
    serving.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_dead_letters_from_before_is_used_as_it_is_and_may_be_full() {
    let Some(broker) = broker().await else { return };
    let site = Site::new(&broker, "before").await;
    // As it was declared when only messages were counted; a shorter one, to be full soon.
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("classic"));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(3));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let declared = site
        .raw
        .queue_declare(site.dead.name().into(), durable, arguments);
    declared.await.unwrap();
    let serving = site.serve().await;
    for _ in 0..64 {
        site.publish(one_way()).await;
    }
    let dropped = || site.bus.health().dead_letters_dropped;
    eventually("the rest is dropped", || async {
        let dropped = dropped();
        let text = dropped.get(site.dead.name());
        text.is_some_and(|text| text == "the queue is full: 61 dropped")
    })
    .await;
    site.answers().await;
    assert!(site.bus.health().is_up());
    site.letter().await;
    site.publish(one_way()).await;
    eventually("letters are kept again", || async { dropped().is_empty() }).await;
    serving.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_bounded_in_bytes() {
    let Some(broker) = broker().await else { return };
    let site = Site::new(&broker, "bytes").await;
    let serving = site.serve().await;
    site.declare_dead_as_meant("classic", None).await;
    serving.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_queue_drops_no_letter_that_is_looked_at() {
    let Some(broker) = broker().await else { return };
    let site = Site::new(&broker, "quorum").await;
    let serving = site.serve_quorum().await;
    let limit = i64::from(limits::RETURNS_MAX);
    site.declare_dead_as_meant("quorum", Some(limit)).await;
    site.publish(one_way()).await;
    site.dead.wait_ready(&site.raw, 1).await;
    // More often than RabbitMQ 4 gives a message back of itself.
    let letters = site.bus.dead_letters(site.queue.name());
    for _ in 0..25 {
        eventually("it is listed", || async {
            letters.list(0..1).await.unwrap().letters.len() == 1
        })
        .await;
    }
    serving.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_queue_drops_no_request_that_workers_give_back() {
    let Some(broker) = broker().await else { return };
    let site = Site::new(&broker, "returns").await;
    site.serve_quorum().await.shutdown().await.unwrap();
    site.publish(one_way()).await;
    // More often than RabbitMQ 4 gives a message back of itself.
    for _ in 0..25 {
        let until = Instant::now() + BOUND;
        let request = loop {
            let options = BasicGetOptions::default();
            let request = site.raw.basic_get(site.queue.name().into(), options);
            if let Some(request) = request.await.unwrap() {
                break request;
            }
            assert!(Instant::now() < until, "it is gone");
        };
        let requeue = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        request.acker.nack(requeue).await.unwrap();
    }
    let serving = site.serve_quorum().await;
    // It names no method of the service, and that is what becomes of it.
    site.letter().await;
    serving.shutdown().await.unwrap();
}
