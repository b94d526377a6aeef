//! A queue that is stuck answers nothing. What it shares with other queues goes on: its connections
//! are kept, and what belongs to others is neither lost nor delivered twice.

use super::rig::{AT_MOST, bounded, eventually};
use replybus::{
    Amqp, SetupError,
    contract::QueueType,
    message::Message,
    transport::{
        Deliveries, Delivery, InspectError, Outgoing, QueueSpec, Receipt, Settled, Source,
        Transport, TransportHealth, Verdict,
    },
};
use replybus_testkit::{
    live::{require_or_skip, unique},
    proxy::{Mode, Proxy},
    servers::PrivateRabbit,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::{OnceCell, mpsc};

/// A broker of which single queues are stuck from time to time. Whatever asks for all queues would
/// wait for those, so it is not the one that other tests share.
async fn broker() -> Option<&'static PrivateRabbit> {
    static BROKER: OnceCell<Option<PrivateRabbit>> = OnceCell::const_new();
    let started = BROKER.get_or_init(|| async { require_or_skip(PrivateRabbit::start().await) });
    started.await.as_ref()
}

struct Stage {
    rabbit: &'static PrivateRabbit,
    proxy: Proxy,
    /// The name that the connections of the transport go by.
    name: String,
    transport: Arc<dyn Transport>,
    stuck: Source,
    sound: Source,
}

impl Stage {
    async fn set(queue_type: QueueType, confirm_timeout: Duration) -> Option<Self> {
        let rabbit = broker().await?;
        let proxy = Proxy::to(rabbit.address()).await.unwrap();
        let name = unique("stuck");
        let url = format!("amqp://guest:guest@{}/%2f", proxy.addr());
        let transport = Amqp::new(url)
            .connection_name(&name)
            .confirm_timeout(confirm_timeout)
            .connect_within(Duration::from_secs(5))
            .connect();
        let source = |kind| Source::new(QueueSpec::new(unique(kind)).queue_type(queue_type), 100);
        Some(Self {
            rabbit,
            transport: transport.await.unwrap(),
            proxy,
            name,
            stuck: source("stuck"),
            sound: source("sound"),
        })
    }

    async fn consume(&self, source: &Source) -> Box<dyn Deliveries> {
        self.transport.consume(source.clone()).await.unwrap()
    }

    /// Has a function of Erlang's `sys` called with the process of the queue.
    async fn call(&self, function: &str) {
        let queue = &self.stuck.queue.name;
        let expression = format!(
            "{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<\"/\">>, queue, <<\"{queue}\">>)), \
             ok = sys:{function}(amqqueue:get_pid(Q))."
        );
        self.rabbit.ctl(&["eval", &expression]).await.unwrap();
    }

    /// The connections of the transport, by their addresses.
    async fn connections(&self) -> BTreeSet<String> {
        let listed = ["list_connections", "client_properties", "name"];
        let listed = self.rabbit.ctl(&listed).await.unwrap();
        let ours = listed.lines().filter(|line| line.contains(&self.name));
        ours.map(str::to_owned).collect()
    }

    /// Publishes to a queue, and waits for the verdict.
    async fn publish(&self, to: &Source, body: &str) -> Verdict {
        let mut receipt = self.hand_over(to, body, None);
        bounded(receipt.verdict()).await
    }

    fn hand_over(&self, to: &Source, body: &str, id: Option<&str>) -> Receipt {
        let mut message = Message {
            routing_key: to.queue.name.as_str().into(),
            body: body.to_owned().into(),
            ..Message::default()
        };
        message.properties.message_id = id.map(Into::into);
        self.transport.publish(Outgoing::new(message))
    }

    /// Asks for the state of the stuck queue, which takes a while, and is in vain.
    async fn inspect_in_vain(&self) {
        match self.transport.inspect(&self.stuck.queue.name).await {
            Err(InspectError::NoAnswer { queue, .. }) => assert_eq!(queue, self.stuck.queue.name),
            other => panic!("{other:?}"),
        }
    }

