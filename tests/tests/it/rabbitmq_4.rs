//! What RabbitMQ 4 has changed, and is about to: on private nodes of the RabbitMQ that is tested with,
//! and those that take RabbitMQ 4 are skipped on an older one.

use crate::conformance::RabbitMq;
use futures_util::future::join_all;
use lapin::{
    BasicProperties, Channel, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use replybus::{
    Amqp, Bus, BusBuilder, Event, RetryLater,
    contract::QueueType,
    queue_handler,
    server::Serving,
    signature::{KeyRing, SigningKey},
    transport::{Outgoing, QueueSpec, Source},
};
use replybus_conformance::TransportCase;
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{redis, require_or_skip, unique},
    servers::PrivateRabbit,
    wait::{bounded, eventually, until},
};
use serde::{Deserialize, Serialize};
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// Cases that are checked at a time.
const AT_A_TIME: usize = 4;

/// Every promise of a transport, on one node.
async fn keeps_every_promise(rabbit: &PrivateRabbit) {
    let mut checking = JoinSet::new();
    for case in TransportCase::all() {
        if checking.len() == AT_A_TIME {
            checking.join_next().await.unwrap().unwrap();
        }
        println!("{case}");
        checking.spawn(case.check(RabbitMq(rabbit.url())));
    }
    while let Some(checked) = checking.join_next().await {
        checked.unwrap();
    }
}

async fn raw(rabbit: &PrivateRabbit) -> Channel {
    let connection = Connection::connect(&rabbit.url(), Default::default()).await;
    connection.unwrap().create_channel().await.unwrap()
}

/// RabbitMQ 4.3 has denied most of these by default, so that this is also a look ahead: queues that
/// are neither durable nor exclusive, a prefetch of whole channels, masters that queues ask for. The
/// frames are no larger than the smallest that a client may ask for since RabbitMQ 4.1, and a queue
/// that says no type is a quorum queue, as some providers have it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_denies_all_that_is_deprecated_keeps_every_promise() {
    let rabbit = PrivateRabbit::set_up_4(|rabbit| {
        rabbit
            .without_deprecated_features()
            .setting("frame_max = 8192")
            .setting("default_queue_type = quorum")
    });
    let Some(rabbit) = require_or_skip(rabbit.await) else {
        return;
    };
    // They are denied indeed.
    let channel = raw(&rabbit).await;
    let transient = QueueDeclareOptions::default();
    let arguments = FieldTable::default();
    let declared = channel.queue_declare("transient".into(), transient, arguments);
    let denied = declared.await.unwrap_err().to_string();
    assert!(denied.contains("transient_nonexcl_queues"), "{denied}");
    keeps_every_promise(&rabbit).await;
}

#[queue_handler("vault.requests", timeout = "60s")]
trait Vault {
    #[query]
    async fn look(&self, shelf: u32) -> Result<u32, String>;

    /// Is put off until the broker has kept it for more than a second.
    #[command(retry(max = 3, base = "1500ms"))]
    async fn put(&self, shelf: u32) -> Result<u32, String>;

    /// Never comes to an end.
    async fn drop_it(&self, shelf: u32) -> Result<u32, String>;

    /// Takes so long.
    async fn take_long(&self, millis: u64) -> Result<u32, String>;
}

#[derive(Debug, Default)]
struct Steel {
    put: AtomicU32,
    took_long: AtomicU32,
}

impl Vault for Arc<Steel> {
    async fn look(&self, shelf: u32) -> Result<u32, String> {
        Ok(shelf)
    }

