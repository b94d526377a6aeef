//! What is recorded of calls, and what a store that does not take it costs them.

use crate::{
    bank::{AccountsClient, AccountsServer, Ledger},
    faulty_store::{Faults, FaultyReplies},
    metrics::Counts,
    unsure::Unsure,
};
use replybus::{
    Bus, CallId, FailureKind, Never,
    client::{CallRequest, ClientService},
    flight::{Flight, FlightRecord, FlightStep},
    layer::{Next, from_fn},
    limits::{FLIGHT_EVENTS_KEPT_MAX, FLIGHT_EVENTS_WAITING_MAX},
    queue_handler,
    reply::{Arrivals, FlightCursor, ReplyBackend, memory::MemoryReplies},
    server::Serving,
    transport::{TransportBackend, Verdict, memory::MemoryBroker},
};
use replybus_testkit::wait::eventually;
use std::{
    future::IntoFuture,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

/// A service that calls another.
#[queue_handler("till.requests")]
trait Till {
    /// Posts the amount, on an account that is told to nobody.
    async fn pay(&self, account: String, amount: i64) -> Result<u32, Never>;
}

struct Desk(AccountsClient);

impl Till for Desk {
    async fn pay(&self, account: String, amount: i64) -> Result<u32, Never> {
        let _ = self.0.balance(account, amount).await;
        Ok(self.0.post(amount).await.unwrap_or_default())
    }
}

/// The ids of the calls that a bus makes, in their order.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<CallId>>>);

impl Made {
    fn last(&self) -> CallId {
        *self.0.lock().unwrap().last().unwrap()
    }

    fn first(&self) -> CallId {
        *self.0.lock().unwrap().first().unwrap()
    }
}

async fn recording(
    transport: impl TransportBackend,
    replies: impl ReplyBackend,
) -> (Bus, Ledger, AccountsClient, Serving, Made) {
    let made = Made::default();
    let ids = made.clone();
    let noting = from_fn(move |request: CallRequest, next: Next<ClientService>| {
        ids.0.lock().unwrap().push(request.id());
        async move { next.run(request).await }
    });
    let builder = Bus::builder()
        .app_id("bank")
        .flight_record(FlightRecord::new())
        .client_layer(noting);
    let bus = builder.connect(transport, replies).await.unwrap();
    let ledger = Ledger::new();
    let serving = bus.serve(AccountsServer::new(ledger.clone()));
    let serving = serving.await.unwrap();
    let client = AccountsClient::new(&bus);
    (bus, ledger, client, serving, made)
}

async fn in_memory() -> (Bus, Ledger, AccountsClient, Serving, Made) {
    recording(MemoryBroker::new(), MemoryReplies::new()).await
}

/// The flight of a call, when so much of it is recorded.
async fn flown(bus: &Bus, call: CallId, events: usize) -> Flight {
    eventually("it is recorded", || async {
        let flight = bus.flight(call).await.unwrap();
        flight.is_some_and(|flight| flight.events.len() >= events)
    })
    .await;
    bus.flight(call).await.unwrap().unwrap()
}

/// The steps of a call, each in short.
fn steps(flight: &Flight) -> Vec<String> {
    let steps = flight.events.iter().map(|event| match &event.step {
        FlightStep::Published { repeated, .. } => format!("published{}", mark(*repeated)),
        FlightStep::Confirmed => "confirmed".to_owned(),
        FlightStep::Taken { redelivered, .. } => format!("taken{}", mark(*redelivered)),
        FlightStep::WaitsForRun => "waits".to_owned(),
        FlightStep::Claimed { attempt } => format!("claimed {attempt}"),
        FlightStep::NotClaimed { outcome } => format!("not claimed {outcome}"),
        FlightStep::Began { attempt } => format!("began {attempt}"),
        FlightStep::Ended { outcome } => format!("ended {outcome}"),
        FlightStep::PutOff { runs } => format!("put off {runs}"),
        FlightStep::DeadLettered { reason } => format!("dead {reason}"),
        FlightStep::ReplyStored { outcome, .. } => format!("stored {outcome}"),
        FlightStep::Answered { outcome } => format!("answered {outcome}"),
        FlightStep::Failed { reason } => format!("failed {reason}"),
        FlightStep::Abandoned => "abandoned".to_owned(),
        other => format!("{other:?}"),
    });
    steps.collect()
}

fn mark(again: bool) -> &'static str {
    if again { " again" } else { "" }
}

/// The same in the order of the alphabet, where things happen at once.
fn sorted(flight: &Flight) -> Vec<String> {
    let mut steps = steps(flight);
    steps.sort();
    steps
}