    fn assert_no_answer<T: std::fmt::Debug>(&self, outcome: Result<T, SetupError>) {
        match outcome {
            Err(SetupError::NoAnswer { queue, .. }) => {
                assert!(queue.contains(&self.stuck.queue.name))
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivery {
    bounded(deliveries.next()).await.unwrap()
}

fn body(delivery: &Delivery) -> String {
    String::from_utf8(delivery.message.body.to_vec()).unwrap()
}

/// Publishes to the sound queue and takes out of it, each message once, until told to stop. Returns
/// how many there were.
async fn flow(
    stage: &Stage,
    deliveries: &mut Box<dyn Deliveries>,
    mut stop: mpsc::Receiver<()>,
) -> u32 {
    let mut count = 0;
    while stop.try_recv().is_err() {
        let sent = count.to_string();
        assert_eq!(stage.publish(&stage.sound, &sent).await, Verdict::Confirmed);
        let delivery = next(deliveries).await;
        assert_eq!((body(&delivery), delivery.redelivered), (sent, false));
        delivery.settler.settle(Settled::Ack);
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_queue_keeps_to_itself() {
    let Some(stage) = Stage::set(QueueType::Classic, Duration::from_secs(1)).await else {
        return;
    };
    let mut sound = stage.consume(&stage.sound).await;
    let mut stopped = stage.consume(&stage.stuck).await;
    assert_eq!(
        stage.publish(&stage.stuck, "before").await,
        Verdict::Confirmed
    );
    let held = next(&mut stopped).await;
    let before = stage.connections().await;
    assert_eq!(before.len(), 2);

    stage.call("suspend").await;
    let (stop, told) = mpsc::channel(1);
    let flowing = flow(&stage, &mut sound, told);
    let stuck = async {
        let declared = stage.transport.consume(stage.stuck.clone());
        let (lost, (), declared, ()) = tokio::join!(
            stage.publish(&stage.stuck, "meanwhile"),
            stage.inspect_in_vain(),
            declared,
            stopped.stop(),
        );
        assert_eq!(lost, Verdict::Lost);
        stage.assert_no_answer(declared.map(drop));
        stop.send(()).await.unwrap();
    };
    let (count, ()) = tokio::join!(flowing, stuck);
    assert!(count > 0);
    assert_eq!(stage.connections().await, before);
    assert_eq!(stage.transport.health(), TransportHealth::Up);

    stage.call("resume").await;
    drop(held);
    let mut resumed = stage.consume(&stage.stuck).await;
    let mut found = BTreeSet::new();
    while found.len() < 2 {
        let delivery = next(&mut resumed).await;
        found.insert(body(&delivery));
        delivery.settler.settle(Settled::Ack);
    }
    assert_eq!(found, ["before", "meanwhile"].map(str::to_owned).into());
    assert_eq!(stage.connections().await, before);
    stage.transport.close(AT_MOST).await;
}

/// Of a stuck quorum queue the broker says after a while what it knows; it can't be consumed all
/// the same. Nothing of the attempt to do so is left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_given_up_takes_nothing() {
    let Some(stage) = Stage::set(QueueType::Quorum, Duration::from_secs(1)).await else {
        return;
    };
    let mut sound = stage.consume(&stage.sound).await;
    stage
        .transport
        .declare(stage.stuck.queue.clone())
        .await
        .unwrap();
    let before = stage.connections().await;
    stage.call("suspend").await;
    let consumed = stage.transport.consume(stage.stuck.clone()).await;
    stage.assert_no_answer(consumed.map(drop));
    stage.call("resume").await;
    assert_eq!(
        stage.publish(&stage.sound, "sound").await,
        Verdict::Confirmed
    );
    next(&mut sound).await.settler.settle(Settled::Ack);
    let mut resumed = stage.consume(&stage.stuck).await;
    eventually("there is one consumer", || async {
        let state = stage.transport.inspect(&stage.stuck.queue.name).await;
        state.is_ok_and(|state| state.is_some_and(|state| state.consumers == 1))
    })
    .await;
    for message in ["one", "two", "three"] {
        assert_eq!(
            stage.publish(&stage.stuck, message).await,
            Verdict::Confirmed
        );
        let delivery = next(&mut resumed).await;
        assert_eq!(body(&delivery), message);
        delivery.settler.settle(Settled::Ack);
    }
    assert_eq!(stage.connections().await, before);
    stage.transport.close(AT_MOST).await;
}

/// The connection is lost while a queue is stuck, so that its consumer has to wait for it to begin
/// again, for longer than anything else may take to answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_waits_for_its_queue_and_others_do_not() {
    let Some(stage) = Stage::set(QueueType::Classic, Duration::from_secs(1)).await else {
        return;
    };
    let mut sound = stage.consume(&stage.sound).await;
    let mut stuck = stage.consume(&stage.stuck).await;
    stage.call("suspend").await;
    stage.proxy.set(Mode::Cut);
    stage.proxy.set(Mode::Pass);
    eventually("the sound queue is consumed again", || async {
        let state = stage.transport.inspect(&stage.sound.queue.name).await;
        state.is_ok_and(|state| state.is_some_and(|state| state.consumers == 1))
    })
    .await;
    let before = stage.connections().await;
    let (stop, told) = mpsc::channel(1);
    let flowing = flow(&stage, &mut sound, told);
    let waiting = async {
        for _ in 0..3 {
            stage.inspect_in_vain().await;
        }
        stop.send(()).await.unwrap();
    };
    let (count, ()) = tokio::join!(flowing, waiting);
    assert!(count > 0);
    let after = stage.connections().await;
    assert!(after.is_subset(&before), "{before:?}, then {after:?}");

    stage.call("resume").await;
    assert_eq!(
        stage.publish(&stage.stuck, "after").await,
        Verdict::Confirmed
    );
    let delivery = next(&mut stuck).await;
    assert_eq!(body(&delivery), "after");
    delivery.settler.settle(Settled::Ack);
    stage.transport.close(AT_MOST).await;
}

/// An outbox publishes an event again when it was not confirmed in its own time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_its_own_id_holds_up_nobody_else() {
    // Longer than the test: no confirm is overdue.
    let Some(stage) = Stage::set(QueueType::Classic, AT_MOST).await else {
        return;
    };
    stage
        .transport
        .declare(stage.sound.queue.clone())
        .await
        .unwrap();
    let mut stuck = stage.consume(&stage.stuck).await;
    stage.call("suspend").await;
    let copies = ["first", "second", "third"];
    let mut receipts = copies.map(|body| stage.hand_over(&stage.stuck, body, Some("one id")));
    assert_eq!(
        stage.publish(&stage.sound, "other").await,
        Verdict::Confirmed
    );
    assert_eq!(
        receipts.each_ref().map(Receipt::written),
        [true, false, false]
    );
    stage.call("resume").await;
    for (receipt, expected) in receipts.iter_mut().zip(copies) {
        assert_eq!(bounded(receipt.verdict()).await, Verdict::Confirmed);
        let delivery = next(&mut stuck).await;
        assert_eq!(body(&delivery), expected);
        delivery.settler.settle(Settled::Ack);
    }
    stage.transport.close(AT_MOST).await;
}
