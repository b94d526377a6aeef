//! Dead letters that can't be kept: shortened, and then dropped, and no service stops for them.

use crate::{
    bad_input::request,
    bank::{AccountsClient, AccountsServer, Ledger},
    dead_letters::{bus, dead, kept, next},
};
use async_trait::async_trait;
use replybus::{
    Bus, CallId, SetupError, limits,
    message::{Message, Properties, Text},
    reply::memory::MemoryReplies,
    transport::{
        Deliveries, InspectError, Outgoing, QueueSpec, QueueState, Receipt, Settled, Slip, Source,
        Transport, TransportHealth, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use replybus_testkit::wait::eventually;
use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

const QUEUE: &str = "account.requests";

/// A one-way message that no service can read.
fn unreadable(headers: Vec<(Text, Text)>, body: Vec<u8>) -> Outgoing {
    Outgoing::new(Message {
        routing_key: QUEUE.into(),
        properties: Properties {
            correlation_id: None,
            message_id: Some("m".into()),
            persistent: true,
            headers: headers.into(),
            ..request(CallId::new(), "steal")
        },
        body: body.into(),
        ..Message::default()
    })
}

async fn publish(transport: &Arc<dyn Transport>, outgoing: Outgoing) {
    let verdict = transport.publish(outgoing).verdict().await;
    assert_eq!(verdict, Verdict::Confirmed);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_dead_letters_stops_nobody() {
    let (bus, transport) = bus().await;
    let narrow = QueueSpec::new(format!("{QUEUE}.dead")).length_max(1);
    transport.declare(narrow).await.unwrap();
    let ledger = Ledger::new();
    let serving = bus.serve(AccountsServer::new(ledger)).prefetch(32);
    let serving = serving.await.unwrap();
    for _ in 0..100 {
        publish(&transport, unreadable(Vec::new(), b"{}".to_vec())).await;
    }
    let client = AccountsClient::new(&bus);
    assert_eq!(client.post(1).await.unwrap(), 1);
    eventually("all are settled", || async {
        let dropped = bus.health().dead_letters_dropped;
        let text = dropped.get("account.requests.dead");
        text.is_some_and(|text| text == "the queue is full: 99 dropped")
    })
    .await;
    assert!(bus.health().is_up(), "the service does its work");
    assert_eq!(kept(&transport, QUEUE).await, 1);

    // Somebody takes what is there.
    let mut letters = dead(&transport, QUEUE).await;
    next(&mut letters).await;
    letters.stop().await;
    eventually("nothing is dropped any more", || async {
        bus.health().dead_letters_dropped.is_empty()
    })
    .await;
    publish(&transport, unreadable(Vec::new(), b"{}".to_vec())).await;
    eventually("it is kept", || async {
        kept(&transport, QUEUE).await == 1
    })
    .await;
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_too_large_is_left_out_and_what_a_service_reads_comes_first() {
    let (bus, transport) = bus().await;
    let serving = bus.serve(AccountsServer::new(Ledger::new()));
    let serving = serving.await.unwrap();
    let header = |name: &str, bytes| (name.into(), "x".repeat(bytes).into());
    let headers = vec![
        header("large", 12_000),
        header("middle", 9_000),
        header("small", 10),
        header("idempotency-key", 200),
        header("traceparent", 55),
    ];
    let body = vec![b' '; limits::REQUEST_BYTES_MAX + 1];
    publish(&transport, unreadable(headers, body)).await;
    let mut letters = dead(&transport, QUEUE).await;
    let (reason, letter) = next(&mut letters).await;
    assert_eq!(reason, "bad_request");
    let names: Vec<&str> = letter
        .properties
        .headers
        .iter()
        .map(|(n, _)| &**n)
        .collect();
    let own = names
        .iter()
        .filter(|name| !name.starts_with("dead-letter-"));
    assert_eq!(
        own.collect::<Vec<_>>(),
        [&"middle", &"small", &"idempotency-key", &"traceparent"]
    );
    assert_eq!(letter.body.len(), limits::DEAD_LETTER_BODY_MAX);
    assert_eq!(
        letter.properties.header("dead-letter-shortened"),
        Some("1 headers left out, 262144 of 262145 bytes of body kept")
    );
    serving.shutdown().await.unwrap();
}

/// A broker that does something else with some of what is published to the dead letters, while it
/// is up.
struct Fickle<F> {
    inner: MemoryTransport,
    /// The receipt of a letter that gets no further.
    instead: F,
}

impl<F> fmt::Debug for Fickle<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fickle").finish_non_exhaustive()
    }
}

#[async_trait]
impl<F> Transport for Fickle<F>
where
    F: Fn(&Message) -> Option<Receipt> + Send + Sync + 'static,
{
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        let is_letter = outgoing.message.routing_key.ends_with(".dead");
        let instead = is_letter.then(|| (self.instead)(&outgoing.message));
        instead
            .flatten()
            .unwrap_or_else(|| self.inner.publish(outgoing))
    }
    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        self.inner.consume(source).await
    }
    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        self.inner.declare(queue).await
    }
    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        self.inner.inspect(queue).await
    }
    fn health(&self) -> TransportHealth {
        self.inner.health()
    }
    async fn close(&self, within: Duration) {
        self.inner.close(within).await;
    }
}

