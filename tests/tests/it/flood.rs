//! Strangers publish everything that can be wrong with a message, over and over, to a queue and
//! a group that others use: their calls and events go on as if nothing were, nothing of the flood is
//! lost without being counted, and health is true throughout.
//!
//! It lasts for `FLOOD_SECONDS`, 5 by default, and until each kind was sent twice.

mod kinds;

use self::kinds::{Drop, Fate, of_events, of_requests};
use futures_util::future::join_all;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use replybus::{
    Amqp, Bus, Context, Event, Health, Never, queue_handler, server::Serving, transport::QueueSpec,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{allow, rabbitmq, redis, unique},
    publisher::RawPublisher,
    wait::{AT_MOST, bounded, eventually},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    env, fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const CALLERS: u64 = 4;
/// Each waits for the broker to have one before it publishes the next.
const STRANGERS: usize = 8;

/// Without the namespace: the queue of the service, and the group, which is a queue as well.
const QUEUE: &str = "notes.requests";
const GROUP: &str = "audit";

#[queue_handler("notes.requests", timeout = "2m")]
trait Notes {
    #[query]
    async fn echo(&self, number: u64) -> Result<u64, Never>;

    /// Notes that `name` was done.
    async fn note(&self, name: String) -> Result<u32, Never>;
}

#[derive(Event, Serialize, Deserialize)]
#[event("note.taken")]
struct NoteTaken {
    number: u64,
}

/// How often each was done.
#[derive(Clone)]
struct Counted<K>(Arc<Mutex<HashMap<K, u32>>>);

impl<K: fmt::Debug + Eq + Hash> Counted<K> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn note(&self, one: K) {
        *self.0.lock().unwrap().entry(one).or_default() += 1;
    }

    /// All that were done; each was once.
    fn once_each(&self) -> usize {
        let done = self.0.lock().unwrap();
        for (one, times) in done.iter() {
            assert_eq!(*times, 1, "{one:?}");
        }
        done.len()
    }
}

impl Notes for Counted<String> {
    async fn echo(&self, number: u64) -> Result<u64, Never> {
        Ok(number)
    }

    async fn note(&self, name: String) -> Result<u32, Never> {
        self.note(name);
        Ok(Context::current().attempt())
    }
}

/// What this process counts, as who operates a program reads it.
fn metrics() -> &'static PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    METRICS.get_or_init(|| PrometheusBuilder::new().install_recorder().unwrap())
}

/// Those who use the bus as it is meant to be used, and how they are.
struct Town {
    amqp: String,
    namespace: String,
    worker: Bus,
    caller: Bus,
    noted: Counted<String>,
    heard: Counted<u64>,
    serving: [Serving; 2],
    stop: Arc<AtomicBool>,
    callers: JoinSet<u64>,
}

