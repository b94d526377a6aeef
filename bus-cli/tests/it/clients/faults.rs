//! Programs in other languages whose connections are cut while they work, and who are sent what no
//! client would send.

use super::{
    brought::{self, Runner},
    desk::{self, DeskServer, OurDesk, Place},
    foreign::Worker,
};
use replybus::{
    Amqp,
    transport::{QueueSpec, Settled, Source},
};
use replybus_testkit::{
    proxy::{Mode, Proxy},
    publisher::{RawPublisher, long, short},
    wait::{bounded, eventually},
};
use std::time::Duration;

/// Proxies before both servers, and a place that is reached through them.
pub(super) struct Cuts {
    amqp: Proxy,
    redis: Proxy,
    pub(super) servers: [String; 3],
}

impl Cuts {
    pub(super) async fn before(place: &Place) -> Self {
        let [amqp, redis, namespace] = &place.servers;
        let (amqp, amqp_url) = Proxy::before(amqp, 5672).await.unwrap();
        let (redis, redis_url) = Proxy::before(redis, 6379).await.unwrap();
        let servers = [amqp_url.into(), redis_url.into(), namespace.clone()];
        Self {
            amqp,
            redis,
            servers,
        }
    }

    /// Ends all connections, for good.
    pub(super) fn off(&self) {
        self.amqp.set(Mode::Refuse);
        self.redis.set(Mode::Refuse);
    }

    /// Cuts the connections to RabbitMQ, to Redis, and to both.
    pub(super) fn rounds(&self) -> [Vec<&Proxy>; 3] {
        let (amqp, redis) = (&self.amqp, &self.redis);
        [vec![amqp], vec![redis], vec![amqp, redis]]
    }
}

/// Resets all connections, and waits until there are new ones.
pub(super) async fn cut(proxies: &[&Proxy]) {
    for proxy in proxies {
        let before = proxy.accepted();
        proxy.set(Mode::Cut);
        let again = || async { proxy.accepted() > before };
        eventually("it connects again", again).await;
    }
}

/// A worker loses its connections while it has calls, which are all answered, commands once.
async fn worker_is_cut_off(runner: Runner) {
    let Some(place) = Place::open("cut-worker").await else {
        return;
    };
    let cuts = Cuts::before(&place).await;
    let worker = Worker::start(runner.program("worker", &cuts.servers)).await;
    for (round, proxies) in cuts.rounds().into_iter().enumerate() {
        let to = format!("round {round}");
        let asked = desk::ask_at_once(&place, &to);
        tokio::join!(asked, cut(&proxies));
    }
    desk::events(&place).await;
    assert_eq!(worker.stop().await, "all was as it should be\n");
    place.close().await;
}

/// A caller loses its connections while it waits, and is answered all the same, by commands once.
async fn caller_is_cut_off(runner: Runner) {
    let Some(place) = Place::open("cut-caller").await else {
        return;
    };
    let serving = place.bus.serve(DeskServer::new(OurDesk::default()));
    let serving = serving.await.unwrap();
    let cuts = Cuts::before(&place).await;
    let mut caller = Worker::begin(runner.program("load", &cuts.servers));
    for proxies in cuts.rounds() {
        caller.says("answered").await;
        cut(&proxies).await;
    }
    caller.says("answered").await;
    let rest = caller.stop().await;
    assert!(rest.ends_with("all was as it should be\n"), "{rest}");
    serving.shutdown().await.unwrap();
    place.close().await;
}

const CONTENT_TYPE: u16 = 1 << 15;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const TYPE: u16 = 1 << 5;

/// A property, by its flag and its bytes.
type Property = (u16, Vec<u8>);

