//! What callers count.

use crate::bank::bank;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Counts by name and labels, and how often each histogram was written to.
#[derive(Default)]
struct Counts {
    counters: Mutex<BTreeMap<String, Arc<AtomicU64>>>,
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

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let mut records = self.records.lock().unwrap();
        Histogram::from_arc(Arc::clone(records.entry(spelled(key)).or_default()))
    }
}

impl Counts {
    /// The calls of Accounts by method and outcome.
    fn calls(&self) -> BTreeMap<String, u64> {
        let counters = self.counters.lock().unwrap();
        let calls = counters.iter().filter_map(|(name, count)| {
            let name = name.strip_prefix("replybus_calls_total service=Accounts method=")?;
            Some((name.replace(" outcome=", " "), count.load(Ordering::SeqCst)))
        });
        calls.collect()
    }
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
