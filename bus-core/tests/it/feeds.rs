//! Arguments that are streams of items.

use super::lossy::{Appended, lossy};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use replybus::{
    Bus, CallError, CallFailure, ContentType, FailureKind, Never,
    client::{RetryLayer, ServiceClient},
    limits, queue_handler,
    server::Serving,
    stream::Items,
};
use replybus_testkit::wait::eventually;
use std::{
    future::{IntoFuture, pending},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::yield_now,
    time::{Instant, sleep, timeout},
};

#[queue_handler("imports.requests", timeout = "1m")]
pub(crate) trait Imports {
    /// Reads all numbers, which begin with `from`, and says how many there were.
    async fn count(&self, from: u64, #[stream] numbers: Items<u64>) -> Result<u64, String>;

    /// Reads so many of them.
    async fn some(&self, #[stream] numbers: Items<u64>, count: u64) -> Result<(), Never>;

    /// Reads none of them, and does not end.
    async fn none(&self, #[stream] numbers: Items<u64>) -> Result<(), Never>;

    /// The same as `count`, of a query.
    #[query]
    async fn ask(&self, #[stream] numbers: Items<u64>) -> Result<u64, String>;

    #[query]
    async fn plain(&self) -> Result<u32, Never>;
}

/// Counts the calls that were begun, and keeps what ended their streams.
#[derive(Clone, Default)]
pub(crate) struct Counter {
    begun: Arc<AtomicU64>,
    failed: Arc<Mutex<Vec<FailureKind>>>,
}

impl Counter {
    fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    async fn fails_with(&self, kind: FailureKind) {
        eventually("the handler's stream fails", || async {
            *self.failed.lock().unwrap() == [kind]
        })
        .await;
    }

    async fn read(&self, from: u64, mut numbers: Items<u64>) -> Result<u64, String> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let mut next = from;
        while let Some(number) = numbers.next().await {
            match number {
                Ok(number) => assert_eq!(number, next),
                Err(failure) => {
                    self.failed.lock().unwrap().push(failure.kind());
                    assert!(numbers.next().await.is_none());
                    return Err(failure.to_string());
                }
            }
            next += 1;
        }
        Ok(next - from)
    }
}

impl Imports for Counter {
    async fn count(&self, from: u64, numbers: Items<u64>) -> Result<u64, String> {
        self.read(from, numbers).await
    }

    async fn some(&self, mut numbers: Items<u64>, count: u64) -> Result<(), Never> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        for expected in 0..count {
            assert_eq!(numbers.next().await, Some(Ok(expected)));
        }
        Ok(())
    }

    async fn none(&self, numbers: Items<u64>) -> Result<(), Never> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let _held = numbers;
        pending().await
    }

    async fn ask(&self, numbers: Items<u64>) -> Result<u64, String> {
        self.read(0, numbers).await
    }

    async fn plain(&self) -> Result<u32, Never> {
        Ok(7)
    }
}

/// Numbers from 0 on, which count how many were taken, and that they were dropped.
pub(crate) struct Numbers {
    pub(crate) taken: Arc<AtomicU64>,
    pub(crate) dropped: Arc<AtomicU64>,
}

struct Drops(Arc<AtomicU64>);

impl Drop for Drops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Numbers {
    pub(crate) fn new() -> Self {
        let [taken, dropped] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        Self { taken, dropped }
    }

