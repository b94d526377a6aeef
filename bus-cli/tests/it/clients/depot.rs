//! A service whose calls come later, are put off, or keep a record of their own; in ours, and as
//! callers in ours ask one in another language.

use super::desk::{Place, with_letters};
use replybus::{
    Amqp, CallError, CancelOutcome, ContentType, Context, Event, Never, RetryLater as _,
    delayed::DelayedKind,
    queue_handler,
    schema::{JsonSchema, schemars},
    transport::{QueueSpec, Settled, Source},
};
use replybus_testkit::wait::bounded;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(super) enum DepotError {
    Busy(u32),
}

#[queue_handler("depot.requests", timeout = "30s")]
pub(super) trait Depot {
    /// When it was done, in milliseconds since the Unix epoch.
    async fn stamp(&self) -> Result<u64, Never>;

    /// Fails so often of what passes, and then says which run it is. Its pauses are short.
    #[command(retry(max = 3, base = "20ms"))]
    async fn stubborn(&self, fails: u32) -> Result<u32, DepotError>;

    /// The same, with pauses for which its message waits on the broker.
    #[command(retry(max = 2, base = "1100ms"))]
    async fn patient(&self, fails: u32) -> Result<u32, DepotError>;

    /// Fails of what passes, if it is to, and has no policy.
    async fn plain(&self, fails: bool) -> Result<u32, DepotError>;

    /// Says how often it was done under its key: once, by the record of its handler.
    #[command(own_record)]
    async fn noted(&self, dies: bool) -> Result<u32, Never>;
}