/// The receipt of what was written, and what has yet to become of it.
fn written() -> (Slip, Receipt) {
    let (slip, receipt) = Receipt::pair();
    assert!(slip.begin_write());
    (slip, receipt)
}

/// A bus on a broker that does so.
async fn fickle(
    instead: impl Fn(&Message) -> Option<Receipt> + Send + Sync + 'static,
) -> (Bus, Arc<dyn Transport>) {
    let inner = MemoryBroker::new().connect();
    let transport: Arc<dyn Transport> = Arc::new(Fickle { inner, instead });
    let bus = Bus::connect(Arc::clone(&transport), MemoryReplies::new());
    (bus.await.unwrap(), transport)
}

/// One on a broker that loses letters that are larger, and how many it was to keep of those.
async fn losing(largest_kept: usize) -> (Bus, Arc<dyn Transport>, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let (bus, transport) = fickle(move |letter| {
        (letter.body.len() > largest_kept).then(|| {
            counted.fetch_add(1, Ordering::SeqCst);
            let (slip, receipt) = written();
            slip.fill(Verdict::Lost);
            receipt
        })
    })
    .await;
    (bus, transport, asked)
}

/// A broker refuses at once what there is no room for, and takes its time to confirm the last for
/// which there was.
#[tokio::test(start_paused = true)]
async fn what_was_dropped_is_not_forgotten_for_a_confirm_that_comes_later() {
    let last = Arc::new(Mutex::new(None));
    let confirmed = Arc::clone(&last);
    let (bus, transport) = fickle(move |_| {
        let (slip, receipt) = written();
        let mut last = last.lock().unwrap();
        match *last {
            None => *last = Some(slip),
            Some(_) => slip.fill(Verdict::Refused),
        }
        Some(receipt)
    })
    .await;
    let serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    for _ in 0..3 {
        publish(&transport, unreadable(Vec::new(), b"{}".to_vec())).await;
    }
    let said = async |dropped| {
        let text = format!("the queue is full: {dropped} dropped");
        eventually(&text, || async {
            let health = bus.health().dead_letters_dropped;
            health.get("account.requests.dead") == Some(&text)
        })
        .await;
    };
    said(2).await;
    let slip = confirmed.lock().unwrap().take().unwrap();
    slip.fill(Verdict::Confirmed);
    // Its delivery is settled, and one more is dropped.
    *confirmed.lock().unwrap() = Some(written().0);
    publish(&transport, unreadable(Vec::new(), b"{}".to_vec())).await;
    said(3).await;
    serving.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_lost_each_time_is_put_shorter_in_the_end() {
    let (bus, transport, asked) = losing(10_000).await;
    let serving = bus.serve(AccountsServer::new(Ledger::new()));
    let serving = serving.await.unwrap();
    publish(&transport, unreadable(Vec::new(), vec![b' '; 20_000])).await;
    let mut letters = dead(&transport, QUEUE).await;
    let delivery = letters.next().await.unwrap();
    assert!(delivery.message.body.len() < 10_000);
    let shortened = delivery.message.properties.header("dead-letter-shortened");
    assert!(
        shortened.unwrap().contains("of 20000 bytes"),
        "{shortened:?}"
    );
    delivery.settler.settle(Settled::Ack);
    assert!(asked.load(Ordering::SeqCst) > 2, "not at the first loss");
    assert!(bus.health().dead_letters_dropped.is_empty());
    serving.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn letters_that_the_broker_never_takes_are_dropped() {
    let (bus, transport, asked) = losing(0).await;
    let serving = bus.serve(AccountsServer::new(Ledger::new())).prefetch(32);
    let serving = serving.await.unwrap();
    publish(&transport, unreadable(Vec::new(), b"{}".to_vec())).await;
    eventually("the first is dropped", || async {
        !bus.health().dead_letters_dropped.is_empty()
    })
    .await;
    // From then on each is tried, and none is waited for.
    asked.store(0, Ordering::SeqCst);
    let since = tokio::time::Instant::now();
    for _ in 0..1_000 {
        publish(&transport, unreadable(Vec::new(), b"{}".to_vec())).await;
    }
    eventually("all are dropped", || async {
        asked.load(Ordering::SeqCst) == 2_000
    })
    .await;
    assert!(since.elapsed() < limits::DEAD_LETTER_WITHIN);
    assert_eq!(AccountsClient::new(&bus).post(1).await.unwrap(), 1);
    serving.shutdown().await.unwrap();
    let name = format!("{QUEUE}.dead");
    let text = &bus.health().dead_letters_dropped[&name];
    assert_eq!(text, "the broker does not take them: 1001 dropped");
}

/// Its own time is not the letter's: nothing is lost for a broker that is away.
#[tokio::test(start_paused = true)]
async fn a_letter_waits_while_there_is_no_broker() {
    let (bus, transport, asked) = losing(0).await;
    let serving = bus.serve(AccountsServer::new(Ledger::new()));
    let serving = serving.drain_within(Duration::ZERO).await.unwrap();
    publish(&transport, unreadable(Vec::new(), b"{}".to_vec())).await;
    eventually("it is tried", || async { asked.load(Ordering::SeqCst) > 0 }).await;
    transport.close(Duration::ZERO).await;
    tokio::time::sleep(limits::DEAD_LETTER_WITHIN * 10).await;
    assert!(bus.health().dead_letters_dropped.is_empty());
    let _ = serving.shutdown().await;
}
