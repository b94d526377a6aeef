//! Calls that leave together: which do, what becomes of each, and what becomes of those that a
//! service does not take so.

use crate::{
    bad_input::{Nobody, request},
    bank::{AccountsClient, AccountsServer, Ledger, Refused},
    between::Between,
    dead_letters::{dead, kept, next},
    faulty_store::{Faults, FaultyReplies},
    paced::Paced,
};
use replybus::{
    Bus, CallError, CallId, ContentType, FailureKind, Instant,
    error::{Fault, FaultCode},
    limits::{ATTEMPTS_MAX, BUNDLE_ENTRIES_MAX, BUNDLES_STOPPED_FOR},
    message::Message,
    reply::{Reply, ReplyBackend, ReplyStore, ReplyTarget, memory::MemoryReplies},
    server::Serving,
    transport::{
        Deliveries, Delivery, Outgoing, QueueSpec, Settled, Source, Transport, Verdict,
        memory::MemoryBroker,
    },
    wire::ReplyFrame,
};
use replybus_testkit::wait::eventually;
use std::{
    future::IntoFuture,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

const QUEUE: &str = "account.requests";
const BUNDLE: &str = "replybus/bundle";

type Called<T> = JoinHandle<Result<T, CallError<Refused>>>;

/// A caller whose messages are out when the test says so, and a worker.
struct Stage {
    broker: MemoryBroker,
    replies: MemoryReplies,
    paced: Arc<Between<Paced>>,
    accounts: AccountsClient,
    ledger: Ledger,
    /// For as long as what they serve.
    buses: Mutex<Vec<Bus>>,
}

impl Stage {
    async fn open() -> Self {
        let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
        let paced = Paced::on(&broker);
        let bus = Bus::connect(Arc::clone(&paced), replies.clone());
        let bus = bus.await.unwrap();
        Self {
            accounts: AccountsClient::new(&bus),
            ledger: Ledger::new(),
            broker,
            replies,
            paced,
            buses: Mutex::default(),
        }
    }

    /// A stage whose caller has been answered by a service that takes bundles.
    async fn with_service() -> (Self, Serving) {
        let stage = Self::open().await;
        let serving = stage.serve().await;
        stage.learns().await;
        (stage, serving)
    }

    async fn serve(&self) -> Serving {
        let bus = self.bus().await;
        let service = bus.serve(AccountsServer::new(self.ledger.clone()));
        service.drain_within(Duration::ZERO).await.unwrap()
    }

    async fn bus(&self) -> Bus {
        let bus = Bus::connect(self.broker.clone(), self.replies.clone());
        let bus = bus.await.unwrap();
        self.buses.lock().unwrap().push(bus.clone());
        bus
    }

    /// The caller learns that the service takes bundles of both kinds, and is fast: by the clock
    /// of the test, whose handlers take no time unless they sleep.
    async fn learns(&self) {
        assert_eq!(self.accounts.balance("a".into(), 0).await.unwrap(), 0);
        self.accounts.post(0).await.unwrap();
        self.paced.depart();
        self.paced.take_written();
    }

    fn ask(&self, amount: i64) -> Called<i64> {
        tokio::spawn(self.accounts.balance("a".into(), amount).into_future())
    }

    /// Asks for each of these amounts: the first is being written, the others wait for it.
    async fn ask_all(&self, amounts: impl IntoIterator<Item = i64>) -> Vec<Called<i64>> {
        let called = amounts.into_iter().map(|amount| self.ask(amount)).collect();
        settle().await;
        assert_eq!(self.kinds(), ["balance"]);
        called
    }

    /// The kinds of messages that were written since this was last asked.
    fn kinds(&self) -> Vec<String> {
        let written = self.paced.take_written().into_iter();
        written
            .map(|message| message.properties.kind.unwrap().into())
            .collect()
    }

    /// Lets what is written be out, until nothing waits for it.
    async fn depart_all(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        loop {
            self.paced.depart();
            settle().await;
            match self.kinds() {
                none if none.is_empty() => return kinds,
                more => kinds.extend(more),
            }
        }
    }

    async fn publish(&self, message: Message) {
        let mut receipt = self.broker.connect().publish(Outgoing::new(message));
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }
}

/// Lets all tasks come to where they wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A service that is played by the test, as one that knows no bundles.
struct OldService {
    requests: Box<dyn Deliveries>,
    replies: Arc<dyn ReplyStore>,
}

impl OldService {
    async fn of(stage: &Stage) -> Self {
        let transport = stage.broker.connect();
        let requests = transport.consume(Source::new(QueueSpec::new(QUEUE), 64));
        let requests = requests.await.unwrap();
        // Its deliveries outlive the connection.
        std::mem::forget(transport);
        let replies = Box::new(stage.replies.clone());
        Self {
            requests,
            replies: replies.open("", Arc::new(Nobody)).await.unwrap(),
        }
    }

    async fn next(&mut self) -> Delivery {
        self.requests.next().await.unwrap()
    }

    /// Takes the next one off the queue, and tells nobody.
    async fn swallows(&mut self) -> Message {
        let delivery = self.next().await;
        delivery.settler.settle(Settled::Ack);
        delivery.message
    }

    async fn answer(&self, delivery: Delivery, frame: replybus::Bytes) {
        let properties = &delivery.message.properties;
        let id = properties.correlation_id.as_ref().unwrap().parse().unwrap();
        let inbox = properties.reply_to.clone().unwrap();
        let reply = Reply::new(id, ReplyTarget::Inbox(inbox), frame);
        self.replies.store(reply).await.unwrap();
        delivery.settler.settle(Settled::Ack);
    }

    /// Answers the next request, which must be a single one, and returns it.
    async fn serves(&mut self, value: i64) -> Message {
        let delivery = self.next().await;
        let message = delivery.message.clone();
        assert_eq!(message.properties.kind.as_deref(), Some("balance"));
        let frame = ReplyFrame::encode_ok(ContentType::MessagePack, &value).unwrap();
        self.answer(delivery, frame).await;
        message
    }

    /// Answers a bundle as a service does that has no such method.
    async fn refuses_bundle(&mut self, may_have_executed: bool) {
        let delivery = self.next().await;
        assert_eq!(delivery.message.properties.kind.as_deref(), Some(BUNDLE));
        let mut fault = Fault::new(FaultCode::UnknownMethod, "no such method");
        fault.may_have_executed = may_have_executed;
        let frame = ReplyFrame::encode_fault(ContentType::MessagePack, &fault);
        self.answer(delivery, frame).await;
    }
}

async fn amounts(called: Vec<Called<i64>>) -> Vec<i64> {
    let mut amounts = Vec::new();
    for call in called {
        amounts.push(call.await.unwrap().unwrap());
    }
    amounts
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_a_write_leave_together_and_each_is_answered() {
    let (stage, _serving) = Stage::with_service().await;
    let most = i64::try_from(BUNDLE_ENTRIES_MAX).unwrap();
    let called = stage.ask_all(0..2 * most).await;
    assert_eq!(stage.depart_all().await, [BUNDLE, BUNDLE]);
    let expected: Vec<i64> = (0..2 * most).collect();
    assert_eq!(amounts(called).await, expected);
    let state = stage.bus().await.inspect(QUEUE).await.unwrap().unwrap();
    assert_eq!(state.waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn commands_leave_together_and_are_run_once() {
    let (stage, _serving) = Stage::with_service().await;
    let before = stage.ledger.runs();
    let call = |key: i64| {
        let post = stage
            .accounts
            .post(1)
            .idempotency_key(format!("{}", key / 2));
        tokio::spawn(post.into_future())
    };
    let called: Vec<_> = (0..8).map(call).collect();
    settle().await;
    stage.depart_all().await;
    let mut runs = Vec::new();
    for call in called {
        runs.push(call.await.unwrap().unwrap());
    }
    assert_eq!(stage.ledger.runs() - before, 4);
    for pair in runs.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_call_is_a_message_of_its_own() {
    let (stage, _serving) = Stage::with_service().await;
    for amount in 0..3 {
        let called = stage.ask_all([amount]).await;
        stage.paced.depart();
        assert_eq!(amounts(called).await, [amount]);
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_and_encodings_do_not_mix() {
    let (stage, _serving) = Stage::with_service().await;
    let json = stage.accounts.clone().with_content_type(ContentType::Json);
    let called = stage.ask_all([1, 2]).await;
    let post = tokio::spawn(stage.accounts.post(1).into_future());
    let other = tokio::spawn(json.balance("a".into(), 3).into_future());
    settle().await;
    // Nothing of their own is being written.
    assert_eq!(stage.kinds(), ["post", "balance"]);
    stage.depart_all().await;
    assert_eq!(amounts(called).await, [1, 2]);
    post.await.unwrap().unwrap();
    assert_eq!(other.await.unwrap().unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_together_before_a_service_said_that_it_takes_it() {
    let stage = Stage::open().await;
    let mut old = OldService::of(&stage).await;
    let called: Vec<_> = (0..4).map(|amount| stage.ask(amount)).collect();
    for amount in 0..4 {
        old.serves(amount).await;
    }
    amounts(called).await;
    // Nor after one that does not.
    let called: Vec<_> = (0..4).map(|amount| stage.ask(amount)).collect();
    for amount in 0..4 {
        old.serves(amount).await;
    }
    amounts(called).await;
    assert_eq!(stage.paced.take_written().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_an_old_service_stops_it_for_a_while() {
    let (stage, serving) = Stage::with_service().await;
    serving.shutdown().await.unwrap();
    let mut old = OldService::of(&stage).await;
    let called = stage.ask_all([5]).await;
    old.serves(5).await;
    amounts(called).await;
    stage.paced.depart();
    let called: Vec<_> = (0..4).map(|amount| stage.ask(amount)).collect();
    for amount in 0..4 {
        old.serves(amount).await;
    }
    amounts(called).await;
    assert_eq!(stage.paced.take_written().len(), 0);
    drop(old);
    sleep(BUNDLES_STOPPED_FOR).await;
    let _serving = stage.serve().await;
    let called = stage.ask_all(0..4).await;
    assert_eq!(stage.depart_all().await, [BUNDLE]);
    amounts(called).await;
}

#[tokio::test(start_paused = true)]
async fn an_old_service_that_gets_a_bundle_gets_its_calls_one_by_one() {
    for may_have_executed in [false, true] {
        let (stage, serving) = Stage::with_service().await;
        serving.shutdown().await.unwrap();
        let mut old = OldService::of(&stage).await;
        let called = stage.ask_all(0..4).await;
        stage.paced.depart();
        old.serves(0).await;
        old.refuses_bundle(may_have_executed).await;
        for amount in 1..4 {
            let again = old.serves(amount).await;
            let mark = again.properties.header("repeated");
            assert_eq!(mark, may_have_executed.then_some("true"));
        }
        assert_eq!(amounts(called).await, [0, 1, 2, 3]);
        // And no further one.
        stage.paced.take_written();
        let called: Vec<_> = (0..2).map(|amount| stage.ask(amount)).collect();
        for amount in 0..2 {
            old.serves(amount).await;
        }
        amounts(called).await;
        assert_eq!(stage.paced.take_written().len(), 0);
    }
}

/// A refusal of the single copy says that nothing was run, and the caller is told so only if the
/// bundle was not run either.
#[tokio::test(start_paused = true)]
async fn what_a_bundle_may_have_done_is_not_forgotten() {
    for may_have_executed in [false, true] {
        let (stage, serving) = Stage::with_service().await;
        serving.shutdown().await.unwrap();
        let mut old = OldService::of(&stage).await;
        let called = stage.ask_all(0..2).await;
        stage.paced.depart();
        old.serves(0).await;
        old.refuses_bundle(may_have_executed).await;
        let delivery = old.next().await;
        let fault = Fault::new(FaultCode::Overloaded, "not now");
        let frame = ReplyFrame::encode_fault(ContentType::MessagePack, &fault);
        old.answer(delivery, frame).await;
        let error = called.into_iter().next_back().unwrap();
        let error = error.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), Some(FailureKind::Overloaded));
        assert_eq!(error.may_have_executed(), may_have_executed);
    }
}

#[tokio::test(start_paused = true)]
async fn each_has_the_verdict_on_the_message() {
    for (verdict, kind) in [
        (Verdict::Unroutable, FailureKind::Unroutable),
        (Verdict::NotWritten, FailureKind::Disconnected),
    ] {
        let (stage, serving) = Stage::with_service().await;
        serving.shutdown().await.unwrap();
        let called = stage.ask_all(0..4).await;
        stage.paced.depart();
        settle().await;
        assert_eq!(stage.kinds(), [BUNDLE]);
        stage.paced.say(&verdict);
        for call in called {
            let error = call.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), Some(kind));
            assert!(!error.may_have_executed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_with_its_connection_is_sent_again_one_by_one() {
    let (stage, serving) = Stage::with_service().await;
    serving.shutdown().await.unwrap();
    let called = stage.ask_all(0..4).await;
    stage.paced.depart();
    settle().await;
    stage.paced.say(&Verdict::Lost);
    settle().await;
    let mut old = OldService::of(&stage).await;
    // The first copies did arrive.
    assert_eq!(old.swallows().await.properties.header("repeated"), None);
    assert_eq!(
        old.swallows().await.properties.kind.as_deref(),
        Some(BUNDLE)
    );
    for amount in 0..4 {
        let again = old.serves(amount).await;
        assert_eq!(again.properties.header("repeated"), Some("true"));
    }
    assert_eq!(amounts(called).await, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn what_the_broker_does_not_take_together_is_tried_one_by_one() {
    for verdict in [
        Verdict::Denied("no".into()),
        Verdict::Unacceptable("too large".into()),
    ] {
        let (stage, serving) = Stage::with_service().await;
        serving.shutdown().await.unwrap();
        let called = stage.ask_all(0..4).await;
        let mut old = OldService::of(&stage).await;
        old.serves(0).await;
        stage.paced.depart();
        // What a broker would not have taken.
        old.swallows().await;
        stage.paced.say(&verdict);
        for amount in 1..4 {
            let again = old.serves(amount).await;
            assert_eq!(again.properties.header("repeated"), None);
        }
        assert_eq!(amounts(called).await, [0, 1, 2, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_connection_each_waits_for_one_by_itself() {
    let (stage, serving) = Stage::with_service().await;
    serving.shutdown().await.unwrap();
    let called = stage.ask_all(0..4).await;
    stage.paced.shut();
    stage.paced.depart();
    let mut old = OldService::of(&stage).await;
    for amount in 0..4 {
        let single = old.serves(amount).await;
        assert_eq!(single.properties.header("repeated"), None);
    }
    assert_eq!(amounts(called).await, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_can_be_taken_back() {
    let (stage, _serving) = Stage::with_service().await;
    let before = stage.ledger.runs();
    let post = |timeout| stage.accounts.post(1).timeout(timeout).into_future();
    let first = tokio::spawn(post(Duration::from_secs(2)));
    settle().await;
    let dropped = tokio::spawn(post(Duration::from_secs(2)));
    settle().await;
    let late = tokio::spawn(post(Duration::from_millis(100)));
    let third = tokio::spawn(post(Duration::from_secs(2)));
    settle().await;
    let error = late.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::Disconnected));
    assert!(!error.may_have_executed(), "it was never written");
    dropped.abort();
    settle().await;
    stage.depart_all().await;
    first.await.unwrap().unwrap();
    third.await.unwrap().unwrap();
    assert_eq!(stage.ledger.runs() - before, 2);
}

#[tokio::test(start_paused = true)]
async fn one_whose_caller_stands_still_keeps_nobody() {
    let (stage, _serving) = Stage::with_service().await;
    let first = stage.ask_all([0]).await;
    let client = stage.accounts.clone();
    let mut still = Box::pin(client.balance("a".into(), 1).into_future());
    assert!(futures_poll(still.as_mut()));
    let behind = vec![stage.ask(2), stage.ask(3)];
    settle().await;
    // Nobody polls the one in front meanwhile.
    assert_eq!(stage.depart_all().await, [BUNDLE]);
    assert_eq!(amounts(behind).await, [2, 3]);
    assert_eq!(amounts(first).await, [0]);
    assert_eq!(still.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dropped_when_its_message_could_leave_leaves_it_to_the_next() {
    let (stage, _serving) = Stage::with_service().await;
    let mut called = stage.ask_all(0..3).await;
    stage.paced.depart(); // and before it has run:
    called.remove(1).abort();
    assert_eq!(stage.depart_all().await, [BUNDLE]);
    assert_eq!(amounts(called).await, [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_when_the_message_is_out_writes_what_waits() {
    let (stage, _serving) = Stage::with_service().await;
    let mut called = stage.ask_all(0..3).await;
    stage.paced.depart();
    // What is to write them has not run yet.
    let client = stage.accounts.clone();
    let mut last = Box::pin(client.balance("a".into(), 3).into_future());
    assert!(futures_poll(last.as_mut()));
    assert_eq!(stage.kinds(), [BUNDLE]);
    called.push(tokio::spawn(last));
    assert_eq!(amounts(called).await, [0, 1, 2, 3]);
}

/// Polls once; `true` if it is not ready.
fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    future.poll(&mut cx).is_pending()
}

#[tokio::test(start_paused = true)]
async fn each_has_its_own_deadline() {
    let (stage, serving) = Stage::with_service().await;
    serving.shutdown().await.unwrap();
    let ask = |millis| {
        let seen = stage.accounts.balance("a".into(), 1);
        let seen = seen.timeout(Duration::from_millis(millis));
        tokio::spawn(seen.wait_for_service().into_future())
    };
    let first = ask(2_000);
    settle().await;
    let (short, long, far) = (ask(600), ask(1_000), ask(20_000));
    settle().await;
    // What has far more time leaves by itself: its message would outlive the others'.
    assert_eq!(stage.depart_all().await, ["balance", BUNDLE, BUNDLE]);
    let begun = Instant::now();
    let error = short.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    assert!(begun.elapsed() < Duration::from_millis(700));
    // Its service comes too late for it, and in time for the others.
    let _serving = stage.serve().await;
    assert_eq!(long.await.unwrap().unwrap(), 1);
    assert_eq!(far.await.unwrap().unwrap(), 1);
    assert_eq!(first.await.unwrap().unwrap(), 1);
}

/// An entry, as the page about the wire has it.
fn entry(id: CallId, sooner: u32, method: &str, body: &[u8]) -> Vec<u8> {
    let rest = [
        &sooner.to_be_bytes()[..],
        &[0],
        id.as_bytes(),
        &[u8::try_from(method.len()).unwrap()],
        method.as_bytes(),
        &[0],
        body,
    ]
    .concat();
    let length = u32::try_from(rest.len()).unwrap();
    [&length.to_be_bytes()[..], &rest].concat()
}

fn bundle(id: CallId, entries: &[Vec<u8>]) -> Message {
    Message {
        routing_key: QUEUE.into(),
        properties: request(id, BUNDLE),
        body: entries.concat().into(),
        ..Message::default()
    }
}

struct Replies(Arc<dyn ReplyStore>);

impl Replies {
    async fn of(stage: &Stage) -> Self {
        let replies = Box::new(stage.replies.clone());
        Self(replies.open("", Arc::new(Nobody)).await.unwrap())
    }

    /// The code of the fault under the key of a call, or "ok".
    async fn to(&self, id: CallId) -> String {
        loop {
            if let Some(frame) = self.0.fetch(id).await.unwrap() {
                return match ReplyFrame::decode(&frame).unwrap().1 {
                    ReplyFrame::Fault(fault) => fault.code.as_str().to_owned(),
                    ReplyFrame::Ok(_) => "ok".to_owned(),
                    other => panic!("{other:?}"),
                };
            }
            sleep(Duration::from_millis(1)).await;
        }
    }
}

const POST: &[u8] = br#"{"amount":1}"#;

#[tokio::test(start_paused = true)]
async fn a_bad_entry_is_answered_and_kept_and_its_neighbours_are_served() {
    let (stage, _serving) = Stage::with_service().await;
    let replies = Replies::of(&stage).await;
    let [one, bad, two, unknown] = [(); 4].map(|()| CallId::new());
    let mut flags = entry(bad, 0, "post", POST);
    flags[8] = 0x80;
    let nameless = vec![0, 0, 0, 2, 1, 2];
    let entries = [
        entry(one, 0, "post", POST),
        flags,
        nameless,
        entry(unknown, 0, "steal", POST),
        entry(two, 0, "post", POST),
    ];
    stage.publish(bundle(CallId::new(), &entries)).await;
    for (id, code) in [
        (one, "ok"),
        (bad, "bad_request"),
        (unknown, "unknown_method"),
        (two, "ok"),
    ] {
        assert_eq!(replies.to(id).await, code);
    }
    let transport: Arc<dyn Transport> = Arc::new(stage.broker.connect());
    eventually("the bad ones are kept", || async {
        kept(&transport, QUEUE).await == 2
    })
    .await;
    let mut letters = dead(&transport, QUEUE).await;
    for _ in 0..2 {
        let (reason, letter) = next(&mut letters).await;
        assert_eq!(reason, "bad_request");
        assert_eq!(letter.properties.kind.as_deref(), Some(BUNDLE));
    }
    eventually("the bundle is settled", || async {
        let state = transport.inspect(QUEUE).await.unwrap().unwrap();
        state.waiting == 0
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn replies_to_what_came_together_may_go_together() {
    let (stage, serving) = Stage::with_service().await;
    serving.shutdown().await.unwrap();
    let faults = Arc::new(Faults::default());
    let store = FaultyReplies::over(&stage.replies, &faults);
    let bus = Bus::connect(stage.broker.clone(), store).await.unwrap();
    let service = bus.serve(AccountsServer::new(stage.ledger.clone()));
    let _serving = service.drain_within(Duration::ZERO).await.unwrap();
    let replies = Replies::of(&stage).await;
    let groupable = || faults.groupable.load(Ordering::SeqCst);

    let [alone, one, two] = [(); 3].map(|()| CallId::new());
    stage
        .publish(Message {
            routing_key: QUEUE.into(),
            properties: request(alone, "post"),
            body: POST.into(),
            ..Message::default()
        })
        .await;
    assert_eq!(replies.to(alone).await, "ok");
    assert_eq!(groupable(), 0, "its caller may not read groups");
    let entries = [one, two].map(|id| entry(id, 0, "post", POST));
    stage.publish(bundle(CallId::new(), &entries)).await;
    for id in [one, two] {
        assert_eq!(replies.to(id).await, "ok");
    }
    assert_eq!(groupable(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_one_leaves_the_others_alone() {
    let (stage, _serving) = Stage::with_service().await;
    let replies = Replies::of(&stage).await;
    let ids = [(); 4].map(|()| CallId::new());
    let methods = ["post", "panics", "panics_half_way", "post"];
    let entries: Vec<_> = ids
        .iter()
        .zip(methods)
        .map(|(id, method)| entry(*id, 0, method, POST))
        .collect();
    stage.publish(bundle(CallId::new(), &entries)).await;
    for (id, code) in ids.into_iter().zip(["ok", "panicked", "panicked", "ok"]) {
        assert_eq!(replies.to(id).await, code);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_does_not_come_apart_is_a_bad_request() {
    let (stage, _serving) = Stage::with_service().await;
    let replies = Replies::of(&stage).await;
    let before = stage.ledger.runs();
    let mut cut = entry(CallId::new(), 0, "post", POST);
    cut.pop();
    for entries in [vec![], vec![entry(CallId::new(), 0, "post", POST), cut]] {
        let id = CallId::new();
        stage.publish(bundle(id, &entries)).await;
        assert_eq!(replies.to(id).await, "bad_request");
    }
    assert_eq!(stage.ledger.runs(), before);
}

#[tokio::test(start_paused = true)]
async fn what_one_gives_back_goes_back_whole_and_is_run_once() {
    let (stage, serving) = Stage::with_service().await;
    let replies = Replies::of(&stage).await;
    let before = stage.ledger.runs();
    let [post, wait] = [(); 2].map(|()| CallId::new());
    let entries = [entry(post, 0, "post", POST), entry(wait, 0, "wait", b"{}")];
    stage.publish(bundle(CallId::new(), &entries)).await;
    assert_eq!(replies.to(post).await, "ok");
    stage.ledger.entered(1).await;
    // One of them is still in its handler.
    let drained = serving.shutdown().await.unwrap();
    assert_eq!(drained.given_back, 1);
    let transport = stage.broker.connect();
    eventually("it is given back", || async {
        let state = transport.inspect(QUEUE).await.unwrap().unwrap();
        state.waiting == 1
    })
    .await;
    let _serving = stage.serve().await;
    stage.ledger.entered(1).await;
    stage.ledger.gate.add_permits(1);
    assert_eq!(replies.to(wait).await, "ok");
    assert_eq!(stage.ledger.runs() - before, 1, "a command is run once");
}

#[tokio::test(start_paused = true)]
async fn a_group_of_events_takes_none() {
    #[derive(replybus::Event, serde::Serialize, serde::Deserialize)]
    #[event("till.opened")]
    struct Opened {}
    let stage = Stage::open().await;
    let bus = stage.bus().await;
    let group = bus.subscribe("group", |_: Opened| async { Ok::<(), std::io::Error>(()) });
    let _group = group.await.unwrap();
    let id = CallId::new();
    let mut message = bundle(id, &[entry(CallId::new(), 0, "post", POST)]);
    message.routing_key = "group".into();
    stage.publish(message).await;
    assert_eq!(Replies::of(&stage).await.to(id).await, "unknown_method");
}

#[tokio::test(start_paused = true)]
async fn a_service_can_say_that_it_takes_none() {
    let stage = Stage::open().await;
    let bus = stage.bus().await;
    let service = bus.serve(AccountsServer::new(stage.ledger.clone()));
    let _serving = service.bundles(false).await.unwrap();
    stage.learns().await;
    let called: Vec<_> = (0..4).map(|amount| stage.ask(amount)).collect();
    assert_eq!(amounts(called).await, [0, 1, 2, 3]);
    assert_eq!(stage.paced.take_written().len(), 0);
    // It serves what comes all the same.
    let id = CallId::new();
    let entries = [entry(id, 0, "post", POST)];
    stage.publish(bundle(CallId::new(), &entries)).await;
    assert_eq!(Replies::of(&stage).await.to(id).await, "ok");
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_an_inbox_is_told_nothing_of_it() {
    let (stage, _serving) = Stage::with_service().await;
    let id = CallId::new();
    let message = Message {
        routing_key: QUEUE.into(),
        properties: request(id, "post"),
        body: POST.into(),
        ..Message::default()
    };
    stage.publish(message).await;
    let replies = Replies::of(&stage).await;
    assert_eq!(replies.to(id).await, "ok");
    let frame = replies.0.fetch(id).await.unwrap().unwrap();
    let frame = std::str::from_utf8(&frame).unwrap();
    assert!(!frame.contains("\"us\""), "{frame}");
}

#[tokio::test(start_paused = true)]
async fn what_an_entry_carries_arrives() {
    let (stage, _serving) = Stage::with_service().await;
    let seen = || {
        let seen = stage.accounts.seen().metadata("token", "t");
        seen.idempotency_key("k").timeout(Duration::from_secs(2))
    };
    let alone = seen().await.unwrap();
    let first = stage.ask_all([1]).await;
    let together = tokio::spawn(seen().into_future());
    settle().await;
    assert_eq!(stage.depart_all().await, [BUNDLE]);
    let together = together.await.unwrap().unwrap();
    assert_eq!(amounts(first).await, [1]);
    assert_eq!(together.token, alone.token);
    assert_eq!(together.key, alone.key);
    assert_eq!(together.caller, alone.caller);
    assert!(together.trace.is_some() && together.trace != alone.trace);
    assert!(together.remaining.unwrap() <= Duration::from_secs(2));
}

/// A handler that never ends, for a worker that dies with it.
#[tokio::test(start_paused = true)]
async fn what_kills_its_workers_takes_no_neighbours_with_it() {
    let stage = Stage::open().await;
    let replies = Replies::of(&stage).await;
    let [before, killer, after] = [(); 3].map(|()| CallId::new());
    let entries = [
        entry(before, 0, "post", POST),
        entry(killer, 0, "wait", b"{}"),
        entry(after, 0, "post", POST),
    ];
    let mut deaths = 0;
    let broker = stage.broker.clone();
    stage.serve().await.shutdown().await.unwrap();
    stage.publish(bundle(CallId::new(), &entries)).await;
    loop {
        let transport = Arc::new(broker.connect());
        let faults = Arc::new(Faults::default());
        let store = FaultyReplies::over(&stage.replies, &faults);
        let bus = Bus::connect(Arc::clone(&transport), store).await.unwrap();
        let service = bus.serve(AccountsServer::new(stage.ledger.clone()));
        let serving = service.drain_within(Duration::ZERO).await.unwrap();
        tokio::select! {
            () = stage.ledger.entered(1) => {}
            code = replies.to(killer) => {
                assert_eq!(code, "interrupted");
                break;
            }
        }
        settle().await;
        // As a power failure does: nobody hears of it any more.
        faults.silent.store(true, Ordering::SeqCst);
        transport.close(Duration::ZERO).await;
        std::mem::forget((serving, bus));
        deaths += 1;
    }
    assert_eq!(deaths, ATTEMPTS_MAX);
    assert_eq!(replies.to(before).await, "ok");
    assert_eq!(replies.to(after).await, "ok");
    assert_eq!(stage.ledger.runs(), 2, "each command is run once");
}
