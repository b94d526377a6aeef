//! A stranger publishes everything that can be wrong with a message, over and over, to a queue that
//! others use: their calls go on as if nothing were, nothing of the flood is lost, and health is
//! true throughout.
//!
//! It lasts for `FLOOD_SECONDS`, 5 by default, and until each kind was sent twice.

use crate::malformed;
use replybus::{Amqp, Bus, CallId, Context, Never, queue_handler};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{allow, rabbitmq, redis, unique},
    publisher::{RawPublisher, long, short},
    wait::{bounded, eventually},
};
use std::{
    collections::HashMap,
    env,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const CALLERS: u64 = 4;

/// Requests of at most this many bytes are read.
const BODY_BYTES_MAX: usize = replybus::limits::REQUEST_BYTES_MAX;

#[queue_handler("notes.requests", timeout = "2m")]
trait Notes {
    #[query]
    async fn echo(&self, number: u64) -> Result<u64, Never>;

    /// Notes that `name` was done.
    async fn note(&self, name: String) -> Result<u32, Never>;
}

#[derive(Clone, Default)]
struct Noted(Arc<Mutex<HashMap<String, u32>>>);

impl Notes for Noted {
    async fn echo(&self, number: u64) -> Result<u64, Never> {
        Ok(number)
    }

    async fn note(&self, name: String) -> Result<u32, Never> {
        let mut noted = self.0.lock().unwrap();
        let times = noted.entry(name).or_default();
        *times += 1;
        Ok(Context::current().attempt())
    }
}

/// A message of the flood.
struct Drop {
    name: String,
    properties: Vec<u8>,
    body: Vec<u8>,
    /// It is kept as a dead letter; otherwise who sent it is told.
    kept: bool,
}

/// Positions of properties among the flags of a content header: AMQP 0-9-1, section 4.2.6.1.
const CONTENT_TYPE: u16 = 1 << 15;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const CORRELATION_ID: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const KIND: u16 = 1 << 5;

/// Properties in the order of their flags.
fn properties(parts: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let flags = parts.iter().fold(0, |flags, (flag, _)| flags | flag);
    let values = parts.iter().flat_map(|(_, value)| value.clone());
    flags.to_be_bytes().into_iter().chain(values).collect()
}

fn headers(entries: &[u8]) -> Vec<u8> {
    let persistent = (DELIVERY_MODE, vec![2]);
    properties(&[(HEADERS, long(entries)), persistent, (KIND, short(b"note"))])
}

fn typed(content_type: &str) -> Vec<u8> {
    let persistent = (DELIVERY_MODE, vec![2]);
    let content_type = (CONTENT_TYPE, short(content_type.as_bytes()));
    properties(&[content_type, persistent, (KIND, short(b"note"))])
}

/// One of each kind, each with an id of its own where it has one.
fn flood() -> Vec<Drop> {
    let kept = |name: &str, properties: Vec<u8>, body: &[u8]| Drop {
        name: name.to_owned(),
        properties,
        body: body.to_vec(),
        kept: true,
    };
    let good = br#"{"name":"never"}"#;
    let value =
        |name: &[u8], kind: u8, value: &[u8]| [short(name), vec![kind], value.to_vec()].concat();
    let text = |name: &[u8], text: &[u8]| value(name, b'S', &long(text));
    let mut many = Vec::new();
    for number in 0..2000 {
        many.extend(text(format!("h{number}").as_bytes(), b"0123456789"));
    }
    let nested = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let persistent = || (DELIVERY_MODE, vec![2]);
    let mut drops = vec![
        kept(
            "headers of 70,000 bytes",
            headers(&text(b"large", &[b'x'; 70_000])),
            good,
        ),
        kept("2,000 headers", headers(&many), good),
        kept(
            "a key that is a float",
            headers(&value(b"idempotency-key", b'f', &[0; 4])),
            good,
        ),
        kept(
            "a key that is a list",
            headers(&value(b"idempotency-key", b'A', &long(b""))),
            good,
        ),
        kept(
            "a key of 300 bytes",
            headers(&text(b"idempotency-key", &[b'k'; 300])),
            good,
        ),
        kept(
            "a deadline that is a decimal",
            headers(&value(b"deadline", b'D', &[0; 5])),
            good,
        ),
        kept(
            "a deadline in words",
            headers(&text(b"deadline", b"tomorrow")),
            good,
        ),
        kept("no such encoding", typed("text/plain"), good),
        kept(
            "another charset",
            typed("application/json; charset=utf-16"),
            good,
        ),
        kept(
            "arguments by position",
            typed("application/json"),
            br#"["never"]"#,
        ),
        kept(
            "no such argument",
            typed("application/json"),
            br#"{"title":"never"}"#,
        ),
        kept(
            "an argument of another type",
            typed("application/json"),
            br#"{"name":7}"#,
        ),
        kept(
            "text after the value",
            typed("application/json"),
            br#"{"name":"never"} {}"#,
        ),
        kept("deep", typed("application/json"), nested.as_bytes()),
        kept(
            "not UTF-8",
            typed("application/json"),
            b"{\"name\":\"\xff\"}",
        ),
        kept("empty", typed("application/json"), b""),
        kept("not MessagePack", typed("application/msgpack"), &[0xc1; 64]),
        kept(
            "a map without its entries",
            typed("application/msgpack"),
            b"\xdf\xff\xff\xff\xff",
        ),
        kept(
            "large",
            typed("application/json"),
            &vec![b' '; BODY_BYTES_MAX + 1],
        ),
        kept("no method", properties(&[persistent()]), good),
        kept(
            "no such method",
            properties(&[persistent(), (KIND, short(b"erase"))]),
            good,
        ),
        kept(
            "an id that is none",
            properties(&[
                persistent(),
                (CORRELATION_ID, short(b"17")),
                (KIND, short(b"note")),
            ]),
            good,
        ),
        Drop {
            kept: false,
            ..kept(
                "an inbox that is somebody's key",
                properties(&[
                    (CONTENT_TYPE, short(b"application/json")),
                    persistent(),
                    (CORRELATION_ID, short(CallId::new().to_string().as_bytes())),
                    (REPLY_TO, short(b"session:admin")),
                    (KIND, short(b"note")),
                ]),
                good,
            )
        },
    ];
    drops.extend(malformed::kinds().into_iter().map(|kind| Drop {
        name: format!("malformed: {}", kind.name),
        properties: kind.properties,
        body: b"{}".to_vec(),
        kept: true,
    }));
    drops
}

/// Calls until told to stop; returns how many of each verb.
async fn call(client: NotesClient, caller: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(client.echo(number).await.unwrap(), number);
        let attempt = client.note(format!("{caller} {number}")).await.unwrap();
        assert_eq!(attempt, 1, "it ran before");
        number += 1;
    }
    number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_all_that_can_be_wrong_changes_nothing_for_others() {
    let (Some(amqp), Some(redis)) = (rabbitmq().await, redis().await) else {
        return;
    };
    let lasts = env::var("FLOOD_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let lasts = Duration::from_secs(lasts);
    allow(lasts + replybus_testkit::wait::AT_MOST);
    let namespace = unique("flood");
    let bus = || {
        Bus::builder()
            .namespace(&namespace)
            .connect(Amqp::new(&amqp), RedisReplies::new(&redis))
    };
    let (worker, caller) = (bus().await.unwrap(), bus().await.unwrap());
    let noted = Noted::default();
    let serving = worker.serve(NotesServer::new(noted.clone())).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let client = NotesClient::new(&caller);
        callers.spawn(call(client, number, Arc::clone(&stop)));
    }

    let queue = format!("{namespace}.notes.requests");
    let (kept, told) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut publisher = RawPublisher::connect(&amqp).await.unwrap();
    let start = Instant::now();
    for round in 1.. {
        for drop in flood() {
            let published = publisher.publish(b"", queue.as_bytes(), &drop.properties, &drop.body);
            match bounded(published).await {
                Ok(()) if drop.kept => kept.fetch_add(1, Ordering::Relaxed),
                Ok(()) => told.fetch_add(1, Ordering::Relaxed),
                // What the broker refuses, it ends the connection for.
                Err(_) => {
                    publisher = RawPublisher::connect(&amqp).await.unwrap();
                    continue;
                }
            };
            for bus in [&worker, &caller] {
                let health = bus.health();
                assert!(health.is_up(), "after {}: {health:?}", drop.name);
                assert!(health.dead_letters_dropped.is_empty(), "{health:?}");
            }
        }
        if round >= 2 && start.elapsed() >= lasts {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let calls: u64 = bounded(callers.join_all()).await.into_iter().sum();
    assert!(calls > 0);

    // Nothing is lost: all that nobody was told of is kept, and nothing waits.
    let waiting = |queue: &'static str| {
        let inspected = worker.inspect(queue);
        async move { inspected.await.unwrap().unwrap().waiting }
    };
    let kept = kept.into_inner();
    eventually(&format!("{kept} letters are kept"), || async {
        waiting("notes.requests.dead").await == kept
    })
    .await;
    assert_eq!(waiting("notes.requests").await, 0);
    let noted = noted.0.lock().unwrap().clone();
    assert_eq!(noted.len() as u64, calls, "one effect for each command");
    assert!(noted.values().all(|times| *times == 1));
    println!(
        "{kept} messages kept, {} told, beside {calls} queries and as many commands",
        told.into_inner()
    );
    serving.shutdown().await.unwrap();
    let channel = lapin::Connection::connect(&amqp, Default::default());
    let channel = channel.await.unwrap().create_channel().await.unwrap();
    for queue in [queue.clone(), format!("{queue}.dead")] {
        let deleted = channel.queue_delete(queue.into(), Default::default());
        deleted.await.unwrap();
    }
}