/// What was published, by what is to become of it: how often each kind.
type Sent = BTreeMap<(&'static str, Fate), u64>;

impl Town {
    /// One whose queues of dead letters take so many, if that is said.
    async fn begin(letters_max: Option<u32>) -> Option<Self> {
        let (amqp, redis) = (rabbitmq().await?, redis().await?);
        metrics();
        let namespace = unique("flood");
        let bus = || {
            Bus::builder()
                .namespace(&namespace)
                .connect(Amqp::new(&amqp), RedisReplies::new(&redis))
        };
        let (worker, caller) = (bus().await.unwrap(), bus().await.unwrap());
        if let Some(letters) = letters_max {
            let transport = Amqp::new(&amqp).connect().await.unwrap();
            for queue in [QUEUE, GROUP] {
                let dead = QueueSpec::new(format!("{namespace}.{queue}.dead"));
                transport.declare(dead.length_max(letters)).await.unwrap();
            }
        }
        let (noted, heard) = (Counted::new(), Counted::new());
        let service = worker.serve(NotesServer::new(noted.clone()));
        let told = heard.clone();
        let group = worker.subscribe(GROUP, move |event: NoteTaken| {
            told.note(event.number);
            std::future::ready(())
        });
        let serving = [service.await.unwrap(), group.await.unwrap()];
        let stop = Arc::new(AtomicBool::new(false));
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            callers.spawn(use_it(caller.clone(), number, Arc::clone(&stop)));
        }
        Some(Self {
            amqp,
            namespace,
            worker,
            caller,
            noted,
            heard,
            serving,
            stop,
            callers,
        })
    }

    fn queue(&self, name: &str) -> String {
        format!("{}.{name}", self.namespace)
    }

    /// Has strangers publish all kinds again and again, and `look` see after each message how both
    /// programs are.
    async fn flood(&self, lasts: Duration, look: impl Fn(&str, &Health)) -> Sent {
        let strangers = (0..STRANGERS).map(|_| self.stranger(lasts, &look));
        let mut all = Sent::new();
        for sent in join_all(strangers).await {
            for (fate, count) in sent {
                *all.entry(fate).or_default() += count;
            }
        }
        all
    }

    async fn stranger(&self, lasts: Duration, look: &impl Fn(&str, &Health)) -> Sent {
        let kinds = [(QUEUE, of_requests()), (GROUP, of_events())];
        let kinds = kinds.iter();
        let kinds: Vec<_> = kinds
            .flat_map(|(queue, drops)| drops.iter().map(move |drop| (*queue, drop)))
            .collect();
        let mut sent = Sent::new();
        let mut publisher = RawPublisher::connect(&self.amqp).await.unwrap();
        let start = Instant::now();
        for round in 1.. {
            for (queue, drop) in &kinds {
                let to = self.queue(queue);
                let published = publisher.publish(b"", to.as_bytes(), &drop.properties, &drop.body);
                match bounded(published).await {
                    Ok(()) => *sent.entry((*queue, drop.fate)).or_default() += 1,
                    // What the broker refuses, it ends the connection for.
                    Err(_) => publisher = RawPublisher::connect(&self.amqp).await.unwrap(),
                }
                for bus in [&self.worker, &self.caller] {
                    look(&drop.name, &bus.health());
                }
            }
            if round >= 2 && start.elapsed() >= lasts {
                break;
            }
        }
        sent
    }

    /// The calls and events of those who use it, once they have stopped.
    async fn stopped(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let callers = std::mem::take(&mut self.callers);
        let calls = bounded(callers.join_all()).await.into_iter().sum();
        assert!(calls > 0);
        calls
    }

    async fn waiting(&self, queue: &str) -> u64 {
        let inspected = self.worker.inspect(queue).await.unwrap();
        inspected.unwrap().waiting
    }

    /// What is counted of the dead letters of a queue.
    fn counted(&self, what: &str, queue: &str) -> u64 {
        let name = self.queue(queue);
        let sample = format!("replybus_dead_letters_{what}{{queue=\"{name}\"}} ");
        let text = metrics().render();
        let value = text.lines().find_map(|line| line.strip_prefix(&sample));
        value.map_or(0, |value| value.parse().unwrap())
    }

    /// Each call and event has come to its end, once, and so has each message of the flood that is
    /// to run.
    async fn is_as_if_nothing_were(&self, calls: u64) {
        let expected = |drops: Vec<Drop>| {
            let odd = drops.into_iter().filter(|drop| drop.fate == Fate::Run);
            usize::try_from(calls).unwrap() + odd.count()
        };
        let (noted, heard) = (expected(of_requests()), expected(of_events()));
        eventually("all commands have run", || async {
            self.noted.once_each() == noted
        })
        .await;
        eventually("all events were heard", || async {
            self.heard.once_each() == heard
        })
        .await;
        for queue in [QUEUE, GROUP] {
            assert_eq!(self.waiting(queue).await, 0);
        }
    }

    async fn end(self) {
        for serving in self.serving {
            serving.shutdown().await.unwrap();
        }
        let left = Leftovers::of(&self.namespace).queues([QUEUE, GROUP]);
        let left = left.exchanges([NoteTaken::EXCHANGE]);
        left.delete(&self.amqp).await.unwrap();
    }
}

