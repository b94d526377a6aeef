//! Answers that are streams of items.

use super::{
    between::{Between, Hook},
    lossy::{Appended, lossy},
};
use futures_util::{StreamExt, stream};
use replybus::{
    Bus, Bytes, CallError, CallId, ContentType, Context, FailureKind, Never,
    client::{RetryLayer, ServiceClient},
    contract::Priority,
    limits,
    message::{Message, Properties, Text},
    queue_handler,
    reply::{Arrivals, ReplyBackend, memory::MemoryReplies},
    server::Serving,
    stream::{Items, Streaming},
    transport::{
        Outgoing, QueueSpec, Receipt, Source, Transport,
        memory::{MemoryBroker, MemoryTransport},
    },
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
use tokio::time::{Instant, timeout};

#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[error("broken after {after} lines")]
pub(crate) struct Broken {
    after: u64,
}

#[queue_handler("lines.requests", timeout = "10s")]
pub(crate) trait Lines {
    /// So many lines.
    #[stream]
    async fn lines(&self, count: u64) -> Result<Items<String, Broken>, Broken>;

    /// So many lines, and then an error.
    #[stream]
    async fn broken(&self, after: u64) -> Result<Items<String, Broken>, Broken>;

    /// So many lines, and then a panic.
    #[stream]
    async fn panicking(&self, after: u64) -> Result<Items<String, Broken>, Broken>;

    /// Lines, and then no more and no end.
    #[stream]
    async fn endless(&self, count: u64) -> Result<Items<String, Broken>, Broken>;

    /// The metadata that the stream sees, and whether it has a deadline.
    #[stream(timeout = "1s")]
    async fn seen(&self) -> Result<Items<Seen, Never>, Never>;

    /// A line each second.
    #[stream]
    async fn slow(&self, count: u64) -> Result<Items<u64, Never>, Never>;

    #[query]
    async fn ask(&self) -> Result<u32, Never>;
}

/// The user in the metadata of a call, and whether it has a deadline.
type Seen = (Option<String>, bool);

/// Counts what was taken from its streams, and which of them were dropped.
#[derive(Clone, Default)]
pub(crate) struct Files {
    taken: Arc<AtomicU64>,
    dropped: Arc<AtomicU64>,
}

struct Drops(Arc<AtomicU64>);

impl Drop for Drops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn line(number: u64) -> String {
    format!("line {number:091}")
}

impl Files {
    /// 100 bytes of MessagePack and their length make 104 a line.
    fn some(&self, count: u64) -> impl stream::Stream<Item = Result<String, Broken>> + use<> {
        let (taken, drops) = (self.taken.clone(), Drops(self.dropped.clone()));
        stream::iter(0..count).map(move |number| {
            let _ = &drops;
            taken.fetch_add(1, Ordering::SeqCst);
            Ok(line(number))
        })
    }

    fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }

    async fn drops_one(&self) {
        eventually("the handler's stream is dropped", || async {
            self.dropped.load(Ordering::SeqCst) == 1
        })
        .await;
    }
}

impl Lines for Files {
    async fn lines(&self, count: u64) -> Result<Items<String, Broken>, Broken> {
        if count == 0 {
            return Err(Broken { after: 0 });
        }
        Ok(Items::new(self.some(count)))
    }

    async fn broken(&self, after: u64) -> Result<Items<String, Broken>, Broken> {
        let end = stream::iter([Err(Broken { after }), Ok("never".to_owned())]);
        Ok(Items::new(self.some(after).chain(end)))
    }

    async fn panicking(&self, after: u64) -> Result<Items<String, Broken>, Broken> {
        let end = stream::iter([()]).map(|()| panic!("on purpose"));
        Ok(Items::new(self.some(after).chain(end)))
    }

    async fn endless(&self, count: u64) -> Result<Items<String, Broken>, Broken> {
        Ok(Items::new(self.some(count).chain(stream::pending())))
    }

    async fn seen(&self) -> Result<Items<Seen, Never>, Never> {
        Ok(Items::new(stream::once(async {
            let context = Context::current();
            let user = context.metadata().get("user").map(str::to_owned);
            Ok((user, context.deadline().is_some()))
        })))
    }

    async fn slow(&self, count: u64) -> Result<Items<u64, Never>, Never> {
        Ok(Items::new(stream::iter(0..count).then(async |number| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(number)
        })))
    }

    async fn ask(&self) -> Result<u32, Never> {
        Ok(7)
    }
}