    async fn put(&self, shelf: u32) -> Result<u32, String> {
        if self.put.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Err("not yet".to_owned()).retry_later();
        }
        Ok(shelf)
    }

    async fn drop_it(&self, _: u32) -> Result<u32, String> {
        panic!("on purpose")
    }

    async fn take_long(&self, millis: u64) -> Result<u32, String> {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(self.took_long.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event("shelf.filled")]
struct ShelfFilled {
    shelf: u32,
}

/// A node, and buses on it.
struct Site {
    rabbit: PrivateRabbit,
    redis: String,
    namespace: String,
}

impl Site {
    async fn on(rabbit: PrivateRabbit) -> Option<Self> {
        Some(Self {
            rabbit,
            redis: redis().await?,
            namespace: unique("rabbitmq4"),
        })
    }

    async fn bus(&self, builder: BusBuilder) -> Bus {
        let builder = builder.namespace(&self.namespace);
        let (amqp, redis) = (self.rabbit.url(), &self.redis);
        let bus = builder.connect(Amqp::new(amqp), RedisReplies::new(redis));
        bus.await.unwrap()
    }

    /// A service and its caller, with nothing said about them.
    async fn vault(&self, queue_type: QueueType) -> (Arc<Steel>, Serving, VaultClient) {
        let steel = Arc::new(Steel::default());
        let service = self.bus(Bus::builder()).await;
        let serving = service.serve(VaultServer::new(Arc::clone(&steel)));
        let serving = serving.queue_type(queue_type).await.unwrap();
        let caller = self.bus(Bus::builder()).await;
        (steel, serving, VaultClient::new(&caller))
    }
}

fn key(name: &str, secret: u8) -> SigningKey {
    SigningKey::from_bytes(name, &[secret; 32]).unwrap()
}

fn ring(key: &SigningKey) -> KeyRing {
    KeyRing::new().trust(key.name(), &key.public_key()).unwrap()
}

/// What a broker adds to each message (`timestamp_in_ms`, `x-routed-by`, a timestamp in place of
/// ours) is no part of what is signed, no metadata, and no reason to refuse anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_the_broker_adds_to_all_messages_change_nothing() {
    let rabbit = PrivateRabbit::set_up_4(|rabbit| {
        rabbit
            .setting("message_interceptors.incoming.set_header_timestamp.overwrite = true")
            .setting("message_interceptors.incoming.set_header_routing_node.overwrite = true")
    });
    let Some(rabbit) = require_or_skip(rabbit.await) else {
        return;
    };
    let Some(site) = Site::on(rabbit).await else {
        return;
    };
    let (teller, vault) = (key("teller-1", 1), key("vault-1", 2));
    let service = site.bus(Bus::builder().sign(vault.clone())).await;
    let steel = Arc::new(Steel::default());
    let serving = service.serve(VaultServer::new(Arc::clone(&steel)));
    let serving = serving.only_signed(ring(&teller)).await.unwrap();
    let believes = Bus::builder().sign(teller).app_id("teller");
    let bus = site.bus(believes.only_signed_replies(ring(&vault))).await;
    let client = VaultClient::new(&bus);

    // Many at once are bundles.
    let many = join_all((0..300).map(|shelf| {
        let look = client.look(shelf).metadata("tenant", "blue");
        look.into_future()
    }));
    for (shelf, found) in many.await.into_iter().enumerate() {
        assert_eq!(usize::try_from(found.unwrap()).unwrap(), shelf);
    }
    assert_eq!(client.put(1).idempotency_key("one").await.unwrap(), 1);
    let ticket = client.put(2).submit_after(Duration::from_millis(1200));
    assert_eq!(ticket.await.unwrap().wait(&bus).await.unwrap(), 2);
    assert_eq!(steel.put.load(Ordering::Relaxed), 4);

    // A letter and its way back.
    client.drop_it(3).send().await.unwrap();
    let letters = bus.dead_letters("vault.requests");
    let letter = until("it is a letter", || async {
        let page = letters
            .list(0..10)
            .await
            .map_err(|error| error.to_string())?;
        page.letters
            .into_iter()
            .next()
            .ok_or("there is none".to_owned())
    })
    .await;
    assert_eq!(letter.name(), "drop_it");
    assert_eq!(letters.redrive(|_| true).await.unwrap().redriven, 1);
    eventually("it is one again", || async {
        letters.list(0..10).await.unwrap().letters.len() == 1
    })
    .await;

    // Events, at once and later.
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let subscribed = bus
        .subscribe("shelves", move |event: ShelfFilled| {
            heard.send(event.shelf).unwrap();
            async {}
        })
        .await
        .unwrap();
    bus.emit(&ShelfFilled { shelf: 1 }).await.unwrap();
    let later = Duration::from_millis(1200);
    bus.emit_after(&ShelfFilled { shelf: 2 }, later)
        .await
        .unwrap();
    assert_eq!(bounded(hears.recv()).await, Some(1));
    assert_eq!(bounded(hears.recv()).await, Some(2));
    subscribed.shutdown().await.unwrap();
    serving.shutdown().await.unwrap();
}

/// Mirrors of classic queues are gone since RabbitMQ 4.0, and a policy that asks for them does
/// nothing there. Queues of both types are served under it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_asks_for_mirrors_harms_nobody() {
    let Some(rabbit) = require_or_skip(PrivateRabbit::start().await) else {
        return;
    };
    let policy = ["set_policy", "mirrored", ".*", r#"{"ha-mode":"all"}"#];
    match rabbit.ctl(&policy).await {
        Ok(_) => {}
        // Later releases know no such key.
        Err(error) => println!("{error}"),
    }
    let Some(mut site) = Site::on(rabbit).await else {
        return;
    };
    for queue_type in [QueueType::Classic, QueueType::Quorum] {
        site.namespace = unique("mirrored");
        let (_, serving, client) = site.vault(queue_type).await;
        assert_eq!(client.look(7).await.unwrap(), 7);
        assert_eq!(client.put(8).await.unwrap(), 8);
        serving.shutdown().await.unwrap();
    }
}