/// Calls and emits until told to stop; returns how many of each.
async fn use_it(bus: Bus, caller: u64, stop: Arc<AtomicBool>) -> u64 {
    let client = NotesClient::new(&bus);
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        assert_eq!(client.echo(number).await.unwrap(), number);
        let attempt = client.note(format!("{caller} {number}")).await.unwrap();
        assert_eq!(attempt, 1, "it ran before");
        let event = NoteTaken {
            number: caller << 32 | number,
        };
        bus.emit(&event).await.unwrap();
        number += 1;
    }
    number
}

fn lasts() -> Duration {
    let seconds = env::var("FLOOD_SECONDS").map_or(5, |seconds| seconds.parse().unwrap());
    let lasts = Duration::from_secs(seconds);
    allow(lasts + AT_MOST);
    lasts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_all_that_can_be_wrong_changes_nothing_for_others() {
    let lasts = lasts();
    let Some(mut town) = Town::begin(None).await else {
        return;
    };
    let sent = town.flood(lasts, |name, health| {
        assert!(health.is_up(), "after {name}: {health:?}");
        assert!(health.dead_letters_dropped.is_empty(), "{health:?}");
    });
    let sent = sent.await;
    let calls = town.stopped().await;
    town.is_as_if_nothing_were(calls).await;
    for queue in [QUEUE, GROUP] {
        let kept = sent[&(queue, Fate::Kept)];
        let dead = format!("{queue}.dead");
        eventually(&format!("{kept} letters of {queue} are kept"), || async {
            town.waiting(&dead).await == kept
        })
        .await;
        assert_eq!(town.counted("total", queue), kept);
        assert_eq!(town.counted("dropped_total", queue), 0);
    }
    // Each is kept for its own mistake, and not for another's.
    let letters = town.worker.dead_letters(QUEUE).list(0..200).await.unwrap();
    let errors: Vec<&str> = letters
        .letters
        .iter()
        .map(|letter| letter.error())
        .collect();
    for drop in of_requests() {
        if let Some(mistake) = kinds::mistake_of(&drop.name) {
            let is_its = |error: &&str| error.contains(mistake);
            assert!(errors.iter().any(is_its), "{}: {errors:#?}", drop.name);
        }
    }
    println!("{sent:?} beside {calls} queries, as many commands and as many events");
    town.end().await;
}

/// Somebody filled them, or nobody looked after them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_full_queues_of_dead_letters_do_not_take_is_counted_to_the_last() {
    const LETTERS: u32 = 20;
    let lasts = lasts();
    let Some(mut town) = Town::begin(Some(LETTERS)).await else {
        return;
    };
    let sent = town.flood(lasts, |name, health| {
        assert!(health.is_up(), "after {name}: {health:?}");
    });
    let sent = sent.await;
    let calls = town.stopped().await;
    town.is_as_if_nothing_were(calls).await;
    for queue in [QUEUE, GROUP] {
        let lost = sent[&(queue, Fate::Kept)] - u64::from(LETTERS);
        let dead = format!("{queue}.dead");
        eventually(
            &format!("{lost} letters of {queue} are counted"),
            || async { town.counted("dropped_total", queue) == lost },
        )
        .await;
        assert_eq!(town.counted("total", queue), u64::from(LETTERS));
        assert_eq!(town.waiting(&dead).await, u64::from(LETTERS));
        let health = town.worker.health();
        let said = &health.dead_letters_dropped[&town.queue(&dead)];
        assert_eq!(said, &format!("the queue is full: {lost} dropped"));
    }
    println!("{sent:?} beside {calls} queries, as many commands and as many events");
    town.end().await;
}
