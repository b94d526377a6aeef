//! Messages that kill their workers are not delivered for ever, whatever they are; and those that
//! only were there when a worker died are.

use crate::{
    bad_input::request,
    dead_letters::{dead, kept, next},
    faulty_store::{Faults, FaultyReplies},
};
use replybus::{
    Bus, CallId, Context, Event, Never,
    error::BoxError,
    limits::ATTEMPTS_MAX,
    message::{Message, Properties, Text},
    queue_handler,
    reply::{ReplyBackend, memory::MemoryReplies},
    server::{Answer, Request, ServerService, Serving},
    transport::{
        Outgoing, QueueSpec, Source, Transport, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use replybus_testkit::wait::eventually;
use serde::{Deserialize, Serialize};
use std::{
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;

#[queue_handler("killer.requests")]
trait Killer {
    #[query]
    async fn ask(&self) -> Result<(), Never>;
    async fn act(&self) -> Result<(), Never>;
    #[command(own_record)]
    async fn note(&self) -> Result<(), Never>;
}

#[derive(Event, Serialize, Deserialize)]
#[event("killer.seen")]
struct Seen {}

/// Notes the attempts of its runs, which end only while it is `harmless`.
#[derive(Clone, Default)]
struct Deadly {
    attempts: Arc<Mutex<Vec<u32>>>,
    harmless: Arc<AtomicBool>,
}

impl Deadly {
    async fn run(&self) -> Result<(), Never> {
        let attempt = Context::current().attempt();
        self.attempts.lock().unwrap().push(attempt);
        if !self.harmless.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    fn runs(&self) -> usize {
        self.attempts.lock().unwrap().len()
    }
}

impl Killer for Deadly {
    async fn ask(&self) -> Result<(), Never> {
        self.run().await
    }

    async fn act(&self) -> Result<(), Never> {
        self.run().await
    }

    async fn note(&self) -> Result<(), Never> {
        self.run().await
    }
}

/// A broker and a store that outlive the workers.
#[derive(Default)]
struct World {
    broker: MemoryBroker,
    replies: MemoryReplies,
    deadly: Deadly,
}

/// A process that serves and subscribes.
struct Worker {
    transport: Arc<MemoryTransport>,
    faults: Arc<Faults>,
    serving: Vec<Serving>,
}

impl World {
    async fn worker(&self) -> Worker {
        let transport = Arc::new(self.broker.connect());
        let faults = Arc::new(Faults::default());
        let store = FaultyReplies::over(&self.replies, &faults);
        let bus = Bus::connect(Arc::clone(&transport), store).await.unwrap();
        let service = bus.serve(KillerServer::new(self.deadly.clone()));
        let deadly = self.deadly.clone();
        let group = bus.subscribe("group", move |_: Seen| {
            let deadly = deadly.clone();
            async move { deadly.run().await }
        });
        let service = service.drain_within(Duration::ZERO);
        let serving = vec![
            service.await.unwrap(),
            group.drain_within(Duration::ZERO).await.unwrap(),
        ];
        Worker {
            transport,
            faults,
            serving,
        }
    }

    async fn publish(&self, message: Message) {
        let mut receipt = self.broker.connect().publish(Outgoing::new(message));
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }

    /// Has a message delivered that a worker had, and gave back before it began.
    async fn redeliver(&self, message: Message) {
        let transport = self.broker.connect();
        let source = Source::new(QueueSpec::new(message.routing_key.clone()), 1);
        let mut first = transport.consume(source).await.unwrap();
        self.publish(message).await;
        drop(first.next().await.unwrap());
        transport.close(Duration::ZERO).await;
    }

    fn transport(&self) -> Arc<dyn Transport> {
        Arc::new(self.broker.connect())
    }
}

impl Worker {
    /// Ends it as a power failure does: nobody hears of it any more.
    async fn dies(self) {
        self.faults.silent.store(true, Ordering::SeqCst);
        self.transport.close(Duration::ZERO).await;
        std::mem::forget(self.serving);
    }
}

fn to(queue: &str, properties: Properties) -> Message {
    Message {
        routing_key: queue.into(),
        properties,
        body: "{}".into(),
        ..Message::default()
    }
}

fn to_service(method: &str, change: impl Fn(&mut Properties)) -> Message {
    let mut properties = request(CallId::new(), method);
    change(&mut properties);
    to("killer.requests", properties)
}

fn event(id: Option<String>) -> Message {
    let properties = Properties {
        message_id: id.map(Text::from),
        kind: Some("killer.seen".into()),
        persistent: true,
        content_type: Some("application/json".into()),
        ..Properties::default()
    };
    to("group", properties)
}

/// A message of each kind.
fn kinds(inbox: &str) -> Vec<(&'static str, Message)> {
    let one_way = |id: Option<String>| {
        move |properties: &mut Properties| {
            properties.correlation_id = None;
            properties.message_id = id.as_deref().map(Text::from);
            properties.persistent = true;
        }
    };
    let named = || Some(CallId::new().to_string());
    let awaited = |properties: &mut Properties| {
        properties.reply_to = Some(inbox.into());
    };
    let keyed = |properties: &mut Properties| {
        one_way(None)(properties);
        let header = ("idempotency-key".into(), "k".into());
        properties.headers.push(header);
    };
    vec![
        ("a one-way query", to_service("ask", one_way(named()))),
        (
            "a submitted query",
            to_service("ask", |p| p.persistent = true),
        ),
        ("a foreign query", to_service("ask", |_| {})),
        ("a query without a deadline", to_service("ask", awaited)),
        ("a query without a name", to_service("ask", one_way(None))),
        ("a one-way command", to_service("act", one_way(named()))),
        ("a command", to_service("act", awaited)),
        ("a command without a name", to_service("act", one_way(None))),
        ("a command with a key", to_service("act", keyed)),
        ("a command of its own record", to_service("note", awaited)),
        (
            "a one-way command of its own record",
            to_service("note", one_way(named())),
        ),
        (
            "a command of its own record without a name",
            to_service("note", one_way(None)),
        ),
        (
            "a command with another's name",
            to_service("act", one_way(Some("order 17".to_owned()))),
        ),
        ("an event", event(named())),
        ("an event without a name", event(None)),
        ("an event with a long name", event(Some("x".repeat(65)))),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_message_that_kills_its_workers_ends_as_a_dead_letter() {
    let store = Box::new(MemoryReplies::new());
    let store = store.open("", Arc::new(crate::bad_input::Nobody));
    let inbox = store.await.unwrap().inbox().to_owned();
    for (kind, message) in kinds(&inbox) {
        let world = World::default();
        let transport = world.transport();
        let queue = message.routing_key.clone();
        let mut message = Some(message);
        let mut workers = 0;
        loop {
            let worker = world.worker().await;
            if let Some(message) = message.take() {
                world.publish(message).await;
            }
            eventually(kind, || async {
                world.deadly.runs() > workers || kept(&transport, &queue).await > 0
            })
            .await;
            if world.deadly.runs() == workers {
                break;
            }
            workers += 1;
            worker.dies().await;
            assert!(workers < 20, "{kind} kills one worker after the other");
        }
        assert_eq!(workers, usize::try_from(ATTEMPTS_MAX).unwrap(), "{kind}");
        let mut letters = dead(&transport, &queue).await;
        let (reason, letter) = next(&mut letters).await;
        assert_eq!(reason, "interrupted", "{kind}");
        let text = letter.properties.header("dead-letter-message").unwrap();
        assert!(text.contains(&ATTEMPTS_MAX.to_string()), "{kind}: {text}");
        let attempts = world.deadly.attempts.lock().unwrap().clone();
        if kind.contains("query") {
            assert_eq!(attempts, [1; 5], "{kind}");
        } else {
            assert_eq!(attempts, [1, 2, 3, 4, 5], "{kind}");
        }
    }
}

/// Whenever in the first third of its lease the worker dies.
#[tokio::test(start_paused = true)]
async fn by_default_the_command_of_a_dead_worker_is_run_again_while_its_caller_waits() {
    for milliseconds in [0, 300, 600, 999] {
        let world = World::default();
        let worker = world.worker().await;
        let caller = Bus::connect(world.broker.clone(), world.replies.clone());
        let client = KillerClient::new(&caller.await.unwrap());
        let call = tokio::spawn(client.act().into_future());
        eventually("it runs", || async { world.deadly.runs() == 1 }).await;
        sleep(Duration::from_millis(milliseconds)).await;
        world.deadly.harmless.store(true, Ordering::SeqCst);
        worker.dies().await;
        let _second = world.worker().await;
        call.await.unwrap().unwrap();
        assert_eq!(*world.deadly.attempts.lock().unwrap(), [1, 2]);
        assert_eq!(kept(&world.transport(), "killer.requests").await, 0);
    }
}

/// Nobody sent another request, and the worker is dead.
#[tokio::test(start_paused = true)]
async fn a_dead_letter_says_what_is_known_of_an_earlier_run() {
    for (seconds, expected) in [(1, "its worker died"), (60, "still going")] {
        let world = World::default();
        let worker = world.worker().await;
        let caller = Bus::connect(world.broker.clone(), world.replies.clone());
        let client = KillerClient::new(&caller.await.unwrap());
        let call = client.act().timeout(Duration::from_secs(seconds));
        let call = tokio::spawn(call.into_future());
        eventually("it runs", || async { world.deadly.runs() == 1 }).await;
        if expected == "its worker died" {
            worker.dies().await;
        } else {
            // Only its way to the broker is lost.
            worker.transport.close(Duration::ZERO).await;
        }
        let _second = world.worker().await;
        assert!(call.await.unwrap().unwrap_err().may_have_executed());
        let mut letters = dead(&world.transport(), "killer.requests").await;
        let (reason, letter) = next(&mut letters).await;
        assert_eq!(reason, "timed_out");
        let text = letter.properties.header("dead-letter-message").unwrap();
        assert!(
            text.contains("earlier run") && text.contains(expected),
            "{text}"
        );
        assert_eq!(world.deadly.runs(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_delivery_of_a_query_is_not_counted() {
    let world = World::default();
    world.deadly.harmless.store(true, Ordering::SeqCst);
    let worker = world.worker().await;
    let caller = Bus::connect(world.broker.clone(), world.replies.clone());
    let caller = caller.await.unwrap();
    KillerClient::new(&caller).ask().await.unwrap();
    assert_eq!(worker.faults.claims.load(Ordering::SeqCst), 0);
    world.redeliver(to_service("ask", |_| {})).await;
    eventually("it runs", || async { world.deadly.runs() == 2 }).await;
    assert_eq!(worker.faults.claims.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn equal_messages_that_end_are_not_taken_for_one_that_never_does() {
    for method in ["ask", "act"] {
        let world = World::default();
        world.deadly.harmless.store(true, Ordering::SeqCst);
        let message = to_service(method, |properties| {
            properties.correlation_id = None;
            properties.persistent = true;
        });
        // All in the hands of a worker that dies before it begins.
        let transport = world.broker.connect();
        let source = Source::new(QueueSpec::new("killer.requests"), 64);
        let mut first = transport.consume(source).await.unwrap();
        for _ in 0..64 {
            world.publish(message.clone()).await;
            std::mem::forget(first.next().await.unwrap().settler);
        }
        transport.close(Duration::ZERO).await;
        let worker = world.worker().await;
        eventually("all run", || async { world.deadly.runs() == 64 }).await;
        for serving in worker.serving {
            serving.shutdown().await.unwrap();
        }
        assert_eq!(kept(&world.transport(), "killer.requests").await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_by_a_worker_that_stops_is_not_counted() {
    let world = World::default();
    let message = to_service("ask", |properties| properties.persistent = true);
    let declared = world.worker().await;
    world.publish(message).await;
    let mut worker = declared;
    for deployments in 1..=3 * usize::try_from(ATTEMPTS_MAX).unwrap() {
        eventually("it runs", || async { world.deadly.runs() == deployments }).await;
        for serving in worker.serving {
            serving.shutdown().await.unwrap();
        }
        // What is still to be told to the store is told.
        sleep(Duration::from_secs(1)).await;
        worker = world.worker().await;
    }
    assert_eq!(kept(&world.transport(), "killer.requests").await, 0);
}

/// A panic outside of the handler gives the message back at once.
#[tokio::test]
async fn nor_is_one_delivered_for_ever_that_kills_its_task_in_a_layer() {
    for method in ["ask", "act"] {
        let bus = Bus::connect(MemoryBroker::new(), MemoryReplies::new());
        let bus = bus.await.unwrap();
        let entered = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&entered);
        let panics = tower::layer::layer_fn(move |_: ServerService| {
            let counted = Arc::clone(&counted);
            tower::service_fn(move |_: Request| {
                counted.fetch_add(1, Ordering::SeqCst);
                async { panic!("on purpose") as Result<Answer, BoxError> }
            })
        });
        let serving = bus.serve(KillerServer::new(Deadly::default()));
        let serving = serving.layer(panics).await.unwrap();
        let client = KillerClient::new(&bus);
        match method {
            "ask" => client.ask().send().await.unwrap(),
            _ => client.act().send().await.unwrap(),
        };
        eventually("it is kept", || async {
            let state = bus.inspect("killer.requests.dead").await.unwrap();
            state.unwrap().waiting == 1
        })
        .await;
        assert_eq!(entered.load(Ordering::SeqCst), ATTEMPTS_MAX);
        serving.shutdown().await.unwrap();
    }
}
