//! Messages that no client library would send: each ends as a dead letter, and all others are
//! served as before, on the same connection.

use replybus::{
    Amqp, Bus, CallId, Event, FailureKind, Never, Ticket,
    message::Message,
    queue_handler,
    transport::{QueueSpec, Settled, Source},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{rabbitmq, redis, unique},
    proxy::Proxy,
    publisher::{RawPublisher, long, short},
    wait::{AT_MOST, bounded},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tokio::sync::mpsc::unbounded_channel;

#[queue_handler("requests")]
trait Echo {
    #[query]
    async fn say(&self, text: String) -> Result<String, Never>;
}

struct Here;

impl Echo for Here {
    async fn say(&self, text: String) -> Result<String, Never> {
        Ok(text)
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event("order.placed")]
struct OrderPlaced {
    order: u32,
}

/// The properties of a message, which a broker may take or refuse.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) properties: Vec<u8>,
    /// A part of the reason that the letter gives.
    reason: &'static str,
}

const HEADERS: u16 = 1 << 13;

fn kind(name: &'static str, flags: u16, properties: &[u8], reason: &'static str) -> Kind {
    Kind {
        name,
        properties: [&flags.to_be_bytes()[..], properties].concat(),
        reason,
    }
}

fn header(name: &'static str, entries: &[u8], reason: &'static str) -> Kind {
    kind(name, HEADERS, &long(entries), reason)
}

/// A header of values in each other.
fn nested(levels: usize, of: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let value = (0..levels).fold(b"V".to_vec(), |value, _| of(value));
    [short(b"deep"), value].concat()
}

pub(crate) fn kinds() -> Vec<Kind> {
    let array = |value: Vec<u8>| [b"A".to_vec(), long(&value)].concat();
    let table = |value: Vec<u8>| [b"F".to_vec(), long(&[short(b"k"), value].concat())].concat();
    let odd = short(b"caf\xe9");
    let mut kinds = vec![
        header("arrays", &nested(1000, array), "nests more than"),
        header("more arrays", &nested(8000, array), "nests more than"),
        header("tables", &nested(5000, table), "nests more than"),
        header("a level too many", &nested(32, array), "nests more than"),
        header(
            "name",
            &[odd.clone(), b"V".to_vec()].concat(),
            "the name of header",
        ),
        header(
            "name within",
            &[
                short(b"in"),
                b"F".to_vec(),
                long(&[short(b"\xff"), b"V".to_vec()].concat()),
            ]
            .concat(),
            "header \"in\" is not UTF-8",
        ),
        header(
            "type",
            &[short(b"odd"), b"Zabc".to_vec()].concat(),
            "unknown type",
        ),
        header(
            "length",
            &[short(b"cut"), b"S\0\0\xff\0".to_vec()].concat(),
            "ends before",
        ),
        kind(
            "bytes after",
            1 << 7,
            &[short(b"id"), b"more".to_vec()].concat(),
            "bytes follow",
        ),
        kind(
            "more flags",
            (1 << 7) | 1,
            &[vec![0, 0], short(b"id")].concat(),
            "unknown properties",
        ),
        kind("no more", (1 << 7) | (1 << 3), &short(b"id"), "ends before"),
    ];
    let texts = [
        "content_type",
        "content_encoding",
        "",
        "",
        "",
        "correlation_id",
        "reply_to",
        "expiration",
        "message_id",
        "",
        "type",
        "user_id",
        "app_id",
        "cluster_id",
    ];
    for (position, name) in texts
        .into_iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty())
    {
        kinds.push(kind(name, (1 << 15) >> position, &odd, "is not UTF-8"));
    }
    kinds
}

struct Rig {
    amqp: String,
    redis: String,
    namespace: String,
}

impl Rig {
    async fn new() -> Option<Self> {
        Some(Self {
            amqp: rabbitmq().await?,
            redis: redis().await?,
            namespace: unique("malformed"),
        })
    }

    async fn bus(&self, amqp: &str) -> Bus {
        Bus::builder()
            .namespace(&self.namespace)
            .connect(Amqp::new(amqp), RedisReplies::new(&self.redis))
            .await
            .unwrap()
    }

    async fn publisher(&self) -> RawPublisher {
        RawPublisher::connect(&self.amqp).await.unwrap()
    }

    /// The dead letters of `queue`, of which there are `count`, by their bodies.
    async fn letters(&self, queue: &str, count: usize) -> BTreeMap<String, Message> {
        let transport = Amqp::new(&self.amqp).connect().await.unwrap();
        let dead = QueueSpec::new(format!("{queue}.dead")).or_existing();
        let mut deliveries = transport.consume(Source::new(dead, 100)).await.unwrap();
        let mut letters = BTreeMap::new();
        while letters.len() < count {
            let delivery = bounded(deliveries.next()).await.unwrap();
            let body = String::from_utf8(delivery.message.body.to_vec()).unwrap();
            letters.insert(body, delivery.message);
            delivery.settler.settle(Settled::Ack);
        }
        deliveries.stop().await;
        letters
    }

    async fn channel(&self) -> lapin::Channel {
        let connection = lapin::Connection::connect(&self.amqp, Default::default());
        connection.await.unwrap().create_channel().await.unwrap()
    }

    async fn clean_up(&self, queue: &str) {
        let left = Leftovers::of(&self.namespace).queues([queue]);
        let left = left.exchanges([OrderPlaced::EXCHANGE]);
        left.delete(&self.amqp).await.unwrap();
    }
}

