//! Arguments that are streams, between programs in other languages and ours.

use super::{
    brought::{self, Runner},
    desk::{Place, with_letters},
    faults::{Cuts, cut},
    foreign::Worker,
};
use futures_util::{StreamExt as _, stream};
use replybus::{
    Amqp, CallError, ContentType, FailureKind, Never,
    message::{Message, Properties},
    queue_handler,
    stream::Items,
    transport::{Outgoing, QueueSpec, Settled, Source},
};
use replybus_testkit::wait::bounded;
use std::{future::IntoFuture as _, time::Duration};
use tokio::sync::oneshot;

#[queue_handler("scale.requests", timeout = "30s")]
pub(super) trait Scale {
    /// Adds all of them to what it begins with.
    async fn total(&self, start: u64, #[stream] amounts: Items<u64>) -> Result<u64, String>;

    /// Reads three of them.
    #[query]
    async fn some(&self, #[stream] amounts: Items<u64>) -> Result<Vec<u64>, String>;

    /// The worker of a run dies in the middle of them.
    async fn dies(&self, #[stream] amounts: Items<u64>) -> Result<u64, String>;

    /// Takes no stream.
    async fn plain(&self) -> Result<u32, Never>;
}

#[derive(Debug, Default)]
pub(super) struct OurScale;

impl Scale for OurScale {
    async fn total(&self, start: u64, mut amounts: Items<u64>) -> Result<u64, String> {
        let mut total = start;
        while let Some(amount) = amounts.next().await {
            total += amount.map_err(|_| "it broke off".to_owned())?;
        }
        Ok(total)
    }

    async fn some(&self, amounts: Items<u64>) -> Result<Vec<u64>, String> {
        let amounts: Vec<_> = amounts.take(3).collect().await;
        let amounts = amounts.into_iter().collect::<Result<_, _>>();
        amounts.map_err(|error| error.to_string())
    }

    async fn dies(&self, _: Items<u64>) -> Result<u64, String> {
        Err("it is not asked of ours".to_owned())
    }

    async fn plain(&self) -> Result<u32, Never> {
        Ok(1)
    }
}

/// A program in another language sends streams to a service in ours.
async fn calls(runner: Runner) {
    let Some(place) = Place::open("scale-calls").await else {
        return;
    };
    let serving = place.bus.serve(ScaleServer::new(OurScale)).await.unwrap();
    let mut program = runner.program("scale_calls", &place.servers);
    let called = bounded(brought::done(&mut program)).await;
    assert_eq!(called.unwrap(), "all was as it should be\n");
    serving.shutdown().await.unwrap();
    place.close_with(with_letters("scale.requests")).await;
}

/// A program in ours sends streams to a service in another language.
async fn serves(runner: Runner) {
    let Some(place) = Place::open("scale-serves").await else {
        return;
    };
    let cuts = Cuts::before(&place).await;
    let first = Worker::start(runner.program("scale_worker", &cuts.servers)).await;
    for content_type in [ContentType::MessagePack, ContentType::Json] {
        let scale = ScaleClient::new(&place.bus).with_content_type(content_type);
        let total = scale.total(7, stream::iter(1..=1_000)).window_bytes(512);
        assert_eq!(total.await.unwrap(), 500_507);
        assert_eq!(scale.total(7, stream::empty()).await.unwrap(), 7);
        let endless = scale.some(stream::iter(0..)).window_bytes(512);
        assert_eq!(endless.await.unwrap(), [0, 1, 2]);
        let key = format!("{content_type:?}");
        for _ in 0..2 {
            let once = scale.total(0, stream::iter(0..3)).idempotency_key(&key);
            assert_eq!(once.await.unwrap(), 3);
        }
    }
    let scale = ScaleClient::new(&place.bus);
    let late = scale
        .total(0, stream::pending())
        .timeout(Duration::from_millis(500));
    let late = late.await.unwrap_err();
    assert!(
        matches!(&late, CallError::Bus(failure) if failure.may_have_executed()),
        "{late:?}"
    );
    for proxies in cuts.rounds() {
        let (is_cut, goes_on) = oneshot::channel();
        let middle = stream::once(async {
            goes_on.await.unwrap();
            500
        });
        let amounts = stream::iter(0..500)
            .chain(middle)
            .chain(stream::iter(501..1_000));
        let total = scale.total(0, amounts);
        let cutting = async {
            cut(&proxies).await;
            is_cut.send(()).unwrap();
        };
        let (total, ()) = tokio::join!(total.into_future(), cutting);
        assert_eq!(total.unwrap(), 499_500);
    }
    refuses_what_is_no_stream(&place).await;
    // Whoever follows the worker that died may not begin anew on half a stream.
    let second = Worker::start(runner.program("scale_worker", &place.servers)).await;
    let dead = bounded(scale.dies(stream::iter(0..)).into_future()).await;
    match dead.unwrap_err() {
        CallError::Bus(failure) => {
            assert_eq!(failure.kind(), FailureKind::Interrupted);
            assert!(failure.may_have_executed());
        }
        CallError::Handler(error) => panic!("{error}"),
    }
    assert_eq!(scale.total(1, stream::iter(0..3)).await.unwrap(), 4);
    first.kill().await;
    second.kill().await;
    place.close_with(with_letters("scale.requests")).await;
}

/// A request of a stream that says nothing of it, and one that offers one to a method that takes none.
async fn refuses_what_is_no_stream(place: &Place) {
    let [amqp, _, namespace] = &place.servers;
    let transport = Amqp::new(amqp).connect().await.unwrap();
    let odd = [
        ("total", None),
        ("total", Some("many")),
        ("plain", Some("512")),
    ];
    for (method, offered) in odd {
        let header = offered.map(|bytes| ("x-replybus-stream".into(), bytes.into()));
        let message = Message {
            routing_key: format!("{namespace}.scale.requests").into(),
            properties: Properties {
                kind: Some(method.into()),
                content_type: Some("application/json".into()),
                persistent: true,
                headers: header.into_iter().collect(),
                ..Properties::default()
            },
            body: br#"{"start":1}"#.as_slice().into(),
            ..Message::default()
        };
        let mut receipt = transport.publish(Outgoing::new(message).confirm(true));
        bounded(receipt.verdict()).await;
    }
    let dead = QueueSpec::new(format!("{namespace}.scale.requests.dead")).or_existing();
    let mut letters = transport.consume(Source::new(dead, 100)).await.unwrap();
    let mut refused = 0;
    while refused < odd.len() {
        let letter = bounded(letters.next()).await.unwrap();
        let reason = letter.message.properties.header("dead-letter-reason");
        // That which was late is one as well.
        refused += usize::from(reason == Some("bad_request"));
        letter.settler.settle(Settled::Ack);
    }
    letters.stop().await;
    transport.close(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn callers_in_python_send_streams() {
    if let Some(python) = brought::python().await {
        calls(python).await;
    }
}

#[tokio::test]
async fn callers_in_typescript_send_streams() {
    if let Some(node) = brought::node().await {
        calls(node).await;
    }
}

#[tokio::test]
async fn workers_in_python_read_streams_that_are_sent() {
    if let Some(python) = brought::python().await {
        serves(python).await;
    }
}

#[tokio::test]
async fn workers_in_typescript_read_streams_that_are_sent() {
    if let Some(node) = brought::node().await {
        serves(node).await;
    }
}
