//! A service that programs in other languages call and serve, and what callers in ours ask of one
//! that they serve.

use futures_util::{StreamExt as _, stream};
use redis::aio::MultiplexedConnection;
use replybus::{
    Amqp, Bus, CallError, CancelOutcome, ContentType, Context, Event, FailureKind, join,
    queue_handler, stream::Items,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    live::{rabbitmq, redis, unique},
    redis::connect,
    wait::bounded,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    text: String,
    numbers: Vec<i64>,
    largest: u64,
    share: f64,
    inner: Option<Box<Note>>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum DeskError {
    Full(u32),
    Refused { why: String },
}

#[queue_handler("desk.requests", timeout = "30s")]
pub(super) trait Desk {
    /// Says what it was told.
    #[query]
    async fn echo(&self, note: Note) -> Result<Note, DeskError>;

    /// Adds to a sum, which may be 100.
    async fn add(&self, to: String, amount: u32) -> Result<u32, DeskError>;

    /// Waits until it is cancelled.
    #[query]
    async fn wait(&self) -> Result<(), DeskError>;

    /// How many of those were cancelled.
    #[query]
    async fn cancelled(&self) -> Result<u32, DeskError>;

    /// Works until it is told to stop.
    async fn work(&self) -> Result<String, DeskError>;

    /// Counts; at 1,000 it is full.
    #[stream]
    async fn count(&self, to: u32) -> Result<Items<u32, DeskError>, DeskError>;

    /// Who calls, and what came with the call.
    #[query]
    async fn who(&self) -> Result<BTreeMap<String, String>, DeskError>;

    /// The worker of its first run dies, or, if it is told to fail, its handler does.
    async fn fragile(&self, fails: bool) -> Result<u32, DeskError>;
}

#[derive(Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event("desk.noted")]
pub(super) struct Noted {
    number: u32,
}

#[derive(Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event("desk.heard")]
pub(super) struct Heard {
    number: u32,
}

#[derive(Debug, Default)]
pub(super) struct OurDesk {
    sums: Mutex<BTreeMap<String, u32>>,
    cancelled: AtomicU32,
}

/// Counts what is dropped before its end.
struct Waits<'a>(&'a AtomicU32);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Desk for OurDesk {
    async fn echo(&self, note: Note) -> Result<Note, DeskError> {
        Ok(note)
    }

    async fn add(&self, to: String, amount: u32) -> Result<u32, DeskError> {
        let mut sums = self.sums.lock().unwrap();
        let sum = sums.entry(to).or_default();
        if *sum + amount > 100 {
            return Err(DeskError::Full(100));
        }
        *sum += amount;
        Ok(*sum)
    }

    async fn wait(&self) -> Result<(), DeskError> {
        let _waits = Waits(&self.cancelled);
        std::future::pending().await
    }

    async fn cancelled(&self) -> Result<u32, DeskError> {
        Ok(self.cancelled.load(Ordering::Relaxed))
    }

    async fn work(&self) -> Result<String, DeskError> {
        Context::current().cancelled().await;
        Ok("told".to_owned())
    }

    async fn count(&self, to: u32) -> Result<Items<u32, DeskError>, DeskError> {
        Ok(Items::new(stream::iter(0..to).map(|number| match number {
            1_000 => Err(DeskError::Full(number)),
            _ => Ok(number),
        })))
    }

    async fn who(&self) -> Result<BTreeMap<String, String>, DeskError> {
        let context = Context::current();
        let caller = context.caller().unwrap_or_default().to_owned();
        let tenant = context.metadata().get("tenant").unwrap_or_default();
        let trace = context
            .trace()
            .map(|trace| format!("{:032x}", trace.trace_id()));
        Ok([
            ("caller".to_owned(), caller),
            ("tenant".to_owned(), tenant.to_owned()),
            ("trace".to_owned(), trace.unwrap_or_default()),
        ]
        .into())
    }

    async fn fragile(&self, _: bool) -> Result<u32, DeskError> {
        Err(DeskError::Refused {
            why: "it is not asked of ours".to_owned(),
        })
    }
}

/// A bus in a namespace of its own, and where its servers are.
pub(super) struct Place {
    pub(super) servers: [String; 3],
    pub(super) bus: Bus,
}

impl Place {
    pub(super) async fn open(name: &str) -> Option<Self> {
        let (amqp, redis) = (rabbitmq().await?, redis().await?);
        let namespace = unique(name);
        let bus = Bus::builder().namespace(&namespace).app_id("rust");
        let connected = bus.connect(Amqp::new(&amqp), RedisReplies::new(&redis));
        Some(Self {
            bus: connected.await.unwrap(),
            servers: [amqp, redis, namespace],
        })
    }

    /// A connection to its Redis.
    pub(super) async fn redis(&self) -> MultiplexedConnection {
        let [_, redis, _] = &self.servers;
        connect(redis).await.unwrap()
    }

    /// Removes what was declared in its namespace.
    pub(super) async fn close(self) {
        self.close_with([]).await;
    }

    /// The same, and these queues of the namespace.
    pub(super) async fn close_with(self, queues: impl IntoIterator<Item = String>) {
        self.bus.close(Duration::from_secs(5)).await;
        let own = ["desk.requests", "notes", "listeners"];
        let own = own.into_iter().flat_map(with_letters);
        remove(&self.servers, own.chain(queues)).await;
    }
}

/// A queue, and that of its dead letters.
pub(super) fn with_letters(queue: &str) -> [String; 2] {
    [queue.to_owned(), format!("{queue}.dead")]
}