/// Publishes all kinds, and calls in between. Gives those that the broker takes: what it does not,
/// harms nobody.
async fn publish_all(rig: &Rig, queue: &str, echo: &EchoClient) -> Vec<Kind> {
    let mut publisher = rig.publisher().await;
    let mut taken = Vec::new();
    for kind in kinds() {
        let body = kind.name.as_bytes();
        let properties = &kind.properties;
        match publisher
            .publish(b"", queue.as_bytes(), properties, body)
            .await
        {
            Ok(()) => taken.push(kind),
            Err(_) => publisher = rig.publisher().await,
        }
        let text = format!("after {} of them", taken.len());
        assert_eq!(echo.say(text.clone()).await.unwrap(), text);
    }
    taken
}

fn assert_reason(letter: &Message, reason: &str) {
    let properties = &letter.properties;
    assert_eq!(properties.header("dead-letter-reason"), Some("bad_request"));
    let message = properties.header("dead-letter-message").unwrap();
    assert!(message.contains(reason), "{reason}: {message}");
    // The mark of what was replaced is a secret of the connection.
    assert_eq!(properties.cluster_id, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_cannot_be_read_become_dead_letters_and_calls_are_served() {
    let Some(rig) = Rig::new().await else { return };
    let (proxy, url) = Proxy::before(&rig.amqp, 5672).await.unwrap();
    let worker = rig.bus(url.as_str()).await;
    let serving = worker.serve(EchoServer::new(Here)).await.unwrap();
    let connections = proxy.accepted();
    let caller = rig.bus(&rig.amqp).await;
    let queue = format!("{}.requests", rig.namespace);
    let taken = publish_all(&rig, &queue, &EchoClient::new(&caller)).await;
    assert!(taken.len() > 10, "the broker takes next to nothing");
    let letters = rig.letters(&queue, taken.len()).await;
    for kind in &taken {
        assert_reason(&letters[kind.name], kind.reason);
    }
    assert_eq!(proxy.accepted(), connections, "a connection was lost");
    serving.shutdown().await.unwrap();
    let left = worker.inspect("requests").await.unwrap().unwrap();
    assert_eq!(left.waiting, 0);
    rig.clean_up("requests").await;
}

/// Who asked, and can be told from what is readable, is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_whose_message_cannot_be_read_is_told() {
    let Some(rig) = Rig::new().await else { return };
    let worker = rig.bus(&rig.amqp).await;
    let serving = worker.serve(EchoServer::new(Here)).await.unwrap();
    let queue = format!("{}.requests", rig.namespace);
    let id = CallId::new();
    let correlation_id = short(id.to_string().as_bytes());
    let properties = [&[0x04, 0x08][..], &correlation_id, &short(b"caf\xe9")].concat();
    let mut publisher = rig.publisher().await;
    let published = publisher.publish(b"", queue.as_bytes(), &properties, b"asked");
    published.await.unwrap();
    let ticket = format!(
        r#"{{"service":"Echo","method":"say","call_id":"{id}","expires_at":{}}}"#,
        u64::MAX
    );
    let ticket: Ticket<Result<String, Never>> = serde_json::from_str(&ticket).unwrap();
    let failure = bounded(ticket.wait_for(&worker, AT_MOST))
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::BadRequest));
    assert!(!failure.may_have_executed());
    assert_reason(
        &rig.letters(&queue, 1).await["asked"],
        "app_id is not UTF-8",
    );
    serving.shutdown().await.unwrap();
    rig.clean_up("requests").await;
}

/// Somebody bound the queue for every key, and a publisher uses one that is no text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_under_a_key_that_is_no_text_becomes_a_dead_letter_and_others_are_handled() {
    let Some(rig) = Rig::new().await else { return };
    let (proxy, url) = Proxy::before(&rig.amqp, 5672).await.unwrap();
    let bus = rig.bus(url.as_str()).await;
    let (tell, mut given) = unbounded_channel();
    let handler = move |event: OrderPlaced| {
        let _ = tell.send(event.order);
        std::future::ready(())
    };
    let serving = bus.subscribe("audit", handler).await.unwrap();
    let connections = proxy.accepted();
    let queue = format!("{}.audit", rig.namespace);
    let exchange = format!("{}.{}", rig.namespace, OrderPlaced::EXCHANGE);
    let channel = rig.channel().await;
    let (name, exchange_name) = (queue.as_str().into(), exchange.as_str().into());
    let bound = channel.queue_bind(
        name,
        exchange_name,
        "#".into(),
        Default::default(),
        Default::default(),
    );
    bound.await.unwrap();
    let mut publisher = rig.publisher().await;
    for order in 0..3 {
        let body = format!("odd {order}");
        let published =
            publisher.publish(exchange.as_bytes(), b"caf\xe9", &[0, 0], body.as_bytes());
        published.await.unwrap();
        bus.emit(&OrderPlaced { order }).await.unwrap();
        assert_eq!(bounded(given.recv()).await, Some(order));
    }
    for letter in rig.letters(&queue, 3).await.values() {
        assert_reason(letter, "routing key is not UTF-8");
    }
    assert_eq!(proxy.accepted(), connections, "a connection was lost");
    serving.shutdown().await.unwrap();
    rig.clean_up("audit").await;
}