pub(crate) async fn serve(bus: &Bus) -> (Files, LinesClient, Serving) {
    let files = Files::default();
    let serving = bus.serve(LinesServer::new(files.clone())).await.unwrap();
    (files, LinesClient::new(bus), serving)
}

/// Reads a stream to its end: how many lines came, each in its place, and its error.
pub(crate) async fn read_all(
    mut lines: Streaming<String, Broken>,
) -> (u64, Option<CallError<Broken>>) {
    let mut count = 0;
    while let Some(next) = lines.next().await {
        match next {
            Ok(text) => assert_eq!(text, line(count)),
            Err(error) => {
                assert!(lines.next().await.is_none());
                return (count, Some(error));
            }
        }
        count += 1;
    }
    assert!(lines.next().await.is_none());
    (count, None)
}

#[tokio::test]
async fn items_come_in_order_to_the_end() {
    let bus = Bus::in_memory();
    let (_, client, serving) = serve(&bus).await;
    for client in [client.clone(), client.with_content_type(ContentType::Json)] {
        for count in [1, 2, 1_000, 50_000] {
            let lines = client.lines(count).await.unwrap();
            assert_eq!(read_all(lines).await, (count, None));
        }
        let mut two = [
            client.lines(3_000).await.unwrap(),
            client.lines(2_000).await.unwrap(),
        ];
        assert_eq!(two[0].next().await.unwrap().unwrap(), line(0));
        let [one, other] = two;
        assert_eq!(read_all(other).await, (2_000, None));
        let rest: Vec<_> = one.collect().await;
        assert_eq!(rest.len(), 2_999);
        assert_eq!(client.ask().await, Ok(7));
    }
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_error_is_in_place_of_the_stream_or_its_end() {
    let bus = Bus::in_memory();
    let (files, client, _serving) = serve(&bus).await;
    let refused = client.lines(0).await.unwrap_err();
    assert_eq!(refused, CallError::Handler(Broken { after: 0 }));
    for after in [0, 5, 2_000] {
        let lines = client.broken(after).await.unwrap();
        let error = CallError::Handler(Broken { after });
        assert_eq!(read_all(lines).await, (after, Some(error)));
    }
    for after in [0, 5] {
        let lines = client.panicking(after).await.unwrap();
        let (count, error) = read_all(lines).await;
        assert_eq!(count, after);
        let error = error.unwrap();
        assert_eq!(error.kind(), Some(FailureKind::Panicked));
        assert!(error.to_string().contains("Lines.panicking"), "{error}");
    }
    eventually("every stream is dropped", || async {
        files.dropped.load(Ordering::SeqCst) == 5
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_stops_its_producer_within_the_window() {
    let bus = Bus::in_memory();
    let (files, client, _serving) = serve(&bus).await;
    let mut lines = client.lines(100_000).window_bytes(10_400).await.unwrap();
    for read in 1..=500_u64 {
        assert_eq!(lines.next().await.unwrap().unwrap(), line(read - 1));
        if read % 100 == 0 {
            // However long the reader takes.
            tokio::time::sleep(Duration::from_secs(100)).await;
            let ahead = files.taken() - read;
            assert!(ahead <= 101, "{ahead} items ahead");
        }
    }
    assert!(files.taken() >= 500 + 49, "half a window is ahead");
    for read in 500..100_000 {
        assert_eq!(lines.next().await.unwrap().unwrap(), line(read));
    }
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn the_smallest_window_is_an_item_at_a_time() {
    let bus = Bus::in_memory();
    let (files, client, _serving) = serve(&bus).await;
    let mut lines = client.lines(100).window_bytes(0).await.unwrap();
    for read in 0..100 {
        assert_eq!(lines.next().await.unwrap().unwrap(), line(read));
        assert!(files.taken() <= read + 2);
    }
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn a_reader_that_is_dropped_ends_the_producer() {
    let bus = Bus::in_memory();
    let (files, client, _serving) = serve(&bus).await;
    let mut lines = client.endless(10).await.unwrap();
    assert_eq!(lines.next().await.unwrap().unwrap(), line(0));
    drop(lines);
    files.drops_one().await;
}

#[tokio::test]
async fn a_stream_has_the_context_of_its_call_and_no_deadline() {
    let bus = Bus::in_memory();
    let (_, client, _serving) = serve(&bus).await;
    let mut seen = client.seen().metadata("user", "Ada").await.unwrap();
    let expected = (Some("Ada".to_owned()), false);
    assert_eq!(seen.next().await.unwrap().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_goes_on_for_long_after_its_deadline() {
    let bus = Bus::in_memory();
    let (_, client, _serving) = serve(&bus).await;
    let mut numbers = client.slow(500).await.unwrap();
    let started = Instant::now();
    for number in 0..500 {
        assert_eq!(numbers.next().await.unwrap().unwrap(), number);
    }
    assert!(numbers.next().await.is_none());
    assert!(started.elapsed() >= Duration::from_secs(499));
}

#[tokio::test]
async fn a_service_that_stops_ends_its_streams() {
    let bus = Bus::in_memory();
    let (files, client, serving) = serve(&bus).await;
    let mut lines = client.endless(1).await.unwrap();
    assert_eq!(lines.next().await.unwrap().unwrap(), line(0));
    serving.shutdown().await.unwrap();
    let error = lines.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Interrupted));
    assert!(error.to_string().contains("its service stops"), "{error}");
    files.drops_one().await;
}

#[tokio::test]
async fn a_bus_that_is_closed_ends_what_it_reads() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let bus = async || {
        Bus::connect(Arc::new(broker.connect()), replies.clone())
            .await
            .unwrap()
    };
    let (worker, caller) = (bus().await, bus().await);
    let (_, _, _serving) = serve(&worker).await;
    let mut lines = LinesClient::new(&caller).endless(0).await.unwrap();
    caller.close(Duration::from_secs(1)).await;
    let error = lines.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Disconnected));
}

#[tokio::test]
async fn streams_are_bounded_in_number() {
    let bus = Bus::in_memory();
    let (_, client, _serving) = serve(&bus).await;
    let mut open = Vec::new();
    for _ in 0..limits::STREAMS_MAX {
        open.push(client.endless(0).await.unwrap());
    }
    let refused = client.endless(0).await.unwrap_err();
    assert_eq!(refused.kind(), Some(FailureKind::Overloaded));
    assert!(!refused.may_have_executed());
    open.pop();
    client.endless(0).await.unwrap();
}

#[tokio::test]
async fn a_plain_call_of_a_stream_is_refused() {
    let bus = Bus::in_memory();
    let (files, _, _serving) = serve(&bus).await;
    let client = ServiceClient::new(&bus, LinesClient::CONTRACT);
    let arguments = std::collections::BTreeMap::from([("count", 3)]);
    let plain = client.call::<_, Result<String, Broken>>(0, &arguments);
    let refused = plain.await.unwrap_err();
    assert_eq!(refused.kind(), Some(FailureKind::BadRequest));
    assert!(
        refused.to_string().contains("x-replybus-stream"),
        "{refused}"
    );
    assert_eq!(files.taken(), 0);
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
        // Each with a part of the frames, in no order.
        let bus = lossy(|at| {
            let mixed = at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            fates[usize::try_from(mixed).unwrap() % fates.len()]
        })
        .await;
        let (_, client, _serving) = serve(&bus).await;
        // Frames of a few lines each.
        let lines = client.lines(500).window_bytes(1_000).await.unwrap();
        assert_eq!(read_all(lines).await, (500, None), "{fates:?}");
        let lines = client.broken(3).await.unwrap();
        let error = CallError::Handler(Broken { after: 3 });
        assert_eq!(read_all(lines).await, (3, Some(error)), "{fates:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_is_not_heard_for_long_is_taken_for_dead() {
    // Signs of life are lost as well.
    let bus = lossy(|at| match at {
        0..3 => Appended::Well,
        _ => Appended::Lost,
    })
    .await;
    let (files, client, _serving) = serve(&bus).await;
    let started = Instant::now();
    let lines = client.lines(100_000).window_bytes(1_040).await.unwrap();
    let (count, error) = read_all(lines).await;
    assert!((1..100).contains(&count), "{count}");
    assert_eq!(error.unwrap().kind(), Some(FailureKind::Interrupted));
    let took = started.elapsed();
    assert!(
        took >= limits::STREAM_SILENCE_MAX && took < 2 * limits::STREAM_SILENCE_MAX,
        "{took:?}"
    );
    files.drops_one().await;
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_ends_no_stream() {
    let since = Arc::new(Mutex::new(None::<Instant>));
    let outage = Arc::clone(&since);
    let bus = lossy(move |at| {
        let mut outage = outage.lock().unwrap();
        if at == 4 {
            *outage = Some(Instant::now());
        }
        match *outage {
            Some(since) if since.elapsed() < Duration::from_secs(15) => Appended::Refused,
            _ => Appended::Well,
        }
    })
    .await;
    let (_, client, _serving) = serve(&bus).await;
    let lines = client.lines(2_000).window_bytes(10_000).await.unwrap();
    assert_eq!(read_all(lines).await, (2_000, None));
    assert!(since.lock().unwrap().is_some());
}

/// A request of a stream, as somebody sends it who then says nothing.
fn request(inbox: &str, window: &str) -> Message {
    let mut body = vec![0x81, 0xa5];
    body.extend(*b"count");
    body.extend([0xcd, 0xff, 0xff]);
    Message {
        routing_key: "lines.requests".into(),
        properties: Properties {
            kind: Some("lines".into()),
            correlation_id: Some(CallId::new().to_string().into()),
            reply_to: Some(inbox.into()),
            expiration: Some(Duration::from_secs(5)),
            headers: [("x-replybus-stream".into(), window.into())].into(),
            ..Properties::default()
        },
        body: body.into(),
        ..Message::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_producer_whose_reader_says_nothing_ends() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let bus = Bus::connect(Arc::new(broker.connect()), replies.clone())
        .await
        .unwrap();
    let (files, _, _serving) = serve(&bus).await;
    let nobody: Arc<dyn Arrivals> = Arc::new(Nobody);
    let store = Box::new(replies).open("", nobody).await.unwrap();
    let started = Instant::now();
    let transport = Arc::new(broker.connect());
    transport.publish(Outgoing::new(request(store.inbox(), "1000")));
    files.drops_one().await;
    let took = started.elapsed();
    assert!(took >= limits::STREAM_READER_SILENCE_MAX, "{took:?}");
    assert!(files.taken() <= 11, "{}", files.taken());
    // Nothing of it holds up the end.
    timeout(Duration::from_secs(5), bus.close(Duration::from_secs(60)))
        .await
        .unwrap();
}

struct Nobody;

impl Arrivals for Nobody {
    fn arrived(&self, _: CallId, _: Bytes) {}
    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_window_that_is_none_is_a_bad_request() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let bus = Bus::connect(Arc::new(broker.connect()), replies.clone())
        .await
        .unwrap();
    let (files, client, _serving) = serve(&bus).await;
    let nobody: Arc<dyn Arrivals> = Arc::new(Nobody);
    let store = Box::new(replies).open("", nobody).await.unwrap();
    let transport = Arc::new(broker.connect());
    for window in ["", "-1", "many", "99999999999"] {
        transport.publish(Outgoing::new(request(store.inbox(), window)));
    }
    assert_eq!(client.ask().await, Ok(7));
    assert_eq!(read_all(client.lines(5).await.unwrap()).await, (5, None));
    assert_eq!(files.taken(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_opening_of_a_stream_waits_for_its_service() {
    let bus = Bus::in_memory();
    let (_, client, serving) = serve(&bus).await;
    serving.shutdown().await.unwrap();
    let lines = client.lines(2).priority(Priority::High).wait_for_service();
    let opening = tokio::spawn(lines.into_future());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!opening.is_finished());
    let (_, _, _serving) = serve(&bus).await;
    assert_eq!(read_all(opening.await.unwrap().unwrap()).await, (2, None));
}

/// Keeps the credits that are published.
#[derive(Debug, Default)]
struct Watched {
    credits: Mutex<Vec<Message>>,
}

impl Hook for Watched {
    fn publish(&self, outgoing: Outgoing, on: &MemoryTransport) -> Receipt {
        if outgoing.message.properties.kind.as_deref() == Some("stream") {
            let credit = outgoing.message.clone();
            self.credits.lock().unwrap().push(credit);
        }
        on.publish(outgoing)
    }
}

#[tokio::test(start_paused = true)]
async fn forged_frames_and_credits_do_no_harm() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let watched = Between::on(&broker, Watched::default());
    let bus = Bus::connect(Arc::clone(&watched), replies.clone())
        .await
        .unwrap();
    let (_, client, _serving) = serve(&bus).await;
    let lines = client.lines(5_000).window_bytes(10_000).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut lines = lines;
        let mut count = 0;
        while let Some(next) = lines.next().await {
            assert_eq!(next.unwrap(), line(count));
            count += 1;
            if count % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        count
    });
    eventually("a credit is given", || async {
        !watched.credits.lock().unwrap().is_empty()
    })
    .await;
    let credit = watched.credits.lock().unwrap()[0].clone();
    let id = CallId::from_bytes(credit.body[..16].try_into().unwrap());
    let producer: [u8; 4] = credit.body[16..20].try_into().unwrap();
    let nobody: Arc<dyn Arrivals> = Arc::new(Nobody);
    let store = Box::new(replies).open("", nobody).await.unwrap();
    let inbox = inbox_of(&bus, &broker).await;
    // Frames of another producer, of none, cut short, far ahead, of no kind.
    let head = |kind: u8, producer: [u8; 4], first: u64| {
        let mut frame = vec![0xc1, kind];
        frame.extend(producer);
        frame.extend(first.to_be_bytes());
        frame
    };
    let mut cut = head(0, producer, 0);
    cut.extend([0, 0, 0, 9, 1]);
    for frame in [
        vec![],
        vec![0xc1],
        head(1, [9; 4], 0),
        head(9, producer, 0),
        head(1, producer, u64::MAX),
        cut,
    ] {
        store.append(&inbox, id, frame.into()).await.unwrap();
    }
    // Credits for what was never sent, for others, of other lengths.
    for body in [
        vec![],
        vec![1; 28],
        vec![1; 29 * 2_000],
        [&credit.body[..20], &u64::MAX.to_be_bytes(), &[0]].concat(),
        [&[7; 16][..], &producer, &[0; 8], &[3]].concat(),
        [&credit.body[..16], &[7; 4], &[0; 8], &[3]].concat(),
    ] {
        let mut forged = credit.clone();
        forged.body = body.into();
        watched.publish(Outgoing::new(forged));
    }
    assert_eq!(reading.await.unwrap(), 5_000);
}

/// The inbox of a bus: where a call that it makes wants its reply.
async fn inbox_of(bus: &Bus, broker: &MemoryBroker) -> Text {
    let mut deliveries = broker
        .connect()
        .consume(Source::new(QueueSpec::new("asked.requests"), 1))
        .await
        .unwrap();
    let asked = LinesClient::new(bus).on_queue("asked.requests");
    let asking = tokio::spawn(async move { asked.ask().await });
    let delivery = deliveries.next().await.unwrap();
    asking.abort();
    delivery.message.properties.reply_to.clone().unwrap()
}

#[tokio::test]
async fn a_call_that_is_dropped_before_its_stream_is_open_is_cancelled() {
    #[queue_handler("stuck.requests", timeout = "10s")]
    trait Stuck {
        #[stream]
        async fn never(&self) -> Result<Items<(), Never>, Never>;
    }
    struct Waits(Arc<AtomicU64>, Arc<AtomicU64>);
    impl Stuck for Waits {
        async fn never(&self) -> Result<Items<(), Never>, Never> {
            let _drops = Drops(self.1.clone());
            self.0.fetch_add(1, Ordering::SeqCst);
            pending().await
        }
    }
    let bus = Bus::in_memory();
    let [began, dropped] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let waits = Waits(began.clone(), dropped.clone());
    let _serving = bus.serve(StuckServer::new(waits)).await.unwrap();
    let client = StuckClient::new(&bus);
    let call = tokio::spawn(async move { client.never().await.map(drop) });
    eventually("it began", || async { began.load(Ordering::SeqCst) == 1 }).await;
    call.abort();
    eventually("it is dropped", || async {
        dropped.load(Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_is_dropped_before_it_reads_ends_the_producer() {
    let bus = Bus::in_memory();
    let (files, client, _serving) = serve(&bus).await;
    drop(client.endless(10).await.unwrap());
    files.drops_one().await;
}

/// Each copy of its call has a producer, of which one is read.
#[tokio::test(start_paused = true)]
async fn a_stream_that_was_asked_for_twice_is_read_to_its_end() {
    let bus = Bus::in_memory();
    let (_files, client, _serving) = serve(&bus).await;
    let client = client.layer(RetryLayer::new().hedge_after(Duration::ZERO));
    let mut slow = client
        .slow(30)
        .timeout(Duration::from_secs(5))
        .await
        .unwrap();
    for number in 0..30 {
        let item = timeout(Duration::from_secs(3), slow.next()).await;
        assert_eq!(item.unwrap().unwrap().unwrap(), number);
    }
    assert!(slow.next().await.is_none());
}