#[derive(Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
#[event("depot.late")]
pub(super) struct Late {
    due_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct OurDepot {
    done: Mutex<BTreeMap<String, u32>>,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

/// The number of this run; the error of one that passes if there are to be more.
fn run(fails: u32) -> Result<u32, DepotError> {
    match Context::current().attempt() {
        attempt if attempt <= fails => Err(DepotError::Busy(attempt)).retry_later(),
        attempt => Ok(attempt),
    }
}

impl Depot for OurDepot {
    async fn stamp(&self) -> Result<u64, Never> {
        Ok(now())
    }

    async fn stubborn(&self, fails: u32) -> Result<u32, DepotError> {
        run(fails)
    }

    async fn patient(&self, fails: u32) -> Result<u32, DepotError> {
        run(fails)
    }

    async fn plain(&self, fails: bool) -> Result<u32, DepotError> {
        match fails {
            true => Err(DepotError::Busy(0)).retry_later(),
            false => Ok(0),
        }
    }

    async fn noted(&self, _: bool) -> Result<u32, Never> {
        let context = Context::current();
        let id = context.call_id().unwrap().to_string();
        let name = context.idempotency_key().map_or(id, str::to_owned);
        let mut done = self.done.lock().unwrap();
        Ok(*done.entry(name).or_insert(1))
    }
}

const BOTH: [ContentType; 2] = [ContentType::MessagePack, ContentType::Json];
const SECOND: Duration = Duration::from_secs(1);

/// Makes calls for later, which are not early.
pub(super) async fn asks_for_later(place: &Place) {
    for content_type in BOTH {
        let depot = DepotClient::new(&place.bus).with_content_type(content_type);
        let due = now() + 1_000;
        let ticket = depot.stamp().submit_after(SECOND).await.unwrap();
        let done = bounded(ticket.wait(&place.bus)).await.unwrap();
        assert!(done >= due, "{done} is before {due}");
        let far = depot.stamp().idempotency_key(format!("{content_type:?}"));
        let ticket = far.submit_after(3_600 * SECOND).await.unwrap();
        let cancelled = ticket.cancel(&place.bus).await.unwrap();
        assert!(matches!(cancelled, CancelOutcome::NeverStarted));
    }
}

/// Hears what a program in another language has emitted for later, until it is heard in both
/// encodings; none of it is early.
pub(super) async fn hears_late(place: &Place, while_it: impl Future<Output = ()>) {
    let (told, mut heard) = mpsc::unbounded_channel();
    let listening = place.bus.subscribe("listeners", move |late: Late| {
        let _ = told.send((late.due_ms, now()));
        async { Ok::<_, std::convert::Infallible>(()) }
    });
    let listening = listening.await.unwrap();
    while_it.await;
    for _ in BOTH {
        let (due, at) = bounded(heard.recv()).await.unwrap();
        assert!(at >= due, "{at} is before {due}");
    }
    listening.shutdown().await.unwrap();
}

/// What a program in another language left for an hour from now is listed, as what it cancelled is
/// not.
pub(super) async fn lists_what_waits(place: &Place) {
    let waiting = place.bus.delayed("depot.requests").await.unwrap();
    let is_ours = |kind, name: &str| {
        let found = waiting.iter();
        found
            .filter(|one| one.kind == kind && one.name == name)
            .count()
    };
    assert_eq!(
        is_ours(DelayedKind::Call, "stamp"),
        BOTH.len(),
        "{waiting:?}"
    );
}

/// Asks for what is put off, until it is done or no run is left.
pub(super) async fn asks_what_is_put_off(place: &Place) {
    for content_type in BOTH {
        let depot = DepotClient::new(&place.bus).with_content_type(content_type);
        assert_eq!(depot.stubborn(2).await.unwrap(), 3);
        assert_eq!(depot.patient(1).await.unwrap(), 2);
        let key = format!("{content_type:?}");
        for _ in 0..2 {
            // Not recorded: the same key is run again.
            let last = depot.stubborn(9).idempotency_key(&key).await.unwrap_err();
            assert!(
                matches!(last, CallError::Handler(DepotError::Busy(4))),
                "{last:?}"
            );
        }
        // The next run would be after the deadline.
        let soon = depot.patient(1).timeout(SECOND).await.unwrap_err();
        assert!(
            matches!(soon, CallError::Handler(DepotError::Busy(1))),
            "{soon:?}"
        );
        // Without a policy the error is answered, and is not recorded either.
        let failed = depot.plain(true).await.unwrap_err();
        assert!(matches!(failed, CallError::Handler(DepotError::Busy(0))));
        // Nobody waits for it, and it is done all the same.
        let ticket = depot.patient(1).submit().await.unwrap();
        assert_eq!(bounded(ticket.wait(&place.bus)).await.unwrap(), 2);
    }
}

/// Those of which no run was left are dead letters, with the error of each run.
pub(super) async fn keeps_what_was_put_off_in_vain(place: &Place, count: usize) {
    let [amqp, _, namespace] = &place.servers;
    let transport = Amqp::new(amqp).connect().await.unwrap();
    let dead = QueueSpec::new(format!("{namespace}.depot.requests.dead")).or_existing();
    let mut letters = transport.consume(Source::new(dead, 100)).await.unwrap();
    for _ in 0..count {
        let letter = bounded(letters.next()).await.unwrap();
        let properties = &letter.message.properties;
        assert_eq!(properties.header("dead-letter-reason"), Some("handler"));
        assert_eq!(properties.header("dead-letter-attempts"), Some("4"));
        assert_eq!(properties.header("x-replybus-retries"), Some("4"));
        for run in 1..=4 {
            let error = properties.header(&format!("x-replybus-retry-error-{run}"));
            assert_eq!(
                error,
                Some(&*format!("{{\"Busy\":{run}}}")),
                "{properties:?}"
            );
        }
        letter.settler.settle(Settled::Ack);
    }
    letters.stop().await;
    transport.close(Duration::from_secs(5)).await;
}

/// A command that keeps a record of its own is done once, though its worker died with it.
pub(super) async fn is_noted_once(place: &Place) {
    let depot = DepotClient::new(&place.bus);
    for _ in 0..2 {
        let noted = depot.noted(true).idempotency_key("once");
        assert_eq!(noted.await.unwrap(), 1);
    }
}

/// There is no claim of such a command.
pub(super) async fn has_no_claim(place: &Place) {
    let [_, _, namespace] = &place.servers;
    let mut link = place.redis().await;
    let pattern = format!("replybus:{namespace}.claim:depot.requests:noted:*");
    let mut keys = redis::cmd("KEYS");
    let keys: Vec<String> = keys.arg(pattern).query_async(&mut link).await.unwrap();
    assert!(keys.is_empty(), "{keys:?}");
}

/// Removes what was declared in a namespace.
pub(super) async fn remove(place: Place) {
    let [_, _, namespace] = place.servers.clone();
    let served = ["depot.requests", "scale.requests"];
    let served = served.into_iter().flat_map(with_letters);
    let delays = (0..25).map(|level| format!("{}s", 1_u64 << level));
    let delays = delays.chain([
        "lost".to_owned(),
        "unheard".to_owned(),
        "due.depot.requests".to_owned(),
        format!("due.{namespace}.replybus.events:depot.late"),
        format!("due.{namespace}.depot.requests"),
    ]);
    let delays = delays.map(|of| format!("replybus.delay.{of}"));
    place.close_with(served.chain(delays)).await;
}
