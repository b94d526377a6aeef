//! What callers count.

use crate::bank::bank;
use futures_util::{StreamExt, stream};
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use replybus::{Bus, Never, queue_handler, stream::Items};
use replybus_testkit::wait::eventually;
use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts and gauges by name and labels, and how often each histogram was written to.
#[derive(Default)]
pub(crate) struct Counts {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    gauges: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
    records: Mutex<BTreeMap<String, Arc<Records>>>,
}

#[derive(Default)]
struct Records(AtomicU64);

impl metrics::HistogramFn for Records {
    fn record(&self, seconds: f64) {
        assert!(seconds >= 0.0);
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn spelled(key: &Key) -> String {
    let labels = key
        .labels()
        .map(|label| format!("{}={}", label.key(), label.value()));
    format!("{} {}", key.name(), labels.collect::<Vec<_>>().join(" "))
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let mut counters = self.counters.lock().unwrap();
        Counter::from_arc(Arc::clone(counters.entry(spelled(key)).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let mut gauges = self.gauges.lock().unwrap();
        Gauge::from_arc(Arc::clone(gauges.entry(spelled(key)).or_default()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let mut records = self.records.lock().unwrap();
        Histogram::from_arc(Arc::clone(records.entry(spelled(key)).or_default()))
    }
}

impl Counts {
    /// What is counted under a name without labels.
    pub(crate) fn of(&self, name: &str) -> u64 {
        let counters = self.counters.lock().unwrap();
        let counted = counters.get(&format!("{name} "));
        counted.map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// The calls of Accounts by method and outcome.
    fn calls(&self) -> BTreeMap<String, u64> {
        let counters = self.counters.lock().unwrap();
        let calls = counters.iter().filter_map(|(name, count)| {
            let name = name.strip_prefix("replybus_calls_total service=Accounts method=")?;
            Some((name.replace(" outcome=", " "), count.load(Ordering::SeqCst)))
        });
        calls.collect()
    }

    /// What is counted of streams of the service Flows.
    fn streams(&self) -> BTreeMap<String, u64> {
        let counters = self.counters.lock().unwrap();
        let streams = counters.iter().filter_map(|(name, count)| {
            let name = name.strip_prefix("replybus_stream")?;
            let name = name
                .replace("service=Flows method=", "")
                .replace("end=", "");
            Some((name, count.load(Ordering::SeqCst)))
        });
        streams.collect()
    }

    /// The streams that are open.
    fn open(&self) -> f64 {
        let gauges = self.gauges.lock().unwrap();
        gauges
            .values()
            .map(|gauge| f64::from_bits(gauge.load(Ordering::SeqCst)))
            .sum()
    }
}

#[queue_handler("flows.requests")]
trait Flows {
    #[stream]
    async fn down(&self, count: u64) -> Result<Items<u64, String>, String>;

    async fn up(&self, #[stream] numbers: Items<u64>) -> Result<u64, Never>;
}

struct Flow;

impl Flows for Flow {
    async fn down(&self, count: u64) -> Result<Items<u64, String>, String> {
        let numbers = stream::iter((0..count).map(|number| Ok(number % 100)));
        Ok(Items::new(match count {
            7 => numbers
                .chain(stream::iter([Err("no more".to_owned())]))
                .boxed(),
            _ => numbers.boxed(),
        }))
    }

    async fn up(&self, mut numbers: Items<u64>) -> Result<u64, Never> {
        let mut count = 0;
        while let Some(Ok(number)) = numbers.next().await {
            count += 1;
            if number == 50 {
                break;
            }
        }
        Ok(count)
    }
}

#[tokio::test]
async fn both_ends_count_their_streams_by_what_they_carried_and_how_they_ended() {
    let counts = Counts::default();
    let _here = metrics::set_default_local_recorder(&counts);
    let bus = Bus::in_memory();
    let serving = bus.serve(FlowsServer::new(Flow)).await.unwrap();
    let client = FlowsClient::new(&bus);
    for count in [5, 7] {
        let mut numbers = client.down(count).await.unwrap();
        assert_eq!(counts.open(), 2.0);
        while numbers.next().await.is_some() {}
    }
    // Room for one at a time.
    let mut slow = client.down(3).window_bytes(1).await.unwrap();
    while slow.next().await.is_some() {}
    drop(slow);
    let mut left = client.down(60).window_bytes(1).await.unwrap();
    left.next().await.unwrap().unwrap();
    drop(left);
    assert_eq!(client.up(stream::iter(0..9)).await, Ok(9));
    let endless = stream::iter([50]).chain(stream::pending());
    assert_eq!(client.up(endless).await, Ok(1));
    serving.shutdown().await.unwrap();
    eventually("all have ended", || async { counts.open() == 0.0 }).await;
    let counted = counts.streams();
    for (name, count) in [
        ("s_total down reader outcome=complete", 2),
        ("s_total down reader outcome=handler", 1),
        ("s_total down reader outcome=dropped", 1),
        ("s_total down producer outcome=complete", 2),
        ("s_total down producer outcome=handler", 1),
        ("s_total down producer outcome=dropped", 1),
        ("s_total up reader outcome=complete", 1),
        ("s_total up reader outcome=dropped", 1),
        ("s_total up producer outcome=complete", 1),
        ("_items_total down reader", 16),
        ("_items_total up reader", 10),
        ("_items_total up producer", 10),
        ("_bytes_total up producer", 50),
    ] {
        assert_eq!(counted.get(name), Some(&count), "{name}: {counted:#?}");
    }
    // Its reader left, or its call was answered: whichever it heard first.
    let left = ["dropped", "stopped"].map(|outcome| {
        let name = format!("s_total up producer outcome={outcome}");
        counted.get(&name).copied().unwrap_or_default()
    });
    assert_eq!(left.iter().sum::<u64>(), 1, "{counted:#?}");
    assert!(counted["_waits_total down producer"] >= 3, "{counted:#?}");
    assert!(
        !counted.contains_key("_waits_total up producer"),
        "{counted:#?}"
    );
}

#[tokio::test]
async fn a_caller_counts_its_calls_by_what_came_of_them() {
    let counts = Counts::default();
    let _here = metrics::set_default_local_recorder(&counts);
    let (_bus, ledger, client, _serving) = bank().await;
    for _ in 0..2 {
        client.post(1).await.unwrap();
    }
    client.post(1).send().await.unwrap();
    client.post(1).submit().await.unwrap();
    client.post(1).idempotency_key("").await.unwrap_err();
    client.post(1).idempotency_key("").send().await.unwrap_err();
    client.balance("nobody".into(), 1).await.unwrap_err();
    client.panics().await.unwrap_err();
    // A queue that the caller chose is no label.
    let elsewhere = client.clone().on_queue("of.somebody");
    elsewhere.post(1).await.unwrap_err();
    // Its caller does not wait for the end.
    let given_up = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    given_up.abort();
    given_up.await.unwrap_err();

    let expected = [
        ("balance handler", 1),
        ("panics panicked", 1),
        ("post accepted", 2),
        ("post not_sent", 2),
        ("post ok", 2),
        ("post unroutable", 1),
        ("wait dropped", 1),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(counts.calls(), expected.into());
    let records = counts.records.lock().unwrap();
    let posts = &records["replybus_call_seconds service=Accounts method=post"];
    assert_eq!(posts.0.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn what_should_not_happen_is_there_before_it_happens() {
    let counts = Counts::default();
    let _here = metrics::set_default_local_recorder(&counts);
    let (_bus, _ledger, _client, _serving) = bank().await;
    let counters = counts.counters.lock().unwrap();
    for name in [
        "replybus_dead_letters_total queue=account.requests",
        "replybus_dead_letters_dropped_total queue=account.requests",
        "replybus_missed_inboxes_total service=Accounts why=absent",
        "replybus_missed_inboxes_total service=Accounts why=foreign",
        "replybus_redeliveries_total service=Accounts",
        "replybus_store_failures_total ",
        "replybus_republished_total ",
        "replybus_late_replies_total ",
        "replybus_stream_frames_refused_total ",
        "replybus_leases_late_total ",
        "replybus_leases_lost_total ",
    ] {
        let count = counters.get(name).map(|count| count.load(Ordering::SeqCst));
        assert_eq!(count, Some(0), "{name}");
    }
}

#[tokio::test]
async fn how_long_a_request_waited_is_recorded() {
    let counts = Counts::default();
    let _here = metrics::set_default_local_recorder(&counts);
    let (_bus, _ledger, client, _serving) = bank().await;
    client.post(1).await.unwrap();
    let records = counts.records.lock().unwrap();
    let waited = &records["replybus_queue_seconds service=Accounts method=post"];
    assert_eq!(waited.0.load(Ordering::SeqCst), 1);
}

#[queue_handler("shelf.requests")]
trait Shelf {
    #[query(cache = "1m", tags("shelf"))]
    async fn look(&self) -> Result<u32, Never>;

    #[invalidates("shelf")]
    async fn fill(&self) -> Result<(), Never>;
}

struct Wood;

impl Shelf for Wood {
    async fn look(&self) -> Result<u32, Never> {
        Ok(1)
    }

    async fn fill(&self) -> Result<(), Never> {
        Ok(())
    }
}

#[tokio::test]
async fn kept_answers_are_counted_by_where_they_came_from() {
    let counts = Counts::default();
    let _here = metrics::set_default_local_recorder(&counts);
    let bus = Bus::in_memory();
    let serving = bus.serve(ShelfServer::new(Wood)).await.unwrap();
    let client = ShelfClient::new(&bus);
    for _ in 0..2 {
        client.look().await.unwrap();
    }
    client.look().uncached().await.unwrap();
    client.fill().await.unwrap();
    client.look().await.unwrap();
    serving.shutdown().await.unwrap();
    let counters = counts.counters.lock().unwrap();
    let of_cache = counters.iter().filter_map(|(name, count)| {
        let name = name.strip_prefix("replybus_cache_")?;
        let name = name.replace("service=Shelf method=", "");
        Some((name, count.load(Ordering::SeqCst)))
    });
    let expected = [
        ("invalidations_total fill", 1),
        ("kept_total look", 3),
        ("lookups_total look status=hit", 1),
        ("lookups_total look status=miss", 2),
        ("lookups_total look status=refreshed", 1),
    ];
    let expected = expected.map(|(name, count)| (name.to_owned(), count));
    assert_eq!(of_cache.collect::<BTreeMap<_, _>>(), expected.into());
}