/// The quorum queues of RabbitMQ 4 deliver two of high priority for each other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_queue_delivers_high_priority_first() {
    let Some(rabbit) = require_or_skip(PrivateRabbit::set_up_4(|rabbit| rabbit).await) else {
        return;
    };
    let transport = Amqp::new(rabbit.url()).connect().await.unwrap();
    let queue = QueueSpec::new("levels").queue_type(QueueType::Quorum);
    transport.declare(queue.clone()).await.unwrap();
    let message = |body: &'static str, priority| {
        let mut message = replybus::message::Message {
            routing_key: "levels".into(),
            body: body.into(),
            ..Default::default()
        };
        message.properties.priority = priority;
        Outgoing::new(message)
    };
    for (body, priority) in [("low", Some(1)); 8]
        .into_iter()
        .chain([("normal", None); 8])
        .chain([("high", Some(9)); 4])
    {
        let verdict = transport.publish(message(body, priority)).verdict().await;
        assert_eq!(verdict, replybus::transport::Verdict::Confirmed);
    }
    let mut deliveries = transport.consume(Source::new(queue, 1)).await.unwrap();
    let mut came = Vec::new();
    while came.len() < 20 {
        let delivery = bounded(deliveries.next()).await.unwrap();
        came.push(delivery.message.body.clone());
        delivery.settler.settle(replybus::transport::Settled::Ack);
    }
    let last_high = came.iter().rposition(|body| body == "high").unwrap();
    assert!(last_high < 8, "{came:?}");
    // The others keep their order: a low priority is the service's matter.
    let others: Vec<_> = came.iter().filter(|body| *body != "high").collect();
    assert!(others[..8].iter().all(|body| *body == "low"), "{others:?}");
}

/// RabbitMQ 4 does not believe what a client says in `x-death`; older ones do. A message that has it
/// is served, put off and dead-lettered as any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaths_that_a_client_makes_up_change_nothing() {
    let Some(rabbit) = require_or_skip(PrivateRabbit::start().await) else {
        return;
    };
    let Some(site) = Site::on(rabbit).await else {
        return;
    };
    let (steel, serving, client) = site.vault(QueueType::Quorum).await;
    let channel = raw(&site.rabbit).await;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut death = FieldTable::default();
    for (name, value) in [
        ("queue", "vault.requests"),
        ("reason", "expired"),
        ("exchange", ""),
    ] {
        death.insert(name.into(), text(value));
    }
    death.insert("count".into(), AMQPValue::LongLongInt(1_000_000));
    let mut headers = FieldTable::default();
    let deaths = vec![AMQPValue::FieldTable(death)];
    headers.insert("x-death".into(), AMQPValue::FieldArray(deaths.into()));
    headers.insert("x-first-death-reason".into(), text("expired"));
    let publish = async |method: &str| {
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_type(method.into())
            .with_content_type("application/json".into())
            .with_message_id(unique("death").into())
            .with_headers(headers.clone());
        let queue = format!("{}.vault.requests", site.namespace);
        let options = BasicPublishOptions::default();
        let body = br#"{"shelf":1}"#;
        let sent = channel.basic_publish("".into(), queue.into(), options, body, properties);
        sent.await.unwrap().await.unwrap();
    };
    publish("put").await;
    eventually("it is put off and run again", || async {
        steel.put.load(Ordering::Relaxed) == 2
    })
    .await;
    publish("drop_it").await;
    let bus = site.bus(Bus::builder()).await;
    let letters = bus.dead_letters("vault.requests");
    eventually("it is a letter", || async {
        letters.list(0..10).await.unwrap().letters.len() == 1
    })
    .await;
    assert_eq!(client.look(3).await.unwrap(), 3);
    serving.shutdown().await.unwrap();
}

/// The broker takes a delivery away that is unsettled for too long, along with the channel: from a
/// handler that takes as long. What it runs is run once, its caller is answered, and the service goes
/// on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_outlasts_the_broker_is_run_once_and_answered() {
    let Some(rabbit) = require_or_skip(PrivateRabbit::start().await) else {
        return;
    };
    // It looks once a minute by default.
    let impatient = "application:set_env(rabbit, consumer_timeout, 2000), \
                     application:set_env(rabbit, channel_tick_interval, 500).";
    rabbit.ctl(&["eval", impatient]).await.unwrap();
    let Some(mut site) = Site::on(rabbit).await else {
        return;
    };
    for queue_type in [QueueType::Classic, QueueType::Quorum] {
        site.namespace = unique("impatient");
        let (steel, serving, client) = site.vault(queue_type).await;
        let long = client.take_long(8_000).into_future();
        let short = async {
            for shelf in 0..80 {
                assert_eq!(client.look(shelf).await.unwrap(), shelf);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let (long, ()) = bounded(async { tokio::join!(long, short) }).await;
        assert_eq!(long.unwrap(), 1, "{queue_type:?}");
        assert_eq!(steel.took_long.load(Ordering::Relaxed), 1);
        assert_eq!(client.put(8).await.unwrap(), 8);
        serving.shutdown().await.unwrap();
    }
}