#[tokio::test]
async fn a_query_is_followed_from_its_caller_and_back() {
    let (bus, _, client, _serving, made) = in_memory().await;
    assert_eq!(client.balance("ada".into(), 3).await, Ok(3));
    let flight = flown(&bus, made.last(), 6).await;
    assert_eq!(
        steps(&flight),
        [
            "published",
            "taken",
            "began 1",
            "ended ok",
            "stored ok",
            "answered ok"
        ]
    );
    assert_eq!(flight.service, "Accounts");
    assert_eq!(
        (&*flight.method, &*flight.queue),
        ("balance", "account.requests")
    );
    assert_eq!((flight.parent, flight.outcome()), (None, Some("ok")));
    assert!(flight.took().is_some());
    assert!(flight.events.iter().all(|event| event.program == "bank"));
    let of = |at: usize| flight.events[at].instance;
    assert_eq!((of(0), of(1)), (of(5), of(4)));
    assert_ne!(of(0), of(1));
    // The instance is the one that is listed.
    let instances = bus.instances("account.requests").await.unwrap();
    assert_eq!(instances[0].id, of(1));
}

#[tokio::test]
async fn what_fails_says_what_of() {
    let (bus, _, client, _serving, made) = in_memory().await;
    client.balance("nobody".into(), 3).await.unwrap_err();
    let refused = flown(&bus, made.last(), 6).await;
    assert_eq!(refused.outcome(), Some("handler"));
    client.panics().await.unwrap_err();
    let panicked = flown(&bus, made.last(), 6).await;
    assert_eq!(
        steps(&panicked)[3..],
        ["ended panicked", "stored panicked", "answered panicked"]
    );
    let nowhere = client.clone().on_queue("nobody.requests");
    nowhere.balance("ada".into(), 3).await.unwrap_err();
    let unroutable = flown(&bus, made.last(), 2).await;
    assert_eq!(steps(&unroutable), ["published", "failed unroutable"]);
}

#[tokio::test]
async fn a_call_that_is_given_up_and_one_that_is_late_say_so() {
    let (bus, ledger, client, _serving, made) = in_memory().await;
    let waiting = tokio::spawn(client.wait().into_future());
    ledger.entered(1).await;
    waiting.abort();
    let dropped = flown(&bus, made.last(), 5).await;
    let steps_there = sorted(&dropped);
    for step in [
        "abandoned",
        "began 1",
        "ended dropped",
        "published",
        "taken",
    ] {
        assert!(steps_there.contains(&step.to_owned()), "{steps_there:?}");
    }
    let late = client.work().timeout(Duration::from_millis(100));
    let error = late.await.unwrap_err();
    assert_eq!(error.kind(), Some(FailureKind::TimedOut));
    let late = flown(&bus, made.last(), 5).await;
    assert_eq!(
        steps(&late),
        [
            "published",
            "taken",
            "claimed 1",
            "began 1",
            "failed timed_out"
        ]
    );
    ledger.open(2);
}

#[tokio::test]
async fn a_repeated_command_waits_for_its_run_and_one_that_panics_is_a_dead_letter() {
    let transport = Unsure::transport();
    let replies = MemoryReplies::new();
    let (bus, ledger, client, _serving, made) = recording(Arc::clone(&transport), replies).await;
    let call = tokio::spawn(client.work().into_future());
    ledger.entered(1).await;
    transport.say(Verdict::Lost);
    let call_id = made.last();
    eventually("its copy waits", || async {
        let flight = bus.flight(call_id).await.unwrap();
        flight.is_some_and(|flight| steps(&flight).contains(&"waits".to_owned()))
    })
    .await;
    ledger.open(1);
    assert_eq!(call.await.unwrap(), Ok(1));
    let flight = flown(&bus, call_id, 11).await;
    assert_eq!(
        sorted(&flight),
        [
            "answered ok",
            "began 1",
            "claimed 1",
            "ended ok",
            "not claimed ok",
            "published",
            "published again",
            "stored ok",
            "stored ok",
            "taken",
            "taken again",
            "waits"
        ][..flight.events.len()]
    );

    let (bus, _, client, _serving, _) = in_memory().await;
    let id = client.panics_half_way().send().await.unwrap();
    let letter = flown(&bus, id, 7).await;
    assert_eq!(
        sorted(&letter),
        [
            "began 1",
            "claimed 1",
            "confirmed",
            "dead panicked",
            "ended panicked",
            "published",
            "taken"
        ]
    );
    assert_eq!(letter.outcome(), Some("panicked"));
}

#[tokio::test]
async fn one_timeline_goes_across_services_and_the_slowest_are_found() {
    let (bus, _, client, _accounts, made) = in_memory().await;
    let till = bus.serve(TillServer::new(Desk(client.clone())));
    let _till = till.await.unwrap();
    let paid = TillClient::new(&bus).pay("ada".into(), 5).await;
    assert_eq!(paid, Ok(1));
    let id = made.first();
    eventually("all of it is recorded", || async {
        let flight = bus.flight(id).await.unwrap();
        flight.is_some_and(|flight| {
            flight.nested.len() == 2
                && flight.nested[1].events.len() == 7
                && flight.events.len() == 7
        })
    })
    .await;
    let flight = bus.flight(id).await.unwrap().unwrap();
    let methods: Vec<_> = flight.nested.iter().map(|nested| &*nested.method).collect();
    assert_eq!(methods, ["balance", "post"]);
    for nested in &flight.nested {
        assert_eq!(nested.parent, Some(id));
        // Its trace began with the outer call.
        let trace = nested.trace.as_deref().map(str::to_owned);
        assert_eq!(trace, Some(id.to_string().replace('-', "")));
    }
    let whole = serde_json::to_value(&flight).unwrap();
    assert_eq!(whole["nested"][1]["events"][0]["step"], "published");

    let minute = Duration::from_secs(60);
    let slowest = bus.slowest_flights(None, minute, 10).await.unwrap();
    assert_eq!(slowest.len(), 3);
    assert_eq!(slowest[0].call, id);
    let of_queue = bus
        .slowest_flights(Some("account.requests"), minute, 1)
        .await;
    let of_queue = of_queue.unwrap();
    assert_eq!((of_queue.len(), &*of_queue[0].service), (1, "Accounts"));
}

