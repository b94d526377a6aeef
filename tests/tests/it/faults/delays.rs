//! Calls that wait on the broker: it dies meanwhile, connections are cut, destinations are away,
//! users have no rights, and strangers send what they like.

use super::rig::{AT_MOST, Rig, Settings, bounded, connect, eventually};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    types::{AMQPValue, FieldArray, FieldTable},
};
use replybus::{
    Bus, FailureKind, Instant, Never,
    message::Message,
    queue_handler,
    server::Serving,
    transport::{Delay, Outgoing, QueueSpec, Settled, Source, Transport, Verdict, amqp::Amqp},
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::unique,
    proxy::{Mode, Proxy},
    servers::Persistence,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);

#[queue_handler("alarm.requests", timeout = "100s")]
trait Alarm {
    async fn ring(&self, number: u64, due_millis: u64) -> Result<(), Never>;
}

/// How often each rang, and whether too early.
#[derive(Debug, Clone, Default)]
struct Bell(Arc<Mutex<BTreeMap<u64, (u32, bool)>>>);

impl Alarm for Bell {
    async fn ring(&self, number: u64, due_millis: u64) -> Result<(), Never> {
        let early = unix_time() < Duration::from_millis(due_millis);
        let mut rung = self.0.lock().unwrap();
        let (times, was_early) = rung.entry(number).or_default();
        *times += 1;
        *was_early |= early;
        Ok(())
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Waits until all of `count` have rung; each did once, and not early.
    async fn rings(&self, count: u64) {
        let count = usize::try_from(count).unwrap();
        eventually("all have rung", || async { self.rung() >= count }).await;
        for (number, (times, early)) in &*self.0.lock().unwrap() {
            assert!(
                *times == 1 && !early,
                "{number}: {times} times, early: {early}"
            );
        }
    }
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A call that is to ring in so long.
async fn ring(alarm: &AlarmClient, number: u64, delay: Duration) {
    let due = unix_time() + delay;
    let millis = u64::try_from(due.as_millis()).unwrap();
    let call = alarm.ring(number, millis).send_at(UNIX_EPOCH + due);
    bounded(call).await.unwrap();
}

async fn serve(bus: &Bus) -> (Bell, Serving) {
    let bell = Bell::default();
    let serving = bus.serve(AlarmServer::new(bell.clone())).await.unwrap();
    (bell, serving)
}

async fn client(rig: &Rig) -> (Bus, AlarmClient) {
    let namespace = unique("delays");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let alarm = AlarmClient::new(&bus);
    (bus, alarm)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_outlives_a_broker_that_is_killed() {
    let Some(mut rig) = Rig::start(Persistence::None).await else {
        return;
    };
    let (bus, alarm) = client(&rig).await;
    let (bell, _serving) = serve(&bus).await;
    ring(&alarm, 0, Duration::ZERO).await;
    ring(&alarm, 1, SECOND).await;
    rig.writes_down_its_queues().await;
    for number in 2..60 {
        let delay = Duration::from_millis(number * 7 % 30 * 1000 + 123);
        ring(&alarm, number, delay).await;
    }
    rig.rabbit.kill();
    rig.rabbit.restart().await.unwrap();
    bell.rings(60).await;
    // And the way is still there.
    ring(&alarm, 60, SECOND).await;
    bell.rings(61).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_under_publishes_loses_and_repeats_nothing() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("delays");
    let proxy = Proxy::to(rig.rabbit.address()).await.unwrap();
    let amqp = format!("amqp://guest:guest@{}/%2f", proxy.addr());
    let servers = (amqp, rig.redis.url());
    let caller = connect(&namespace, Settings::quick(), &servers).await;
    let worker = connect(&namespace, Settings::default(), &rig.servers()).await;
    let (bell, _serving) = serve(&worker).await;
    let alarm = AlarmClient::new(&caller);
    for round in 0..5 {
        let mut rings = JoinSet::new();
        for number in round * 20..(round + 1) * 20 {
            let alarm = alarm.clone();
            rings.spawn(async move { ring(&alarm, number, 2 * SECOND).await });
        }
        tokio::task::yield_now().await;
        proxy.set(Mode::Cut);
        rings.join_all().await;
    }
    bell.rings(100).await;
}

/// More messages than a queue has under way wait for a queue that is gone, and one that is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_takes_nothing_holds_up_no_other_and_loses_nothing() {
    let Some(rig) = Rig::start(Persistence::None).await else {
        return;
    };
    // By default it tries again after 3 minutes.
    let soon = "application:set_env(rabbit, dead_letter_worker_publisher_confirm_timeout, 3000).";
    rig.rabbit.ctl(&["eval", soon]).await.unwrap();
    let amqp = Amqp::new(rig.rabbit.url()).connect().await.unwrap();
    let gone = QueueSpec::new("delays.gone");
    let full = QueueSpec::new("delays.full").length_max(1);
    let other = QueueSpec::new("delays.other");
    let send = async |queue: &QueueSpec, count: u64| {
        amqp.declare(queue.clone()).await.unwrap();
        // Later than it takes to publish all, and to take their queue away.
        let due = Instant::now() + 5 * SECOND;
        let publish = |number| {
            let delay = Delay::until(due, "delays.way");
            amqp.publish_at(to(&queue.name, number), delay)
        };
        let receipts: Vec<_> = (0..count).map(publish).collect();
        for mut receipt in receipts {
            assert_eq!(bounded(receipt.verdict()).await, Verdict::Confirmed);
        }
    };
    send(&gone, 100).await;
    amqp.remove(&gone.name, &[], true).await.unwrap();
    send(&full, 100).await;
    send(&other, 10).await;
    holds(&amqp, &other, 10).await;

    amqp.declare(gone.clone()).await.unwrap();
    holds(&amqp, &gone, 100).await;
    let mut deliveries = amqp.consume(Source::new(full, 100)).await.unwrap();
    let mut bodies = BTreeSet::new();
    while bodies.len() < 100 {
        let delivery = bounded(deliveries.next()).await.unwrap();
        bodies.insert(delivery.message.body.clone());
        delivery.settler.settle(Settled::Ack);
    }
}

fn to(queue: &str, number: u64) -> Outgoing {
    Outgoing::new(Message {
        routing_key: queue.into(),
        body: number.to_string().into(),
        ..Message::default()
    })
}

async fn holds(transport: &Arc<dyn Transport>, queue: &QueueSpec, count: u64) {
    eventually("the queue holds what was delayed", || async {
        let state = transport.inspect(&queue.name).await;
        matches!(state, Ok(Some(state)) if state.waiting == count)
    })
    .await;
}

/// What only who has the right to write there can do, and a program that is broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_keys_and_headers_stop_nothing() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("delays");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let (bell, _serving) = serve(&bus).await;
    let alarm = AlarmClient::new(&bus);
    ring(&alarm, 0, SECOND).await;

    let properties = ConnectionProperties::default();
    let connection = Connection::connect(&rig.rabbit.url(), properties)
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    let zeros = "0.".repeat(24);
    let alarms = format!("{namespace}.alarm.requests");
    let keys = [
        String::new(),
        "1".to_owned(),
        "2".repeat(255),
        format!("{zeros}1"),
        format!("{zeros}1."),
        format!("{zeros}1.nobody.requests"),
        format!("{zeros}7.{alarms}"),
        format!("{}{alarms}", "0.".repeat(23)),
        format!("{zeros}1.#"),
        ".".repeat(255),
    ];
    // Deaths as no broker writes them.
    let table = |fields: &[(&str, AMQPValue)]| {
        let mut table = FieldTable::default();
        for (name, value) in fields {
            table.insert((*name).into(), value.clone());
        }
        AMQPValue::FieldTable(table)
    };
    let text = |text: &str| AMQPValue::LongString(text.into());
    let array = |values: Vec<AMQPValue>| AMQPValue::FieldArray(FieldArray::from(values));
    let level = format!("{namespace}.replybus.delay.1s");
    let deaths = [
        text("x"),
        array(vec![]),
        array(vec![text("x")]),
        array(vec![table(&[])]),
        array(vec![table(&[
            ("queue", AMQPValue::LongInt(1)),
            ("count", text("x")),
        ])]),
        array(vec![table(&[
            ("queue", text(&level)),
            ("reason", text("expired")),
            ("count", text("x")),
        ])]),
        array(vec![table(&[
            ("queue", text(&level)),
            ("reason", text("expired")),
        ])]),
    ];
    let good = format!("{zeros}1.{alarms}");
    let forged = keys
        .iter()
        .map(|key| (key, None))
        .chain(deaths.into_iter().map(|death| (&good, Some(death))));
    for (key, death) in forged {
        // Behind the entry only the broker writes.
        let exchanges: &[_] = if death.is_some() {
            &[""]
        } else {
            &["", ".1s", ".due"]
        };
        for exchange in exchanges {
            let mut headers = FieldTable::default();
            if let Some(death) = &death {
                headers.insert("x-death".into(), death.clone());
            }
            let properties = BasicProperties::default().with_headers(headers);
            let exchange = format!("{namespace}.replybus.delay{exchange}");
            let options = Default::default();
            let published = channel.basic_publish(
                exchange.into(),
                key.as_str().into(),
                options,
                b"x",
                properties,
            );
            published.await.unwrap().await.unwrap();
        }
    }
    for number in 1..20 {
        ring(&alarm, number, SECOND).await;
    }
    bell.rings(20).await;
    ring(&alarm, 20, 3 * SECOND).await;
    bell.rings(21).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_the_right_is_told_and_others_are_not_troubled() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("delays");
    let worker = connect(&namespace, Settings::default(), &rig.servers()).await;
    let (bell, _serving) = serve(&worker).await;
    let user = rig.url_of("sleeper", ["^$", r"^amq\.default$", ".*"]).await;
    let redis = RedisReplies::new(rig.redis.url()).connect_within(AT_MOST);
    let amqp = Amqp::new(user).connect_within(AT_MOST);
    let bus = Bus::builder().namespace(&namespace);
    let caller = bus.connect(amqp, redis).await.unwrap();
    let alarm = AlarmClient::new(&caller);
    for number in 0..10 {
        let denied = bounded(alarm.ring(99, 0).send_after(SECOND)).await;
        let denied = denied.unwrap_err();
        assert_eq!(denied.kind(), FailureKind::Denied, "{denied}");
        assert!(!denied.may_have_executed());
        let said = denied.to_string();
        assert!(said.contains("configure, write and read"), "{said}");
        bounded(alarm.ring(number, 0).send()).await.unwrap();
    }
    bell.rings(10).await;
    assert!(caller.health().is_up());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there_is_told_at_once() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let (bus, alarm) = client(rig).await;
    let nobody = bounded(alarm.ring(1, 0).submit_after(SECOND)).await;
    assert_eq!(nobody.unwrap_err().kind(), FailureKind::Unroutable);
    let (bell, _serving) = serve(&bus).await;
    ring(&alarm, 1, SECOND).await;
    bell.rings(1).await;
}
