//! Traces as a collector gets them. A process has one export: each test is a program of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests say what they expect"
)]

use replybus::{Bus, CallId, Context, Event, Never, context::TraceContext, queue_handler};
use replybus_otel::Otlp;
use replybus_testkit::{
    collector::{CollectedSpan, Collector, tree},
    wait::eventually,
};
use serde::{Deserialize, Serialize};

#[queue_handler("ledger.requests")]
trait Ledger {
    #[query]
    async fn rate(&self) -> Result<u64, Never>;
    /// Asks for the rate, and tells of what it did.
    async fn post(&self, amount: u64) -> Result<u64, Never>;
}

#[derive(Event, Serialize, Deserialize)]
#[event("ledger.posted")]
struct Posted {
    amount: u64,
}

struct Books(Bus);

impl Ledger for Books {
    async fn rate(&self) -> Result<u64, Never> {
        Ok(2)
    }

    async fn post(&self, amount: u64) -> Result<u64, Never> {
        let rate = LedgerClient::new(&self.0).rate().await.unwrap();
        self.0.emit(&Posted { amount }).await.unwrap();
        Ok(rate * amount)
    }
}

fn named<'a>(spans: &'a [CollectedSpan], name: &str) -> &'a CollectedSpan {
    spans.iter().find(|span| span.name == name).unwrap()
}

#[tokio::test]
async fn a_collector_gets_the_tree_of_a_call_with_its_ids_and_attributes() {
    let collector = Collector::start().await.unwrap();
    let otlp = Otlp::to("ledger-service", &collector.endpoint()).unwrap();
    let telemetry = otlp.clone().install().unwrap();
    assert!(otlp.install().is_err(), "a process has one export");

    let bus = Bus::in_memory();
    let serving = bus
        .serve(LedgerServer::new(Books(bus.clone())))
        .await
        .unwrap();
    let hearing = bus
        .subscribe("hearers", |_: Posted| async {})
        .await
        .unwrap();
    let client = LedgerClient::new(&bus);
    let root = TraceContext::root(CallId::new());
    let trace = format!("{:032x}", root.trace_id());
    let context = Context::builder().trace(root.clone()).build();
    let posting = client.post(70).metadata("session", "s3cret");
    let posting = posting.idempotency_key("a-key-of-mine");
    assert_eq!(context.scope(posting).await.unwrap(), 140);
    eventually("the event is handled", || async {
        telemetry.flush().await;
        collector.trace(&trace).len() == 11
    })
    .await;

    let spans = collector.trace(&trace);
    assert_eq!(
        tree(&spans),
        [
            "ledger-service producer call ledger.requests",
            "  ledger-service consumer process ledger.requests",
            "    ledger-service internal claim",
            "    ledger-service producer call ledger.requests",
            "      ledger-service consumer process ledger.requests",
            "        ledger-service internal store reply",
            "    ledger-service producer send ledger.posted",
            "      ledger-service consumer process hearers",
            "        ledger-service internal claim",
            "        ledger-service internal store reply",
            "    ledger-service internal store reply",
        ]
    );
    let first = &spans[0];
    assert_eq!(first.parent, format!("{:016x}", root.span_id()));
    assert!(first.began > 0 && first.ended >= first.began);
    let handled = named(&spans, "process hearers");
    assert_eq!(handled.attributes["messaging.system"], "rabbitmq");
    assert_eq!(handled.attributes["messaging.operation.type"], "process");
    let all = format!("{spans:?}");
    assert!(
        !all.contains("s3cret") && !all.contains("a-key-of-mine"),
        "{all}"
    );

    // What ends before the end is not lost, and what ends afterwards holds nobody up.
    client.rate().await.unwrap();
    let before = collector.spans().len();
    telemetry.shutdown().await;
    assert!(collector.spans().len() > before);
    let after = collector.spans().len();
    client.rate().await.unwrap();
    hearing.shutdown().await.unwrap();
    serving.shutdown().await.unwrap();
    assert_eq!(collector.spans().len(), after);
}