/// What is written down, as it is.
async fn written(replies: &MemoryReplies) -> Vec<String> {
    struct Nobody;
    impl Arrivals for Nobody {
        fn arrived(&self, _: CallId, _: replybus::Bytes) {}
        fn waiting(&self) -> Vec<CallId> {
            Vec::new()
        }
    }
    let store = Box::new(replies.clone()).open("", Arc::new(Nobody)).await;
    let page = store.unwrap();
    let page = page.flight_page(&FlightCursor::Since(Duration::ZERO)).await;
    let events = page.unwrap().events.into_iter();
    let text = events.map(|event| String::from_utf8(event.to_vec()).unwrap());
    text.collect()
}

#[tokio::test]
async fn nothing_of_what_a_call_is_about_is_written_down() {
    let replies = MemoryReplies::new();
    let (bus, _, client, _serving, made) = recording(MemoryBroker::new(), replies.clone()).await;
    let post = client.post(987_654_321).idempotency_key("key-of-yolanda");
    post.metadata("token", "secret-of-yolanda").await.unwrap();
    client
        .balance("account-of-yolanda".into(), 987_654_321)
        .await
        .unwrap();
    flown(&bus, made.last(), 6).await;
    let all = written(&replies).await.concat();
    assert!(all.contains("published"));
    // Times and ids are random digits: nothing that is looked for is made of a few of those.
    for secret in ["yolanda", "987654321", "987_654_321"] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[tokio::test]
async fn a_bus_that_is_closed_has_written_all_of_it() {
    let replies = MemoryReplies::new();
    let (bus, _, client, _serving, _) = recording(MemoryBroker::new(), replies.clone()).await;
    client.balance("ada".into(), 3).await.unwrap();
    bus.close(Duration::from_secs(60)).await;
    let all = written(&replies).await.concat();
    assert!(all.contains("answered"), "{all}");
}

#[tokio::test]
async fn a_bus_that_does_not_record_leaves_nothing() {
    let replies = MemoryReplies::new();
    let bus = Bus::connect(MemoryBroker::new(), replies.clone())
        .await
        .unwrap();
    let serving = bus.serve(AccountsServer::new(Ledger::new())).await.unwrap();
    AccountsClient::new(&bus)
        .balance("ada".into(), 3)
        .await
        .unwrap();
    serving.shutdown().await.unwrap();
    bus.close(Duration::from_secs(60)).await;
    assert!(written(&replies).await.is_empty());
}

#[tokio::test]
async fn a_store_that_takes_no_events_costs_no_call_and_all_are_counted() {
    let counts = Counts::default();
    let _here = metrics::set_default_local_recorder(&counts);
    let dropped = || counts.of("replybus_flight_events_dropped_total");
    let faults = Arc::new(Faults::default());
    let (bus, _, client, _serving, made) =
        recording(MemoryBroker::new(), FaultyReplies::new(&faults)).await;
    faults.no_flights.store(true, Ordering::SeqCst);
    client.balance("ada".into(), 3).await.unwrap();
    eventually("they are dropped", || async { dropped() == 6 }).await;

    faults.flights_hang.store(true, Ordering::SeqCst);
    let calls = FLIGHT_EVENTS_WAITING_MAX / 6 + 100;
    for _ in 0..calls {
        client.balance("ada".into(), 3).await.unwrap();
    }
    // As many as do not fit are gone already, and the rest when their writes are given up.
    assert!(dropped() > 6);
    let all = u64::try_from(6 * calls + 6).unwrap();
    faults.flights_hang.store(false, Ordering::SeqCst);
    eventually("all are dropped", || async { dropped() == all }).await;

    faults.no_flights.store(false, Ordering::SeqCst);
    client.balance("ada".into(), 3).await.unwrap();
    flown(&bus, made.last(), 6).await;
    assert_eq!(dropped(), all);
}

#[tokio::test]
async fn a_record_of_nothing_and_one_without_end_are_refused() {
    for keep in [0, FLIGHT_EVENTS_KEPT_MAX + 1] {
        let builder = Bus::builder().flight_record(FlightRecord::new().keep(keep));
        let refused = builder
            .connect(MemoryBroker::new(), MemoryReplies::new())
            .await;
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(&format!("keeps {keep} events")), "{text}");
    }
    let bus = Bus::in_memory();
    assert_eq!(bus.flight(CallId::new()).await.unwrap(), None);
}
