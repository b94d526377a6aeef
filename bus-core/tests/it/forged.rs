//! Messages that anybody may send to a service with methods of every kind: whatever they say, nothing
//! stops, nothing is left over, and what is asked rightly beside them is answered.

use futures_util::{StreamExt, stream};
use replybus::{
    Bus, CallId, Context, Never, RetryLater,
    message::{Message, Properties},
    queue_handler,
    reply::memory::MemoryReplies,
    server::Serving,
    stream::Items,
    transport::{
        Outgoing, Transport,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use replybus_testkit::wait::eventually;
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

const QUEUE: &str = "office.requests";
const CONTROL: &str = "replybus.control";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[queue_handler("office.requests", timeout = "30s")]
trait Office {
    #[command(job = "1h")]
    async fn job(&self, number: u32) -> Result<u32, Never>;

    #[command(retry(max = 2, base = "2s"))]
    async fn retried(&self, number: u32) -> Result<u32, String>;

    #[command(own_record)]
    async fn own(&self, number: u32) -> Result<u32, Never>;

    async fn plain(&self, number: u32) -> Result<u32, Never>;

    #[query]
    async fn ask(&self, number: u32) -> Result<u32, Never>;

    #[stream]
    async fn list(&self, number: u32) -> Result<Items<u32, Never>, Never>;

    /// Runs until it is told to stop.
    #[command(job = "1h")]
    async fn watch(&self) -> Result<u32, Never>;

    /// A number each second.
    #[stream]
    async fn count(&self) -> Result<Items<u32, Never>, Never>;
}

const METHODS: [&str; 8] = [
    "job", "retried", "own", "plain", "ask", "list", "count", "none",
];

#[derive(Clone, Default)]
struct Desk {
    runs: Arc<AtomicU32>,
    watching: Arc<AtomicU32>,
}

impl Desk {
    fn run(&self, number: u32) -> u32 {
        self.runs.fetch_add(1, Ordering::SeqCst);
        number
    }
}

impl Office for Desk {
    async fn job(&self, number: u32) -> Result<u32, Never> {
        let context = Context::current();
        context.progress(1, 2, "half");
        let number = self.run(number);
        tokio::spawn(async move {
            sleep(MINUTE).await;
            // Long after its end.
            context.progress(2, 2, "late");
        });
        Ok(number)
    }

    async fn retried(&self, number: u32) -> Result<u32, String> {
        let outcome = match number {
            0 => Err("away".to_owned()),
            number => Ok(number),
        };
        self.run(number);
        outcome.retry_later()
    }

    async fn own(&self, number: u32) -> Result<u32, Never> {
        Ok(self.run(number))
    }

    async fn plain(&self, number: u32) -> Result<u32, Never> {
        Ok(self.run(number))
    }

    async fn ask(&self, number: u32) -> Result<u32, Never> {
        Ok(self.run(number))
    }

    async fn list(&self, number: u32) -> Result<Items<u32, Never>, Never> {
        Ok(Items::new(stream::iter(0..number).map(Ok)))
    }

    async fn watch(&self) -> Result<u32, Never> {
        self.watching.fetch_add(1, Ordering::SeqCst);
        Context::current().cancelled().await;
        Context::current().release_key();
        Ok(self.run(1))
    }

    async fn count(&self) -> Result<Items<u32, Never>, Never> {
        let numbers = stream::iter(0..).then(async |number| {
            sleep(SECOND).await;
            Ok(number)
        });
        Ok(Items::new(numbers))
    }
}

struct World {
    transport: Arc<MemoryTransport>,
    replies: MemoryReplies,
    broker: MemoryBroker,
    bus: Bus,
    desk: Desk,
    client: OfficeClient,
    serving: Serving,
}

impl World {
    async fn new() -> Self {
        let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
        let transport = Arc::new(broker.connect());
        let bus = Bus::connect(Arc::clone(&transport), replies.clone());
        let (bus, desk) = (bus.await.unwrap(), Desk::default());
        let service = bus.serve(OfficeServer::new(desk.clone()));
        Self {
            serving: service.drain_within(Duration::ZERO).await.unwrap(),
            client: OfficeClient::new(&bus),
            transport,
            replies,
            broker,
            bus,
            desk,
        }
    }

    /// All that is asked rightly is answered.
    async fn is_well(&self) {
        let client = &self.client;
        assert_eq!(client.job(7).await.unwrap(), 7);
        assert_eq!(client.retried(7).await.unwrap(), 7);
        assert_eq!(client.own(7).await.unwrap(), 7);
        assert_eq!(client.plain(7).await.unwrap(), 7);
        assert_eq!(client.ask(7).await.unwrap(), 7);
        let listed = client.list(100).await.unwrap();
        assert_eq!(timeout(MINUTE, listed.count()).await.unwrap(), 100);
    }

    async fn is_drained(&self) {
        eventually("nothing is left", || async {
            let state = self.bus.inspect(QUEUE).await.unwrap().unwrap();
            let instances = self.bus.instances(QUEUE).await.unwrap();
            // The one who looks is no delivery.
            state.waiting == 0 && instances.iter().all(|instance| instance.in_flight == 0)
        })
        .await;
    }
}

fn message(kind: &str, body: &[u8], headers: &[(&str, &str)]) -> Message {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| ((*name).into(), (*value).into()));
    Message {
        routing_key: QUEUE.into(),
        properties: Properties {
            correlation_id: Some(CallId::new().to_string().into()),
            kind: Some(kind.into()),
            content_type: Some("application/json".into()),
            persistent: true,
            headers: headers.collect(),
            ..Properties::default()
        },
        body: body.to_vec().into(),
        ..Message::default()
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_say_what_they_are_not_do_no_harm() {
    let world = World::new().await;
    let long = "9".repeat(30_000);
    let many: Vec<_> = (0..500)
        .map(|run| format!("x-replybus-retry-error-{run}"))
        .collect();
    let errors: Vec<_> = many.iter().map(|name| (name.as_str(), "forged")).collect();
    let sets: [&[(&str, &str)]; 19] = [
        &[("x-replybus-job-started", "true")],
        &[("x-replybus-job-started", "true"), ("repeated", "true")],
        &[("x-replybus-job-started", "true"), ("idempotency-key", "")],
        &[("x-replybus-job-started", "perhaps")],
        &[("x-replybus-job-missed", "true")],
        &[
            ("x-replybus-job-started", "true"),
            ("x-replybus-job-missed", "true"),
        ],
        &[("x-replybus-retries", "4294967295")],
        &[("x-replybus-retries", "-1")],
        &[("x-replybus-retries", &long)],
        &[("x-replybus-retries", "1"), ("repeated", "true")],
        &errors,
        &[("x-replybus-stream", "0")],
        &[("x-replybus-stream", "4294967295")],
        &[("x-replybus-stream", &long)],
        &[("x-replybus-stream", "-1")],
        &[
            ("x-replybus-due", &long),
            ("deadline", "18446744073709551615"),
        ],
        &[("x-replybus-due", "1"), ("deadline", "0")],
        &[("deadline", "18446744073709551615")],
        &[("x-replybus-job-started", "true"), ("deadline", "0")],
    ];
    let store = &world.bus;
    for method in METHODS {
        for headers in sets {
            for body in [
                &br#"{"number":0}"#[..],
                b"{}",
                b"",
                b"[[[[",
                &[0xc1; 300_000],
            ] {
                for (one_way, inbox) in [(false, None), (true, None), (false, Some("elsewhere"))] {
                    let mut message = message(method, body, headers);
                    message.properties.reply_to = inbox.map(Into::into);
                    if one_way {
                        message.properties.message_id = message.properties.correlation_id.take();
                    }
                    world.transport.publish(Outgoing::new(message));
                }
            }
        }
    }
    world.is_well().await;
    sleep(10 * MINUTE).await;
    world.is_drained().await;
    world.is_well().await;
    let waiting = store.inspect(&format!("{QUEUE}.dead")).await.unwrap();
    let letters = waiting.unwrap().waiting;
    sleep(10 * MINUTE).await;
    let waiting = store.inspect(&format!("{QUEUE}.dead")).await.unwrap();
    assert_eq!(waiting.unwrap().waiting, letters, "letters go round");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_said_to_have_been_started_and_was_not_never_runs() {
    let world = World::new().await;
    let started = [("x-replybus-job-started", "true"), ("idempotency-key", "k")];
    let body = br#"{"number":1}"#;
    world
        .transport
        .publish(Outgoing::new(message("job", body, &started)));
    sleep(MINUTE).await;
    assert_eq!(world.desk.runs.load(Ordering::SeqCst), 0);
    let letters = world.bus.dead_letters(QUEUE).list(0..9).await.unwrap();
    assert_eq!(letters.letters[0].reason(), "interrupted");
    // Nor is its key taken.
    let job = || world.client.job(1).idempotency_key("k");
    assert_eq!(job().await.unwrap(), 1);
    // One that is done is answered from the record, for all that the message says.
    world
        .transport
        .publish(Outgoing::new(message("job", body, &started)));
    sleep(MINUTE).await;
    assert_eq!(world.desk.runs.load(Ordering::SeqCst), 1);
    assert_eq!(job().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_over_the_control_line_wrongly_does_no_harm() {
    let world = World::new().await;
    let mut counted = world.client.count().await.unwrap();
    assert_eq!(counted.next().await.unwrap().unwrap(), 0);
    let watching = tokio::spawn(world.client.watch().into_future());
    eventually("it runs", || async {
        world.desk.watching.load(Ordering::SeqCst) == 1
    })
    .await;
    let bodies: [Vec<u8>; 9] = [
        Vec::new(),
        vec![0; 19],
        vec![255; 20],
        vec![255; 20_000],
        vec![255; 29],
        vec![255; 29_000],
        vec![255; 28],
        vec![0xdd; 1024],
        br#"{"within_ms":18446744073709551615}"#.to_vec(),
    ];
    let kinds = [
        "cancel",
        "stream",
        "ping",
        "info",
        "stats",
        "drain",
        "",
        "replybus/bundle",
    ];
    for kind in kinds {
        for body in &bodies {
            for content_type in ["application/json", "application/msgpack", "text/plain"] {
                for _ in 0..20 {
                    let mut message = message(kind, body, &[]);
                    message.exchange = CONTROL.into();
                    message.properties.content_type = Some(content_type.into());
                    world.transport.publish(Outgoing::new(message));
                }
            }
        }
    }
    sleep(5 * SECOND).await;
    for number in 1..5 {
        assert_eq!(counted.next().await.unwrap().unwrap(), number);
    }
    world.is_well().await;
    assert!(!watching.is_finished());
    assert_eq!(world.bus.control(QUEUE).ping().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_served_again_takes_up_what_it_left() {
    let world = World::new().await;
    let watching = tokio::spawn(world.client.watch().into_future());
    let mut counted = world.client.count().await.unwrap();
    assert_eq!(counted.next().await.unwrap().unwrap(), 0);
    let retried = world.client.retried(0).submit().await.unwrap();
    for round in 2..5 {
        eventually("it runs", || async {
            world.desk.watching.load(Ordering::SeqCst) + 1 >= round
        })
        .await;
        sleep(SECOND).await;
        if round == 2 {
            break;
        }
    }
    world.serving.shutdown().await.unwrap();
    // What was sent is read, and then the stream ends.
    let ended = timeout(MINUTE, async {
        loop {
            match counted.next().await {
                Some(Ok(_)) => {}
                ended => return ended,
            }
        }
    });
    assert!(matches!(ended.await.unwrap(), Some(Err(_))));
    let service = world.bus.serve(OfficeServer::new(world.desk.clone()));
    let _serving = service.await.unwrap();
    eventually("it runs again", || async {
        world.desk.watching.load(Ordering::SeqCst) == 2
    })
    .await;
    assert_eq!(
        retried.wait(&world.bus).await.unwrap_err().to_string(),
        "away"
    );
    let mut counted = world.client.count().await.unwrap();
    assert_eq!(counted.next().await.unwrap().unwrap(), 0);
    // And a bus that is closed leaves nothing behind.
    world.bus.close(SECOND).await;
    let ended = timeout(MINUTE, async {
        while let Some(Ok(_)) = counted.next().await {}
    });
    ended.await.unwrap();
    assert!(timeout(MINUTE, watching).await.unwrap().unwrap().is_err());
    let other = Bus::connect(world.broker.clone(), world.replies.clone());
    let other = other.await.unwrap();
    let service = other.serve(OfficeServer::new(world.desk.clone()));
    let _serving = service.await.unwrap();
    assert_eq!(OfficeClient::new(&other).plain(7).await.unwrap(), 7);
}