    pub(crate) fn below(&self, end: u64) -> impl Stream<Item = u64> + Send + use<> {
        let (taken, drops) = (self.taken.clone(), Drops(self.dropped.clone()));
        stream::iter(0..end).inspect(move |_| {
            let _ = &drops;
            taken.fetch_add(1, Ordering::SeqCst);
        })
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    pub(crate) async fn are_dropped(&self) {
        eventually("the caller's stream is dropped", || async {
            self.dropped.load(Ordering::SeqCst) == 1
        })
        .await;
    }
}

async fn serve(bus: &Bus) -> (Counter, ImportsClient, Serving) {
    let counter = Counter::default();
    let serving = bus.serve(ImportsServer::new(counter.clone()));
    (counter, ImportsClient::new(bus), serving.await.unwrap())
}

fn kind_of<T, E>(result: Result<T, CallError<E>>) -> FailureKind {
    result.err().unwrap().kind().unwrap()
}

#[tokio::test]
async fn a_handler_reads_what_its_caller_sends_in_order_to_the_end() {
    let bus = Bus::in_memory();
    let (counter, client, serving) = serve(&bus).await;
    for client in [client.clone(), client.with_content_type(ContentType::Json)] {
        for count in [0, 1, 2, 1_000, 50_000] {
            let numbers = stream::iter(7..7 + count);
            assert_eq!(client.count(7, numbers).await, Ok(count));
        }
        assert_eq!(client.ask(stream::iter(0..3)).await, Ok(3));
        assert_eq!(client.plain().await, Ok(7));
    }
    assert_eq!(counter.begun(), 12);
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_handler_is_tested_without_a_bus() {
    let counter = Counter::default();
    let numbers = Items::new(stream::iter([Ok(7), Ok(8)]));
    assert_eq!(counter.count(7, numbers).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn items_that_come_one_by_one_are_read_one_by_one() {
    let bus = Bus::in_memory();
    let (_, client, _serving) = serve(&bus).await;
    let numbers = stream::iter(0..20).then(async |number| {
        sleep(Duration::from_secs(1)).await;
        number
    });
    let started = Instant::now();
    let counted = client.count(0, numbers.boxed()).await;
    assert_eq!(counted, Ok(20));
    assert!(started.elapsed() < Duration::from_secs(21));
}

#[tokio::test(start_paused = true)]
async fn small_items_in_small_windows_wait_for_no_timer() {
    let bus = Bus::in_memory();
    let (_, client, _serving) = serve(&bus).await;
    for window in [1, 16, 100, 300] {
        // Each in a frame of its own.
        let one_by_one = stream::iter(0..200).then(async |number| {
            yield_now().await;
            number
        });
        let began = Instant::now();
        let counted = client.count(0, one_by_one.boxed()).window_bytes(window);
        assert_eq!(counted.await, Ok(200));
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{window}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_whose_worker_is_shut_down_in_the_middle_of_its_stream_is_interrupted() {
    let bus = Bus::in_memory();
    let counter = Counter::default();
    let serving = bus.serve(ImportsServer::new(counter.clone()));
    let first = serving.drain_within(Duration::ZERO).await.unwrap();
    let client = ImportsClient::new(&bus);
    let numbers = stream::iter(0..3).chain(stream::pending()).boxed();
    let call = client.ask(numbers).timeout(Duration::from_secs(600));
    let call = tokio::spawn(call.into_future());
    eventually("it is begun", async || counter.begun() == 1).await;
    let began = Instant::now();
    first.shutdown().await.unwrap();
    let second = bus.serve(ImportsServer::new(counter.clone()));
    let _second = second.await.unwrap();
    assert_eq!(kind_of(call.await.unwrap()), FailureKind::Interrupted);
    assert!(began.elapsed() < 2 * limits::STREAM_READER_SILENCE_MAX);
    assert_eq!(counter.begun(), 1);
}

#[tokio::test]
async fn a_handler_that_returns_early_ends_its_callers_stream() {
    let bus = Bus::in_memory();
    let (_, client, _serving) = serve(&bus).await;
    for count in [0, 3] {
        let numbers = Numbers::new();
        let endless = numbers.below(10_000_000).chain(stream::pending());
        assert_eq!(client.some(endless, count).await, Ok(()));
        numbers.are_dropped().await;
        assert!(numbers.taken() < 10_000_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_holds_its_callers_stream_up_within_the_window() {
    let bus = Bus::in_memory();
    let (counter, client, _serving) = serve(&bus).await;
    let numbers = Numbers::new();
    // Of one byte and the four of their length.
    let call = client
        .none(numbers.below(1_000_000).map(|number| number % 100))
        .window_bytes(5_000);
    let failure = call.await;
    assert_eq!(kind_of(failure), FailureKind::TimedOut);
    assert_eq!(counter.begun(), 1);
    assert!(numbers.taken() <= 1_001, "{}", numbers.taken());
    numbers.are_dropped().await;
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_both_ends_of_its_stream() {
    let bus = Bus::in_memory();
    let (counter, client, _serving) = serve(&bus).await;
    let numbers = Numbers::new();
    let endless = numbers.below(5).chain(stream::pending());
    let call = tokio::spawn(client.count(0, endless).into_future());
    eventually("it begins", || async { counter.begun() == 1 }).await;
    call.abort();
    numbers.are_dropped().await;
    counter.fails_with(FailureKind::Interrupted).await;
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_not_taken_from() {
    let bus = Bus::in_memory();
    let numbers = Numbers::new();
    let client = ImportsClient::new(&bus);
    let failure = client.count(0, numbers.below(5)).await.unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::Unroutable));
    assert!(!failure.may_have_executed());
    numbers.are_dropped().await;
    assert_eq!(numbers.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_on_the_way_is_sent_again_and_read_once() {
    use Appended::{Absent, Lost, Refused, RefusedButThere, Twice, Well};
    let fates: [&'static [Appended]; 7] = [
        &[Well, Lost],
        &[Lost, Well, Well],
        &[Well, Twice],
        &[Refused, Well],
        &[RefusedButThere, Well],
        &[Absent, Well],
        &[Well, Lost, Twice, Refused, RefusedButThere, Absent, Lost],
    ];
    for fates in fates {
        let bus = lossy(|at| {
            let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            fates[usize::try_from(mixed).unwrap() % fates.len()]
        })
        .await;
        let (counter, client, _serving) = serve(&bus).await;
        let call = client.count(0, stream::iter(0..500)).window_bytes(100);
        let counted = call.timeout(limits::CALL_TIMEOUT_MAX).await;
        assert_eq!(counted, Ok(500), "{fates:?}");
        assert_eq!(counter.begun(), 1);
    }
}

/// As if the other end were gone, which neither knows of the other.
#[tokio::test(start_paused = true)]
async fn an_end_that_is_not_heard_for_long_is_taken_for_dead() {
    let bus = lossy(|at| match at {
        0..6 => Appended::Well,
        _ => Appended::Lost,
    })
    .await;
    let (counter, client, _serving) = serve(&bus).await;
    let numbers = Numbers::new();
    let started = Instant::now();
    let call = client.count(0, numbers.below(100_000)).window_bytes(100);
    let error = call.await.unwrap_err();
    counter.fails_with(FailureKind::Interrupted).await;
    // Its answer came, and says so.
    assert!(
        error.handler().unwrap().contains("nothing was heard"),
        "{error:?}"
    );
    let took = started.elapsed();
    let most = 2 * limits::STREAM_SILENCE_MAX;
    assert!(
        took >= limits::STREAM_SILENCE_MAX && took < most,
        "{took:?}"
    );
    numbers.are_dropped().await;
}

#[tokio::test]
async fn what_can_not_be_sent_fails_its_call() {
    #[queue_handler("texts.requests", timeout = "20s")]
    trait Texts {
        async fn take(&self, #[stream] texts: Items<String>) -> Result<u64, String>;
    }
    struct Taker;
    impl Texts for Taker {
        async fn take(&self, mut texts: Items<String>) -> Result<u64, String> {
            let mut count = 0;
            while let Some(text) = texts.next().await {
                text.map_err(|failure: CallFailure| failure.to_string())?;
                count += 1;
            }
            Ok(count)
        }
    }
    let bus = Bus::in_memory();
    let _serving = bus.serve(TextsServer::new(Taker)).await.unwrap();
    let client = TextsClient::new(&bus);
    let large = "x".repeat(limits::REPLY_BYTES_MAX + 1);
    let texts = [String::new(), large, String::new()];
    let error = client.take(stream::iter(texts)).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Interrupted));
    assert!(
        error.to_string().contains("an item can't be sent"),
        "{error}"
    );
    let panics = stream::iter([0, 1]).map(|number| match number {
        0 => String::new(),
        _ => panic!("on purpose"),
    });
    let error = client.take(panics).await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Interrupted));
    assert!(error.may_have_executed());
    assert!(error.to_string().contains("the stream panicked"), "{error}");
    // The largest that can.
    let most = limits::REPLY_BYTES_MAX - 5;
    let largest = stream::iter(vec!["x".repeat(most); 5]);
    assert_eq!(client.take(largest).window_bytes(1).await, Ok(5));
}

#[tokio::test]
async fn an_item_that_can_not_be_read_is_its_handlers_failure() {
    let bus = Bus::in_memory();
    let (counter, _, _serving) = serve(&bus).await;
    let client = ServiceClient::new(&bus, ImportsClient::CONTRACT);
    let arguments = std::collections::BTreeMap::from([("from", 0)]);
    let texts = stream::iter(["no number".to_owned()]);
    let call = client.feed::<_, _, Result<u64, String>>(0, &arguments, texts);
    let error = call.await.unwrap_err();
    assert!(matches!(error, CallError::Handler(_)));
    counter.fails_with(FailureKind::BadRequest).await;
}

#[tokio::test]
async fn a_plain_call_of_a_method_with_a_stream_is_refused() {
    let bus = Bus::in_memory();
    let (counter, _, _serving) = serve(&bus).await;
    let client = ServiceClient::new(&bus, ImportsClient::CONTRACT);
    let arguments = std::collections::BTreeMap::from([("from", 0)]);
    let call = || client.call::<_, Result<u64, String>>(0, &arguments);
    let error = call().await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::BadRequest));
    assert!(error.to_string().contains("x-replybus-stream"), "{error}");
    // Of one that nobody waits for it is told by a dead letter.
    call().send().await.unwrap();
    eventually("it is a dead letter", || async {
        let dead = bus.inspect("imports.requests.dead").await.unwrap();
        dead.is_some_and(|dead| dead.waiting == 1)
    })
    .await;
    assert_eq!(counter.begun(), 0);
}

#[tokio::test]
async fn a_key_stands_for_the_other_arguments_and_answers_without_the_stream() {
    let bus = Bus::in_memory();
    let (counter, client, _serving) = serve(&bus).await;
    let first = client.count(0, stream::iter(0..9)).idempotency_key("one");
    assert_eq!(first.await, Ok(9));
    let numbers = Numbers::new();
    let again = client.count(0, numbers.below(5)).idempotency_key("one");
    assert_eq!(again.await, Ok(9));
    assert_eq!((counter.begun(), numbers.taken()), (1, 0));
    let other = client.count(1, stream::iter(1..3)).idempotency_key("one");
    assert_eq!(kind_of(other.await), FailureKind::KeyConflict);
}

/// A query may be run twice, and one of the runs has the stream.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_made_twice_at_once_is_begun_once() {
    let bus = Bus::in_memory();
    let (counter, client, _serving) = serve(&bus).await;
    let client = client.layer(RetryLayer::new().hedge_after(Duration::ZERO));
    let numbers = stream::iter(0..30).then(async |number| {
        sleep(Duration::from_secs(1)).await;
        number
    });
    assert_eq!(client.ask(numbers.boxed()).await, Ok(30));
    assert_eq!(counter.begun(), 1);
    // The other has been told, and holds nothing up.
    timeout(Duration::from_secs(1), bus.close(Duration::from_secs(60)))
        .await
        .unwrap();
}

#[tokio::test]
async fn streams_are_bounded_in_number() {
    let bus = Bus::in_memory();
    let nobody = bus.serve(ImportsServer::new(Counter::default()));
    let _serving = nobody.concurrency(1_024).prefetch(1_024).await.unwrap();
    let client = ImportsClient::new(&bus);
    let mut calls = Vec::new();
    for _ in 0..limits::STREAMS_MAX {
        let mut call = client.none(stream::pending()).into_future();
        assert!((&mut call).now_or_never().is_none());
        calls.push(call);
    }
    let one_more = client.none(stream::pending()).await;
    assert_eq!(kind_of(one_more), FailureKind::Overloaded);
    drop(calls);
    assert_eq!(client.count(0, stream::iter(0..3)).await, Ok(3));
}
