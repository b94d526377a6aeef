//! Calls that leave together over real servers: to programs of before and after, and to workers
//! that are killed with them.

use super::{
    load::{Kind, call},
    rig::{Rig, Settings, bounded, connect, eventually, until},
    workers::{journal, served, worker},
};
use replybus::{
    Amqp, Bytes, CallId, ContentType,
    error::{Fault, FaultCode},
    reply::{Arrivals, Reply, ReplyBackend, ReplyTarget},
    transport::{QueueSpec, Settled, Source},
    wire::ReplyFrame,
};
use replybus_redis::RedisReplies;
use replybus_testkit::live::unique;
use replybus_tests::ledger::LedgerClient;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

const WITHIN: Duration = Duration::from_secs(100);
const BUNDLE: &str = "replybus/bundle";

struct Nobody;

impl Arrivals for Nobody {
    fn arrived(&self, _: CallId, _: Bytes) {}

    fn waiting(&self) -> Vec<CallId> {
        Vec::new()
    }
}

/// Asks for many numbers at once.
async fn ask_many(client: &LedgerClient) {
    let mut asked = JoinSet::new();
    for number in 0..200 {
        let echo = client.echo(number).timeout(WITHIN);
        asked.spawn(async move { assert_eq!(echo.await.unwrap(), number) });
    }
    asked.join_all().await;
}

/// A worker of before knows no bundles, and is played by the test: it answers as one does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_before_answers_callers_of_after() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let mut ledger = rig.ledger(Settings::default()).await;
    // The service takes bundles, and its caller learns that.
    ask_many(&ledger.client).await;
    ask_many(&ledger.client).await;
    // It is replaced by one that does not.
    ledger.serving.take().unwrap().shutdown().await.unwrap();
    let (amqp, redis) = rig.servers();
    let transport = Amqp::new(amqp).connect().await.unwrap();
    let source = Source::new(QueueSpec::new(ledger.queue()), 64);
    let mut requests = transport.consume(source).await.unwrap();
    let replies = Box::new(RedisReplies::new(redis));
    let replies = replies.open(&ledger.namespace, Arc::new(Nobody)).await;
    let replies = replies.unwrap();
    let bundles = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&bundles);
    let old = tokio::spawn(async move {
        while let Some(delivery) = requests.next().await {
            let properties = &delivery.message.properties;
            let frame = if properties.kind.as_deref() == Some("echo") {
                let body: std::collections::BTreeMap<String, u64> =
                    replybus::codec::decode(ContentType::MessagePack, &delivery.message.body)
                        .unwrap();
                ReplyFrame::encode_ok(ContentType::MessagePack, &body["number"]).unwrap()
            } else {
                assert_eq!(properties.kind.as_deref(), Some(BUNDLE));
                counted.fetch_add(1, Ordering::SeqCst);
                let fault = Fault::new(FaultCode::UnknownMethod, "no such method");
                ReplyFrame::encode_fault(ContentType::MessagePack, &fault)
            };
            let id = properties.correlation_id.as_ref().unwrap().parse().unwrap();
            let inbox = ReplyTarget::Inbox(properties.reply_to.clone().unwrap());
            replies.store(Reply::new(id, inbox, frame)).await.unwrap();
            delivery.settler.settle(Settled::Ack);
        }
    });
    ask_many(&ledger.client).await;
    assert!(bundles.load(Ordering::SeqCst) > 0, "it was sent some");
    // From now on nothing is sent so.
    let before = bundles.load(Ordering::SeqCst);
    ask_many(&ledger.client).await;
    assert_eq!(bundles.load(Ordering::SeqCst), before);
    old.abort();
    bounded(ledger.caller.close(Duration::from_secs(5))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_left_together_outlive_their_worker() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("together");
    let bus = connect(&namespace, Settings::default(), &rig.servers()).await;
    let client = LedgerClient::new(&bus);
    let mut first = worker(rig, &namespace, "open");
    served(&client, &mut first).await;
    let command = |kind| {
        let client = client.clone();
        async move { call(&client, kind, WITHIN).await }
    };
    // Measured often enough to be known as fast, also on a busy machine.
    for _ in 0..40 {
        command(Kind::Command).await.outcome.unwrap();
    }
    first.kill();
    let mut stuck = worker(rig, &namespace, "closed");
    until("its queue is consumed by it alone", || {
        assert!(stuck.is_running(), "{}", stuck.log_tail());
        let inspected = bus.inspect("ledger.requests");
        async {
            let state = inspected.await.unwrap().unwrap();
            (state.consumers == 1).then_some(()).ok_or(state)
        }
    })
    .await;
    let mut calls = JoinSet::new();
    for number in 0..60 {
        calls.spawn(command([Kind::Command, Kind::KeyedCommand][number % 2]));
    }
    // As many as it runs at once.
    eventually("it runs what it can", || async {
        journal([&stuck]).begun() == 32
    })
    .await;
    let second = worker(rig, &namespace, "open");
    stuck.kill();
    let told = calls.join_all().await;
    let (before, after) = (journal([&stuck]), journal([&second]));
    for one in told {
        let began = before.page(&one.name).began;
        assert_eq!(one.outcome, Ok(Some(began + 1)), "{one:?}");
        assert!(before.page(&one.name).done.is_empty());
        assert_eq!(after.page(&one.name).done, [began + 1]);
    }
}