/// A message: what is wrong with it, its properties and its body.
type Odd = (&'static str, Vec<Property>, Vec<u8>);

/// The body of messages whose caller is told, as far as that goes: a worker has to get over them.
const EITHER: &[u8] = br#"{"note":"either"}"#;

/// Commands that can't be read, by their properties.
fn odd_properties() -> Vec<Odd> {
    let json = || (CONTENT_TYPE, short(b"application/json"));
    let echo = || (TYPE, short(b"echo"));
    let id = || {
        (
            CORRELATION_ID,
            short(b"018f6d1c-5e7a-7b3c-8d9e-0f1a2b3c4d5e"),
        )
    };
    let header = |name: &[u8], value: &[u8]| (HEADERS, long(&[&short(name), value].concat()));
    // As many arrays in each other as fit into a frame.
    let levels = (0..26_000_u32).rev();
    let levels = levels.flat_map(|below| [&b"A"[..], &u32::to_be_bytes(5 * below + 1)].concat());
    let nested: Vec<u8> = levels.chain(*b"V").collect();
    let fine = || br#"{"note":1}"#.to_vec();
    let xml = (CONTENT_TYPE, short(b"text/xml"));
    let inbox = (REPLY_TO, short(b"somewhere"));
    vec![
        ("no type", vec![json()], fine()),
        (
            "bytes for a type",
            vec![json(), (TYPE, short(b"caf\xe9"))],
            fine(),
        ),
        ("XML", vec![xml, echo()], fine()),
        (
            "no id",
            vec![json(), (CORRELATION_ID, short(b"1")), echo()],
            fine(),
        ),
        (
            "no name",
            vec![json(), header(b"caf\xe9", b"V"), echo()],
            fine(),
        ),
        (
            "no header",
            vec![json(), header(b"odd", b"Zabc"), echo()],
            fine(),
        ),
        (
            "deep",
            vec![json(), header(b"deep", &nested), echo()],
            fine(),
        ),
        (
            "no inbox",
            vec![json(), id(), inbox, echo()],
            EITHER.to_vec(),
        ),
    ]
}

/// Commands whose bodies can't be read.
fn odd_bodies() -> Vec<Odd> {
    let of = |what, content_type: &[u8], body: &[u8]| {
        let properties = vec![(CONTENT_TYPE, short(content_type)), (TYPE, short(b"echo"))];
        (what, properties, body.to_vec())
    };
    let json = |what, body: &[u8]| of(what, b"application/json", body);
    let msgpack = |what, body: &[u8]| of(what, b"application/msgpack", body);
    vec![
        json("nothing", b""),
        json("half", br#"{"note":"#),
        json("a list", b"[1]"),
        json("no UTF-8", b"\"\xff\""),
        json("deep JSON", &[b'['; 100_000]),
        msgpack("deep MessagePack", &[0x91; 100_000]),
        msgpack("a length", b"\xdd\xff\xff\xff\xff"),
    ]
}

/// Properties as they are written: their flags, and then they, the highest flag first.
fn written(mut properties: Vec<Property>) -> Vec<u8> {
    properties.push((DELIVERY_MODE, vec![2]));
    properties.sort_by_key(|(flag, _)| std::cmp::Reverse(*flag));
    let flags = properties.iter().fold(0, |flags, (flag, _)| flags | flag);
    let values = properties.into_iter().flat_map(|(_, value)| value);
    u16::to_be_bytes(flags).into_iter().chain(values).collect()
}

/// A worker is sent what can't be read: it answers all others, and each that the broker takes is
/// kept as a dead letter.
async fn worker_is_sent_odd_messages(runner: Runner) {
    let Some(place) = Place::open("odd").await else {
        return;
    };
    let worker = Worker::start(runner.program("worker", &place.servers)).await;
    let [amqp, _, namespace] = &place.servers;
    let queue = format!("{namespace}.desk.requests");
    let mut publisher = RawPublisher::connect(amqp).await.unwrap();
    let mut taken = Vec::new();
    for (what, properties, body) in odd_properties().into_iter().chain(odd_bodies()) {
        let properties = written(properties);
        let published = publisher.publish(b"", queue.as_bytes(), &properties, &body);
        match published.await {
            Ok(()) if body == EITHER => {}
            Ok(()) => taken.push(what),
            Err(_) => publisher = RawPublisher::connect(amqp).await.unwrap(),
        }
        desk::ask_at_once(&place, what).await;
    }
    assert!(
        taken.len() > 10,
        "the broker takes next to nothing: {taken:?}"
    );

    let transport = Amqp::new(amqp).connect().await.unwrap();
    let dead = QueueSpec::new(format!("{queue}.dead")).or_existing();
    let mut letters = transport.consume(Source::new(dead, 100)).await.unwrap();
    let mut kept = 0;
    while kept < taken.len() {
        let letter = bounded(letters.next()).await.unwrap();
        let properties = &letter.message.properties;
        let reason = properties.header("dead-letter-reason");
        let is_known = matches!(reason, Some("bad_request" | "unknown_method"));
        assert!(is_known, "{properties:?}");
        kept += usize::from(letter.message.body != EITHER);
        letter.settler.settle(Settled::Ack);
    }
    letters.stop().await;
    transport.close(Duration::from_secs(5)).await;
    assert_eq!(worker.stop().await, "all was as it should be\n");
    place.close().await;
}

#[tokio::test]
async fn workers_in_python_are_cut_off_and_answer() {
    if let Some(python) = brought::python().await {
        worker_is_cut_off(python).await;
    }
}

#[tokio::test]
async fn workers_in_typescript_are_cut_off_and_answer() {
    if let Some(node) = brought::node().await {
        worker_is_cut_off(node).await;
    }
}

#[tokio::test]
async fn callers_in_python_are_cut_off_and_answered() {
    if let Some(python) = brought::python().await {
        caller_is_cut_off(python).await;
    }
}

#[tokio::test]
async fn callers_in_typescript_are_cut_off_and_answered() {
    if let Some(node) = brought::node().await {
        caller_is_cut_off(node).await;
    }
}

#[tokio::test]
async fn workers_in_python_keep_what_they_can_not_read() {
    if let Some(python) = brought::python().await {
        worker_is_sent_odd_messages(python).await;
    }
}

#[tokio::test]
async fn workers_in_typescript_keep_what_they_can_not_read() {
    if let Some(node) = brought::node().await {
        worker_is_sent_odd_messages(node).await;
    }
}