/// Removes queues of a namespace, as far as they are there.
pub(super) async fn remove(
    [amqp, _, namespace]: &[String; 3],
    queues: impl IntoIterator<Item = String>,
) {
    let transport = Amqp::new(amqp).connect().await.unwrap();
    for queue in queues {
        let queue = format!("{namespace}.{queue}");
        let _ = transport.remove(&queue, &[], true).await;
    }
    transport.close(Duration::from_secs(5)).await;
}

fn note() -> Note {
    let inner = Note {
        text: "ü €, and \"quotes\"\n".to_owned(),
        numbers: vec![],
        largest: 0,
        share: -1.0,
        inner: None,
    };
    Note {
        text: String::new(),
        numbers: vec![-1, 0, 1 << 40],
        largest: 1 << 53,
        share: 0.5,
        inner: Some(Box::new(inner)),
    }
}

/// Asks of a service in another language what callers in ours ask of any.
pub(super) async fn ask(place: &Place) {
    for content_type in [ContentType::MessagePack, ContentType::Json] {
        let desk = DeskClient::new(&place.bus).with_content_type(content_type);
        assert_eq!(desk.echo(note()).await.unwrap(), note());
        values_and_errors(&desk, &format!("{content_type:?}")).await;
        streams(&desk).await;
        let asked = (0..200).map(|_| desk.echo(note()));
        for answer in join(asked).await {
            assert_eq!(answer.unwrap(), note());
        }
    }
    let desk = DeskClient::new(&place.bus);
    let who = desk.who().metadata("tenant", "b").await.unwrap();
    let said = |name: &str| who.get(name).cloned().unwrap_or_default();
    assert_eq!([said("caller"), said("tenant")], ["rust", "b"]);
    assert_eq!(said("trace").len(), 32);
    cancels(place, &desk).await;
}

async fn values_and_errors(desk: &DeskClient, to: &str) {
    let add = |amount| desk.add(to.to_owned(), amount);
    for _ in 0..2 {
        assert_eq!(add(60).idempotency_key(to).await.unwrap(), 60);
    }
    let conflict = add(61).idempotency_key(to).await.unwrap_err();
    assert_eq!(kind(&conflict), (FailureKind::KeyConflict, false));
    for key in [None, Some(format!("{to}-full")), Some(format!("{to}-full"))] {
        let call = match key {
            Some(key) => add(60).idempotency_key(key),
            None => add(60),
        };
        match call.await {
            Err(CallError::Handler(error)) => assert_eq!(error, DeskError::Full(100)),
            other => panic!("{other:?}"),
        }
    }
    let failed = desk.fragile(true).await.unwrap_err();
    assert_eq!(kind(&failed), (FailureKind::Panicked, true));
}

fn kind<E: std::fmt::Debug>(error: &CallError<E>) -> (FailureKind, bool) {
    match error {
        CallError::Bus(failure) => (failure.kind(), failure.may_have_executed()),
        CallError::Handler(error) => panic!("{error:?}"),
    }
}

async fn streams(desk: &DeskClient) {
    let mut numbers = desk.count(900).window_bytes(512).await.unwrap();
    for expected in 0..900 {
        assert_eq!(numbers.next().await.unwrap().unwrap(), expected);
    }
    assert!(numbers.next().await.is_none());
    let mut numbers = desk.count(2_000).await.unwrap();
    for expected in 0..1_000 {
        assert_eq!(numbers.next().await.unwrap().unwrap(), expected);
    }
    let full = numbers.next().await.unwrap();
    assert!(matches!(
        full,
        Err(CallError::Handler(DeskError::Full(1_000)))
    ));
    // Left early, it ends.
    drop(desk.count(u32::MAX).window_bytes(512).await.unwrap());
}

async fn cancels(place: &Place, desk: &DeskClient) {
    // One that is cancelled too soon is never started.
    let mut ticket = desk.work().submit().await.unwrap();
    bounded(async {
        while !matches!(ticket.cancel(&place.bus).await, Ok(CancelOutcome::Running)) {
            ticket = desk.work().submit().await.unwrap();
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(ticket.wait(&place.bus).await.unwrap(), "told");
    bounded(async {
        while desk.cancelled().await.unwrap() == 0 {
            // Dropped, it is cancelled; if that was too soon, it was never started.
            let waits = desk.wait().into_future();
            let _ = timeout(Duration::from_millis(100), waits).await;
        }
    })
    .await;
}

/// Asks many questions at once, and many commands, each of which is to be done once.
pub(super) async fn ask_at_once(place: &Place, to: &str) {
    let desk = DeskClient::new(&place.bus);
    let echoes = (0..100).map(|_| desk.echo(note()));
    let adds = (0..50).map(|number| {
        let add = desk.add(to.to_owned(), 1);
        add.idempotency_key(format!("{to}-{number}"))
    });
    let (echoes, adds) = tokio::join!(join(echoes), join(adds));
    for echo in echoes {
        assert_eq!(echo.unwrap(), note());
    }
    for add in adds {
        add.unwrap();
    }
    assert_eq!(desk.add(to.to_owned(), 0).await.unwrap(), 50);
}

/// A command whose worker died is run again by another one.
pub(super) async fn outlives_a_worker(place: &Place) {
    let desk = DeskClient::new(&place.bus);
    assert_eq!(desk.fragile(false).await.unwrap(), 2);
}

/// Events go both ways: the program in the other language says what it heard.
pub(super) async fn events(place: &Place) {
    let (told, mut heard) = mpsc::unbounded_channel();
    let listening = place.bus.subscribe("listeners", move |event: Heard| {
        let told = told.clone();
        async move {
            let _ = told.send(event.number);
            Ok::<_, std::convert::Infallible>(())
        }
    });
    let listening = listening.await.unwrap();
    place.bus.emit(&Noted { number: 7 }).await.unwrap();
    assert_eq!(bounded(heard.recv()).await, Some(7));
    listening.shutdown().await.unwrap();
}
