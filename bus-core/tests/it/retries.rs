//! Commands that their handlers put off, by a paused clock.

use crate::{
    between::{Between, Hook},
    delays::Older,
};
use replybus::{
    Bus, CallError, CallId, CancelOutcome, Context, Event, FailureKind, RetryLater,
    contract::RetryPolicy,
    dead_letters::DeadLetter,
    limits::{RETRY_ERROR_BYTES_MAX, RETRY_HELD_MAX},
    message::{Message, Properties},
    queue_handler,
    reply::memory::MemoryReplies,
    server::Serving,
    transport::{
        Delay, Outgoing, Receipt, Transport, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Unpaid {
    Declined,
    NoBank { attempt: u32 },
}

#[queue_handler("payment.requests", timeout = "60s")]
trait Payments {
    /// Fails as often as `failures` says, of an error that passes, and returns the attempt.
    #[command(retry(max = 3, base = "500ms", max_delay = "4s"))]
    async fn pay(&self, name: String, failures: u32) -> Result<u32, Unpaid>;

    /// The same, with pauses that are all held.
    #[command(retry(max = 3, base = "100ms"))]
    async fn soon(&self, name: String, failures: u32) -> Result<u32, Unpaid>;

    /// The same, with pauses of which none is held.
    #[command(retry(max = 3, base = "2s", max_delay = "2s"))]
    async fn later(&self, name: String, failures: u32) -> Result<u32, Unpaid>;

    /// The same, with pauses that are longer than the broker is tried for.
    #[command(retry(max = 3, base = "90s", max_delay = "90s"))]
    async fn much_later(&self, name: String, failures: u32) -> Result<u32, Unpaid>;

    /// The same, under no claim.
    #[command(own_record, retry(max = 3, base = "800ms"))]
    async fn own(&self, name: String, failures: u32) -> Result<u32, Unpaid>;

    /// The same, and is answered.
    async fn once(&self, name: String, failures: u32) -> Result<u32, Unpaid>;

    /// Is declined, which does not pass.
    #[command(retry)]
    async fn decline(&self, name: String) -> Result<(), Unpaid>;

    /// Fails once of an error that passes, and is declined then.
    #[command(retry(base = "100ms"))]
    async fn decline_later(&self, name: String) -> Result<u32, Unpaid>;

    /// Panics at its second run.
    #[command(retry(base = "2s"))]
    async fn panic(&self, name: String) -> Result<(), Unpaid>;

    /// As [`later`](Self::later); takes a second, in which nobody else may be at it.
    #[command(retry(max = 3, base = "2s", max_delay = "2s"))]
    async fn careful(&self, name: String, failures: u32) -> Result<u32, Unpaid>;

    /// Returns an error that is as long as it is told.
    #[command(retry(max = 1, base = "1ms"))]
    async fn complain(&self, bytes: usize) -> Result<(), String>;
}

/// One run: when it began, which attempt it was, under which id and key, with what metadata.
#[derive(Debug, Clone, PartialEq)]
struct Ran {
    at: Instant,
    attempt: u32,
    id: Option<CallId>,
    key: Option<String>,
    tenant: Option<String>,
    has_deadline: bool,
}

#[derive(Debug, Clone, Default)]
struct Bank(Arc<Mutex<BTreeMap<String, Vec<Ran>>>>);

impl Bank {
    fn runs(&self, name: &str) -> Vec<Ran> {
        self.0
            .lock()
            .unwrap()
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    /// The pauses between the runs.
    fn pauses(&self, name: &str) -> Vec<Duration> {
        let runs = self.runs(name);
        let pairs = runs.windows(2);
        let apart = |pair: &[Ran]| match pair {
            [before, after] => after.at - before.at,
            _ => Duration::ZERO,
        };
        pairs.map(apart).collect()
    }

    fn run(&self, name: String, failures: u32) -> Result<u32, Unpaid> {
        let context = Context::current();
        let attempt = context.attempt();
        let mut all = self.0.lock().unwrap();
        let runs = all.entry(name).or_default();
        runs.push(Ran {
            at: Instant::now(),
            attempt,
            id: context.call_id(),
            key: context.idempotency_key().map(str::to_owned),
            tenant: context.metadata().get("tenant").map(str::to_owned),
            has_deadline: context.deadline().is_some(),
        });
        let failed = runs.len() <= usize::try_from(failures).unwrap();
        let outcome = if failed {
            Err(Unpaid::NoBank { attempt })
        } else {
            Ok(attempt)
        };
        outcome.retry_later()
    }
}

impl Payments for Bank {
    async fn much_later(&self, name: String, failures: u32) -> Result<u32, Unpaid> {
        self.run(name, failures)
    }

    async fn pay(&self, name: String, failures: u32) -> Result<u32, Unpaid> {
        self.run(name, failures)
    }

    async fn soon(&self, name: String, failures: u32) -> Result<u32, Unpaid> {
        self.run(name, failures)
    }

    async fn later(&self, name: String, failures: u32) -> Result<u32, Unpaid> {
        self.run(name, failures)
    }

    async fn own(&self, name: String, failures: u32) -> Result<u32, Unpaid> {
        self.run(name, failures)
    }

    async fn once(&self, name: String, failures: u32) -> Result<u32, Unpaid> {
        self.run(name, failures)
    }

    async fn decline(&self, name: String) -> Result<(), Unpaid> {
        self.run(name, 0).and(Err(Unpaid::Declined))
    }

    async fn decline_later(&self, name: String) -> Result<u32, Unpaid> {
        self.run(name, 1).and(Err(Unpaid::Declined))
    }

    async fn panic(&self, name: String) -> Result<(), Unpaid> {
        match self.run(name, 1) {
            Ok(_) => panic!("on purpose"),
            Err(error) => Err(error),
        }
    }

    async fn careful(&self, name: String, failures: u32) -> Result<u32, Unpaid> {
        let inside = INSIDE.fetch_add(1, Ordering::SeqCst);
        assert_eq!(inside, 0, "two runs at once");
        tokio::time::sleep(SECOND).await;
        INSIDE.fetch_sub(1, Ordering::SeqCst);
        self.run(name, failures)
    }

    async fn complain(&self, bytes: usize) -> Result<(), String> {
        Err("x".repeat(bytes)).retry_later()
    }
}

/// Runs of [`Payments::careful`] that go on.
static INSIDE: AtomicU32 = AtomicU32::new(0);

struct World {
    bus: Bus,
    transport: Arc<MemoryTransport>,
    bank: Bank,
    client: PaymentsClient,
    serving: Serving,
}

impl World {
    async fn new() -> Self {
        let transport = Arc::new(MemoryBroker::new().connect());
        let bus = Bus::connect(Arc::clone(&transport), MemoryReplies::new());
        let (bus, bank) = (bus.await.unwrap(), Bank::default());
        let serving = bus.serve(PaymentsServer::new(bank.clone())).await.unwrap();
        Self {
            client: PaymentsClient::new(&bus),
            bus,
            transport,
            bank,
            serving,
        }
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        letters(&self.bus, "payment.requests", 0).await
    }

    async fn has_letters(&self, count: usize) -> Vec<DeadLetter> {
        letters(&self.bus, "payment.requests", count).await
    }
}

/// Waits until a queue has so many.
async fn letters(bus: &Bus, queue: &str, count: usize) -> Vec<DeadLetter> {
    loop {
        let letters = bus.dead_letters(queue).list(0..100).await.unwrap().letters;
        if letters.len() >= count {
            return letters;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn handler<T: std::fmt::Debug>(outcome: Result<T, CallError<Unpaid>>) -> Unpaid {
    outcome.unwrap_err().into_handler().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_error_that_passes_is_tried_again_as_one_call() {
    let world = World::new().await;
    let call = world.client.pay("a".into(), 3).idempotency_key("k");
    assert_eq!(call.metadata("tenant", "acme").await.unwrap(), 4);
    let pauses = world.bank.pauses("a");
    assert_eq!(pauses[0].as_millis(), 500);
    assert_eq!(pauses[1].as_millis(), 1000);
    // By way of the broker, which counts in whole seconds.
    assert!(
        pauses[2] >= 2 * SECOND && pauses[2] < 3 * SECOND,
        "{pauses:?}"
    );
    let runs = world.bank.runs("a");
    for (run, attempt) in runs.iter().zip(1..) {
        let at = run.at;
        let expected = Ran {
            at,
            attempt,
            ..runs[0].clone()
        };
        assert_eq!(*run, expected);
    }
    let first = &runs[0];
    assert_eq!(
        (first.key.as_deref(), first.tenant.as_deref()),
        (Some("k"), Some("acme"))
    );
    assert!(first.has_deadline);
    // The outcome is recorded: the same key is answered.
    let again = world.client.pay("a".into(), 3).idempotency_key("k");
    assert_eq!(again.await.unwrap(), 4);
    assert_eq!(world.bank.runs("a").len(), 4);
    assert!(world.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_it_comes_to_is_recorded_whatever_the_runs_before_it_came_to() {
    let world = World::new().await;
    for _ in 0..2 {
        let call = world.client.decline_later("a".into());
        assert_eq!(handler(call.idempotency_key("k").await), Unpaid::Declined);
        assert_eq!(world.bank.runs("a").len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn every_verb_and_kind_of_command_is_tried_again() {
    let world = World::new().await;
    let client = &world.client;
    assert_eq!(client.own("own".into(), 2).await.unwrap(), 3);
    let ticket = client.later("submitted".into(), 2).submit().await.unwrap();
    client.later("sent".into(), 2).send().await.unwrap();
    client
        .pay("delayed".into(), 3)
        .send_after(SECOND)
        .await
        .unwrap();
    assert_eq!(ticket.wait(&world.bus).await.unwrap(), 3);
    tokio::time::sleep(60 * SECOND).await;
    for (name, runs) in [("own", 3), ("submitted", 3), ("sent", 3), ("delayed", 4)] {
        let ran = world.bank.runs(name);
        let attempts: Vec<_> = ran.iter().map(|run| run.attempt).collect();
        assert_eq!(attempts, (1..=runs).collect::<Vec<_>>(), "{name}");
        assert_eq!(ran[0].has_deadline, name == "own");
        assert!(
            ran.iter()
                .all(|run| run.id == ran[0].id && run.has_deadline == ran[0].has_deadline)
        );
    }
    assert!(world.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn when_no_run_is_left_the_caller_has_the_error_and_a_letter_all_of_them() {
    let world = World::new().await;
    for (number, call) in [
        world.client.pay("a".into(), 99),
        world.client.soon("a".into(), 99),
        world.client.later("a".into(), 99),
        world.client.own("a".into(), 99),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(handler(call.await), Unpaid::NoBank { attempt: 4 });
        let letters = world.has_letters(number + 1).await;
        let letter = &letters[number];
        assert_eq!((letter.reason(), letter.attempts()), ("handler", Some(4)));
        assert!(letter.error().contains("put it off"), "{}", letter.error());
        let errors: Vec<_> = letter.retry_errors().collect();
        let of = |attempt| format!("{{\"NoBank\":{{\"attempt\":{attempt}}}}}");
        assert_eq!(errors, (1..=4).map(of).collect::<Vec<_>>());
    }
    // Nobody waits for these, and each is kept once.
    world.client.later("sent".into(), 99).send().await.unwrap();
    assert_eq!(world.has_letters(5).await[4].retry_errors().count(), 4);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(world.letters().await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_put_back_begins_anew_and_its_error_is_no_outcome() {
    let world = World::new().await;
    let pay = || world.client.pay("a".into(), 5).idempotency_key("k");
    assert_eq!(handler(pay().await), Unpaid::NoBank { attempt: 4 });
    world.has_letters(1).await;
    let letters = world.bus.dead_letters("payment.requests");
    assert_eq!(letters.redrive(|_| true).await.unwrap().redriven, 1);
    tokio::time::sleep(20 * SECOND).await;
    let attempts: Vec<_> = world.bank.runs("a").iter().map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 1, 2]);
    assert_eq!(pay().await.unwrap(), 2);
    assert!(world.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_is_never_tried_again_past_its_deadline() {
    let world = World::new().await;
    let started = Instant::now();
    let call = world.client.later("a".into(), 99).timeout(2 * SECOND);
    assert_eq!(handler(call.await), Unpaid::NoBank { attempt: 1 });
    assert!(started.elapsed() < SECOND);
    let held = world.client.soon("b".into(), 99).timeout(SECOND / 5);
    assert_eq!(handler(held.await), Unpaid::NoBank { attempt: 2 });
    // What may be started within a second is not started later, and not forgotten.
    let sent = world.client.later("c".into(), 99).timeout(SECOND);
    sent.send().await.unwrap();
    let letters = world.has_letters(1).await;
    assert_eq!(letters[0].retry_errors().count(), 1);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(world.letters().await.len(), 1);
    assert_eq!(world.bank.runs("c").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_answered_at_once() {
    let world = World::new().await;
    assert_eq!(
        handler(world.client.decline("a".into()).await),
        Unpaid::Declined
    );
    assert_eq!(world.bank.runs("a").len(), 1);
    // And a method without the option answers what it marks, and does not record it.
    let once = || world.client.once("b".into(), 1).idempotency_key("k");
    assert_eq!(handler(once().await), Unpaid::NoBank { attempt: 1 });
    assert_eq!(once().await.unwrap(), 1);
    assert!(world.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_after_it_was_put_off_is_a_panic_and_its_letter_names_the_errors() {
    let world = World::new().await;
    let failed = world.client.panic("a".into()).await.unwrap_err();
    assert_eq!(failed.kind(), Some(FailureKind::Panicked));
    let letters = world.has_letters(1).await;
    assert_eq!(letters[0].reason(), "panicked");
    assert_eq!(letters[0].retry_errors().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_key_is_free_while_it_waits_and_one_run_is_the_effect() {
    let world = World::new().await;
    let pay = || world.client.later("a".into(), 1).idempotency_key("k");
    let first = pay().submit().await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.bank.runs("a").len(), 1);
    assert_eq!(pay().await.unwrap(), 1);
    // The one that waited is answered from the record.
    assert_eq!(first.wait(&world.bus).await.unwrap(), 1);
    assert_eq!(world.bank.runs("a").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_waits_can_be_cancelled() {
    let world = World::new().await;
    let ticket = world.client.later("a".into(), 99).submit().await.unwrap();
    tokio::time::sleep(SECOND).await;
    let outcome = ticket.cancel(&world.bus).await.unwrap();
    assert!(
        matches!(outcome, CancelOutcome::NeverStarted),
        "{outcome:?}"
    );
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(world.bank.runs("a").len(), 1);
    assert!(world.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_one_that_was_cancelled_between_two_runs_knows_of_the_first() {
    let world = World::new().await;
    let mut call = world.client.later("a".into(), 99).timeout(600 * SECOND);
    let handle = call.cancel_handle();
    let call = tokio::spawn(call.into_future());
    tokio::time::sleep(SECOND).await;
    assert_eq!(world.bank.runs("a").len(), 1);
    for _ in 0..2 {
        let outcome = handle.cancel().await.unwrap();
        assert!(
            matches!(outcome, CancelOutcome::NeverStarted),
            "{outcome:?}"
        );
    }
    let failure = call.await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::Cancelled), "{failure:?}");
    assert!(failure.may_have_executed());
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(world.bank.runs("a").len(), 1);
    assert!(world.letters().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn errors_are_bounded() {
    let world = World::new().await;
    for bytes in [0, RETRY_ERROR_BYTES_MAX, 100_000] {
        let failed = world.client.complain(bytes).await.unwrap_err();
        assert_eq!(failed.into_handler().unwrap().len(), bytes);
    }
    let letters = world.has_letters(3).await;
    for (letter, bytes) in letters
        .iter()
        .zip([0, RETRY_ERROR_BYTES_MAX, RETRY_ERROR_BYTES_MAX])
    {
        let lengths: Vec<_> = letter.retry_errors().map(str::len).collect();
        assert_eq!(lengths, [bytes, bytes]);
    }
}

/// As when a worker dies after it put a command aside, and before it acknowledged the delivery: that
/// comes again.
#[tokio::test(start_paused = true)]
async fn a_copy_beside_the_one_that_waits_never_runs_at_the_same_time() {
    let world = World::new().await;
    let mut copy = forged(&[("repeated", "true")]);
    copy.message.properties.kind = Some("careful".into());
    copy.message.body = r#"{"name":"copied","failures":2}"#.into();
    for _ in 0..3 {
        let mut receipt = world.transport.publish(copy.clone());
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }
    tokio::time::sleep(60 * SECOND).await;
    // The third run was the outcome of all of them.
    assert_eq!(world.bank.runs("copied").len(), 3);
    assert!(world.letters().await.is_empty());
    let state = world.bus.inspect("payment.requests").await.unwrap();
    assert_eq!(state.unwrap().waiting, 0);
}

/// A request as some other program writes it.
fn forged(headers: &[(&str, &str)]) -> Outgoing {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| ((*name).into(), (*value).into()));
    Outgoing::new(Message {
        routing_key: "payment.requests".into(),
        properties: Properties {
            message_id: Some(CallId::new().to_string().into()),
            kind: Some("later".into()),
            content_type: Some("application/json".into()),
            persistent: true,
            user_id: Some("somebody".into()),
            headers: headers.collect(),
            ..Properties::default()
        },
        body: r#"{"name":"forged","failures":99}"#.into(),
        ..Message::default()
    })
}

#[tokio::test(start_paused = true)]
async fn what_a_message_says_of_its_runs_is_read_without_trust() {
    let world = World::new().await;
    let long = "y".repeat(40_000);
    for (headers, runs) in [
        (&[("x-replybus-retries", "nine")][..], 1),
        (&[("x-replybus-retries", "4294967295")], 1),
        (&[("x-replybus-retries", "0")], 4),
        (
            &[
                ("x-replybus-retries", "2"),
                ("x-replybus-retry-error-1", &long),
            ],
            2,
        ),
        (
            &[
                ("x-replybus-retry-error-1", "before any run"),
                ("CC", "elsewhere"),
            ],
            4,
        ),
    ] {
        let before = world.bank.runs("forged").len();
        let letters = world.letters().await.len();
        let mut receipt = world.transport.publish(forged(headers));
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
        let letters = world.has_letters(letters + 1).await;
        assert_eq!(
            world.bank.runs("forged").len() - before,
            runs,
            "{headers:?}"
        );
        let of_letter = letters.last().unwrap();
        assert!(
            of_letter
                .retry_errors()
                .all(|error| error.len() <= RETRY_ERROR_BYTES_MAX)
        );
    }
}

/// Where the transport can't delay, the error is the answer, and a letter is kept.
#[tokio::test(start_paused = true)]
async fn what_can_not_be_put_aside_is_answered_and_kept() {
    let world = World::new().await;
    let older = Between::on(&MemoryBroker::new(), Older);
    let bus = Bus::connect(older, MemoryReplies::new()).await.unwrap();
    let service = bus.serve(PaymentsServer::new(world.bank.clone()));
    let _serving = service.on_queue("other.requests").await.unwrap();
    let client = PaymentsClient::new(&bus).on_queue("other.requests");
    assert_eq!(
        handler(client.later("a".into(), 99).await),
        Unpaid::NoBank { attempt: 1 }
    );
    // Which that transport can't look at, either.
    while bus
        .inspect("other.requests.dead")
        .await
        .unwrap()
        .unwrap()
        .waiting
        == 0
    {
        tokio::time::sleep(SECOND).await;
    }
    // Short pauses need none.
    assert_eq!(client.soon("b".into(), 2).await.unwrap(), 3);
}

/// The broker has what is put aside and does not say so, and is away from then on.
#[derive(Debug, Default)]
struct Doubtful(AtomicU32);

impl Hook for Doubtful {
    fn publish_at(&self, outgoing: Outgoing, delay: Delay, on: &MemoryTransport) -> Receipt {
        if self.0.fetch_add(1, Ordering::SeqCst) > 0 {
            return Receipt::told(Verdict::NotWritten);
        }
        drop(on.publish_at(outgoing, delay));
        Receipt::told(Verdict::Lost)
    }
}

#[tokio::test(start_paused = true)]
async fn of_what_may_have_been_put_aside_nobody_is_told_that_it_failed() {
    let bank = Bank::default();
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let doubtful = Between::on(&broker, Doubtful::default());
    let bus = Bus::connect(doubtful, replies.clone()).await.unwrap();
    let serving = bus.serve(PaymentsServer::new(bank.clone()));
    let _serving = serving.await.unwrap();
    let client = PaymentsClient::new(&bus);
    let ticket = client.much_later("a".into(), 1).submit().await.unwrap();
    ticket.wait(&bus).await.unwrap();
    tokio::time::sleep(300 * SECOND).await;
    assert_eq!(bank.runs("a").len(), 2);
    let others = Bus::connect(broker, replies).await.unwrap();
    assert!(letters(&others, "payment.requests", 0).await.is_empty());
}

/// A worker that stops does not wait for what it holds, and loses nothing.
#[tokio::test(start_paused = true)]
async fn what_is_held_when_its_worker_stops_is_run_elsewhere() {
    let world = World::new().await;
    let call = tokio::spawn({
        let call = world.client.pay("a".into(), 1);
        async move { call.await }
    });
    while world.bank.runs("a").is_empty() {
        tokio::task::yield_now().await;
    }
    drop(world.serving);
    let serving = world.bus.serve(PaymentsServer::new(world.bank.clone()));
    let _serving = serving.await.unwrap();
    call.await.unwrap().unwrap();
    assert_eq!(world.bank.runs("a").len(), 2);
    assert!(world.bank.pauses("a")[0] <= RETRY_HELD_MAX);
}

#[derive(Event, Serialize, Deserialize)]
#[event("payment.made")]
struct Made {
    name: String,
}

/// The other group has none of it.
#[tokio::test(start_paused = true)]
async fn an_event_comes_to_its_group_again_until_its_handler_can() {
    let bus = Bus::in_memory();
    let bank = Bank::default();
    let subscribe = |group: &'static str, failures| {
        let bank = bank.clone();
        bus.subscribe(group, move |made: Made| {
            let outcome = bank.run(format!("{group} {}", made.name), failures);
            async move { outcome.map(drop).map_err(|error| format!("{error:?}")) }
        })
    };
    let policy = RetryPolicy::new().max(2).base(60 * SECOND);
    let statements = subscribe("statements", 2)
        .retry_within(Duration::ZERO)
        .retry(policy);
    let _statements = statements.await.unwrap();
    let mail = subscribe("mail", 9)
        .retry_within(Duration::ZERO)
        .retry(policy);
    let _mail = mail.await.unwrap();
    let _other = subscribe("other", 0).await.unwrap();
    bus.emit(&Made { name: "a".into() }).await.unwrap();
    tokio::time::sleep(300 * SECOND).await;
    for (group, runs) in [("statements", 3), ("mail", 3), ("other", 1)] {
        let name = format!("{group} a");
        assert_eq!(bank.runs(&name).len(), runs, "{group}");
        assert!(bank.pauses(&name).iter().all(|pause| *pause >= 60 * SECOND));
    }
    assert!(letters(&bus, "statements", 0).await.is_empty());
    let kept = letters(&bus, "mail", 1).await;
    assert_eq!((kept.len(), kept[0].reason()), (1, "failed"));
    assert_eq!(kept[0].retry_errors().count(), 3);
}

/// Some publishers name a correlation id with each message.
#[tokio::test(start_paused = true)]
async fn an_event_with_a_correlation_id_is_one_when_it_comes_again() {
    let broker = MemoryBroker::new();
    let bus = Bus::connect(broker.clone(), MemoryReplies::new())
        .await
        .unwrap();
    let bank = Bank::default();
    let runs = bank.clone();
    let subscription = bus.subscribe("mail", move |made: Made| {
        let outcome = runs.run(made.name, 1);
        async move { outcome.map(drop).map_err(|error| format!("{error:?}")) }
    });
    let _subscription = subscription
        .retry_within(Duration::ZERO)
        .retry(RetryPolicy::new().max(2).base(60 * SECOND))
        .await
        .unwrap();
    let message = Message {
        exchange: Made::EXCHANGE.into(),
        routing_key: Made::ROUTING_KEY.into(),
        properties: Properties {
            correlation_id: Some("of another program".into()),
            content_type: Some("application/json".into()),
            persistent: true,
            ..Properties::default()
        },
        body: r#"{"name":"a"}"#.into(),
    };
    let mut receipt = broker.connect().publish(Outgoing::new(message));
    assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    tokio::time::sleep(300 * SECOND).await;
    assert_eq!(bank.runs("a").len(), 2);
    assert!(letters(&bus, "mail", 0).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_what_waits_for_its_next_run_it_is_not_said_that_it_never_ran() {
    for number in 0..3 {
        let world = World::new().await;
        let call = match number {
            0 => world.client.later("a".into(), 99),
            1 => world.client.later("a".into(), 99).idempotency_key("k"),
            // After a pause that is held.
            _ => world.client.own("a".into(), 99),
        };
        let call = tokio::spawn(async move { call.await });
        let runs = if number < 2 { 1 } else { 2 };
        while world.bank.runs("a").len() < runs {
            tokio::time::sleep(SECOND / 100).await;
        }
        tokio::time::sleep(SECOND / 10).await;
        world.serving.shutdown().await.unwrap();
        let failure = call.await.unwrap().unwrap_err();
        assert_eq!(failure.kind(), Some(FailureKind::NoConsumer), "{number}");
        assert!(failure.may_have_executed(), "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_message_says_of_runs_is_of_no_meaning_to_other_methods() {
    let world = World::new().await;
    let forged_for = |kind: &str, body: &'static str, runs: &str| {
        let many: Vec<_> = (0..300)
            .map(|run| format!("x-replybus-retry-error-{run}"))
            .collect();
        let mut headers = vec![("x-replybus-retries", runs)];
        headers.extend(many.iter().map(|name| (name.as_str(), "forged")));
        let mut forged = forged(&headers);
        forged.message.properties.kind = Some(kind.into());
        forged.message.body = body.into();
        forged
    };
    for runs in ["4294967295", "-1", "text", ""] {
        for (kind, body) in [
            ("once", r#"{"name":"forged","failures":0}"#),
            ("pay", r#"{"name":"forged","failures":0}"#),
            ("own", r#"{"name":"forged","failures":0}"#),
            ("complain", r#"{"bytes":10}"#),
        ] {
            let forged = forged_for(kind, body, runs);
            let mut receipt = world.transport.publish(forged);
            assert_eq!(receipt.verdict().await, Verdict::Confirmed);
        }
    }
    let letters = world.has_letters(4).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(world.bank.runs("forged").len(), 12);
    assert_eq!(world.letters().await.len(), 4);
    for letter in letters {
        assert_eq!(
            letter.message().properties.kind.as_deref(),
            Some("complain")
        );
        // The runs that are allowed, and this one.
        assert!(letter.retry_errors().count() <= 22);
    }
}
