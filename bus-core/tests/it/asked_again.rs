//! Calls that a layer of their caller makes again, or asks twice, by a paused clock.

use replybus::{
    Bus, CallError, CallId, FailureKind,
    client::{CallFuture, ClientService, RetryBudget, RetryLayer},
    error::{BoxError, Fault, FaultCode},
    limits::{CALL_RETRIES, RETRY_BUDGET_RESERVE},
    queue_handler,
    server::{Answer, Request, ServerService, Serving},
};
use std::{
    future::IntoFuture,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tower::{ServiceExt, layer::layer_fn, service_fn, util::MapRequestLayer};

const SECOND: Duration = Duration::from_secs(1);

#[queue_handler("stock.requests", bundles = false)]
trait Stock {
    /// Waits at the gate, and counts.
    #[query]
    async fn count(&self) -> Result<u32, String>;

    async fn take(&self) -> Result<u32, String>;
}

/// What comes of the requests as they come: beyond them, an answer.
#[derive(Debug, Clone, Default)]
struct Shelf(Arc<Inner>);

type Came = (Option<CallId>, Option<Instant>, Instant);

#[derive(Debug)]
struct Inner {
    /// Faults of the first.
    faults: Mutex<Vec<FaultCode>>,
    /// Those that came: id, deadline, and when.
    came: Mutex<Vec<Came>>,
    /// Handlers that began, and those that were dropped or ended.
    began: AtomicU32,
    left: AtomicU32,
    gate: Semaphore,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            faults: Mutex::default(),
            came: Mutex::default(),
            began: AtomicU32::default(),
            left: AtomicU32::default(),
            gate: Semaphore::new(0),
        }
    }
}

struct Inside<'a>(&'a AtomicU32);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Stock for Shelf {
    async fn count(&self) -> Result<u32, String> {
        let number = self.0.began.fetch_add(1, Ordering::SeqCst) + 1;
        let _inside = Inside(&self.0.left);
        self.0.gate.acquire().await.unwrap().forget();
        Ok(number)
    }

    async fn take(&self) -> Result<u32, String> {
        Err("none left".to_owned())
    }
}

impl Shelf {
    /// Opens the gate, and fails the first requests.
    fn failing(faults: &[FaultCode]) -> Self {
        let shelf = Self::default();
        shelf.0.gate.add_permits(10_000);
        *shelf.0.faults.lock().unwrap() = faults.iter().rev().copied().collect();
        shelf
    }

    fn came(&self) -> usize {
        self.0.came.lock().unwrap().len()
    }

    fn fault(&self) -> Option<FaultCode> {
        self.0.faults.lock().unwrap().pop()
    }

    async fn serve(&self, bus: &Bus) -> Serving {
        let shelf = self.clone();
        let layer = layer_fn(move |inner: ServerService| {
            let shelf = shelf.clone();
            service_fn(move |request: Request| {
                let (shelf, inner) = (shelf.clone(), inner.clone());
                async move {
                    let context = request.context();
                    let came = (context.call_id(), context.deadline(), Instant::now());
                    shelf.0.came.lock().unwrap().push(came);
                    match shelf.fault() {
                        Some(fault) => Ok(Answer::fault(fault, "on purpose")),
                        None => inner.oneshot(request).await,
                    }
                }
            })
        });
        let service = bus.serve(StockServer::new(self.clone()));
        service.layer(layer).await.unwrap()
    }
}

fn kind<T: std::fmt::Debug>(outcome: Result<T, CallError<String>>) -> Option<FailureKind> {
    outcome.unwrap_err().kind()
}

#[tokio::test(start_paused = true)]
async fn a_query_is_made_again_as_one_call_with_one_deadline() {
    let bus = Bus::in_memory();
    let shelf = Shelf::failing(&[FaultCode::Overloaded, FaultCode::Failed]);
    let _serving = shelf.serve(&bus).await;
    let client = StockClient::new(&bus).layer(RetryLayer::new().base(SECOND).max_delay(SECOND));
    assert_eq!(client.count().await.unwrap(), 1);
    let came = shelf.0.came.lock().unwrap().clone();
    assert_eq!(came.len(), 3);
    for (id, deadline, at) in &came {
        assert_eq!(*id, came[0].0);
        let apart =
            deadline.unwrap().max(came[0].1.unwrap()) - deadline.unwrap().min(came[0].1.unwrap());
        // Its time to live is counted in milliseconds, from when it is written.
        assert!(apart <= Duration::from_millis(600), "{apart:?}");
        assert!(*at - came[0].2 <= 2 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_than_are_allowed_and_none_past_the_deadline() {
    let bus = Bus::in_memory();
    let shelf = Shelf::failing(&[FaultCode::Overloaded; 100]);
    let _serving = shelf.serve(&bus).await;
    let plain = StockClient::new(&bus);
    let client = plain.clone().layer(RetryLayer::new());
    assert_eq!(kind(client.count().await), Some(FailureKind::Overloaded));
    assert_eq!(shelf.came(), 1 + usize::try_from(CALL_RETRIES).unwrap());

    // Pauses that have no end, and a second.
    let budget = RetryBudget::with_percent(0);
    let patient = RetryLayer::new()
        .max(20)
        .base(SECOND)
        .budget(budget.clone());
    let started = Instant::now();
    let call = plain.layer(patient).count().timeout(SECOND);
    assert_eq!(kind(call.await), Some(FailureKind::Overloaded));
    assert!(started.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_the_next_attempt_would_meet_as_well_is_told_at_once() {
    let bus = Bus::in_memory();
    let faults = [
        FaultCode::Denied,
        FaultCode::BadRequest,
        FaultCode::Panicked,
        FaultCode::BadReply,
        FaultCode::KeyConflict,
    ];
    let shelf = Shelf::failing(&faults);
    let client = StockClient::new(&bus).layer(RetryLayer::new());
    assert_eq!(kind(client.count().await), Some(FailureKind::Unroutable));
    let _serving = shelf.serve(&bus).await;
    for (number, fault) in faults.into_iter().enumerate() {
        assert_eq!(kind(client.count().await), Some(fault.into()));
        assert_eq!(shelf.came(), number + 1);
    }
    // The handler's own error is an answer.
    let none = client.take().await.unwrap_err();
    assert_eq!(none.into_handler().unwrap(), "none left");
    assert_eq!(shelf.came(), faults.len() + 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_is_made_again_only_if_it_surely_was_not_run() {
    let bus = Bus::in_memory();
    let shelf = Shelf::failing(&[FaultCode::Overloaded, FaultCode::TimedOut]);
    let _serving = shelf.serve(&bus).await;
    let client = StockClient::new(&bus).layer(RetryLayer::new());
    let failed = client.take().await.unwrap_err();
    assert_eq!(failed.kind(), Some(FailureKind::TimedOut));
    assert!(failed.may_have_executed());
    assert_eq!(shelf.came(), 2);
    // What nobody waits for here passes as it is.
    client.take().send().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_made_a_tenth_worse_and_no_more() {
    const CALLS: usize = 2_000;
    let bus = Bus::in_memory();
    let shelf = Shelf::failing(&[FaultCode::Overloaded; 3 * CALLS]);
    let _serving = shelf.serve(&bus).await;
    let budget = RetryBudget::new();
    let layers = [(); 2].map(|()| RetryLayer::new().budget(budget.clone()));
    let clients = layers.map(|layer| StockClient::new(&bus).layer(layer));
    for number in 0..CALLS {
        let called = clients[number % 2].count().await;
        assert_eq!(kind(called), Some(FailureKind::Overloaded));
    }
    let reserve = usize::try_from(RETRY_BUDGET_RESERVE).unwrap();
    assert_eq!(shelf.came(), CALLS + CALLS / 10 + reserve);
    assert_eq!(budget.attempts_left(), 0);
}

/// Waits until so many handlers are inside.
async fn inside(shelf: &Shelf, count: u32) {
    while shelf.0.began.load(Ordering::SeqCst) < count {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_query_is_asked_twice_and_the_loser_is_cancelled() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let budget = RetryBudget::with_percent(0);
    let layer = RetryLayer::new().hedge_after(SECOND).budget(budget.clone());
    let client = StockClient::new(&bus).layer(layer);
    let _serving = shelf.serve(&bus).await;
    let call = tokio::spawn(client.count().into_future());
    inside(&shelf, 1).await;
    sleep(SECOND / 2).await;
    assert_eq!(shelf.came(), 1);
    inside(&shelf, 2).await;
    assert_eq!(budget.attempts_left(), RETRY_BUDGET_RESERVE - 1);
    // No third, however long it takes.
    sleep(2 * SECOND).await;
    assert_eq!(shelf.came(), 2);
    let came = shelf.0.came.lock().unwrap().clone();
    assert_eq!(came[0].0, came[1].0);
    shelf.0.gate.add_permits(1);
    call.await.unwrap().unwrap();
    // The other is dropped, or ends by itself when it is the second of one process.
    sleep(SECOND).await;
    shelf.0.gate.add_permits(1);
    while shelf.0.left.load(Ordering::SeqCst) < 2 {
        sleep(SECOND / 10).await;
    }
    assert_eq!(bus.health().calls_waiting, 0);
    // One that is answered in time is asked once.
    shelf.0.gate.add_permits(1);
    client.count().await.unwrap();
    assert_eq!(budget.attempts_left(), RETRY_BUDGET_RESERVE - 1);
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_fails_takes_no_answer_from_the_first() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let layer = RetryLayer::new().hedge_after(SECOND);
    let client = StockClient::new(&bus).layer(layer);
    let _serving = shelf.serve(&bus).await;
    let call = tokio::spawn(client.count().into_future());
    inside(&shelf, 1).await;
    shelf.0.faults.lock().unwrap().push(FaultCode::Overloaded);
    while shelf.came() < 2 {
        sleep(SECOND / 10).await;
    }
    sleep(SECOND).await;
    shelf.0.gate.add_permits(1);
    assert_eq!(call.await.unwrap().unwrap(), 1);
    assert_eq!(shelf.came(), 2);
}

#[tokio::test(start_paused = true)]
async fn commands_are_not_asked_twice_nor_without_a_budget() {
    let bus = Bus::in_memory();
    let shelf = Shelf::default();
    let budget = RetryBudget::with_percent(0);
    let layer = RetryLayer::new()
        .hedge_after(Duration::ZERO)
        .budget(budget.clone());
    let client = StockClient::new(&bus).layer(layer);
    let _serving = shelf.serve(&bus).await;
    client.take().await.unwrap_err();
    assert_eq!(budget.attempts_left(), RETRY_BUDGET_RESERVE);
    for number in 0..RETRY_BUDGET_RESERVE + 5 {
        let call = client.count().timeout(SECOND).await;
        assert_eq!(kind(call), Some(FailureKind::TimedOut), "{number}");
    }
    let reserve = usize::try_from(RETRY_BUDGET_RESERVE).unwrap();
    assert_eq!(shelf.came(), 1 + 2 * reserve + 5);
}

#[tokio::test(start_paused = true)]
async fn layers_within_see_every_attempt() {
    let bus = Bus::in_memory();
    let shelf = Shelf::failing(&[FaultCode::Overloaded]);
    let seen = Arc::new(AtomicU32::new(0));
    let counts = Arc::clone(&seen);
    let within = MapRequestLayer::new(move |request| {
        counts.fetch_add(1, Ordering::SeqCst);
        request
    });
    let client = StockClient::new(&bus)
        .layer(within)
        .layer(RetryLayer::new());
    let _serving = shelf.serve(&bus).await;
    client.count().await.unwrap();
    assert_eq!(seen.load(Ordering::SeqCst), 2);
}

/// The layer is one like any other, and so are its parts.
#[test]
fn its_parts_are_public() {
    fn is_layer<L: tower::Layer<ClientService>>(_: &L)
    where
        L::Service: tower::Service<replybus::client::CallRequest, Error = BoxError>,
    {
    }
    is_layer(&RetryLayer::default());
    let _: Option<CallFuture> = None;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_says_when_is_not_asked_before() {
    let bus = Bus::in_memory();
    let came = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&came);
    let layer = layer_fn(move |_: ServerService| {
        let noted = Arc::clone(&noted);
        service_fn(move |_: Request| {
            noted.lock().unwrap().push(Instant::now());
            let fault = Fault::new(FaultCode::Overloaded, "on purpose");
            async move { Ok::<_, BoxError>(Answer::from(fault.retry_after(2 * SECOND))) }
        })
    });
    let service = bus.serve(StockServer::new(Shelf::default()));
    let _serving = service.layer(layer).await.unwrap();
    let client = StockClient::new(&bus).layer(RetryLayer::new().max(1));
    let call = client.count().timeout(10 * SECOND);
    assert_eq!(kind(call.await), Some(FailureKind::Overloaded));
    let came: Vec<_> = came.lock().unwrap().drain(..).collect();
    assert_eq!(came.len(), 2);
    assert!(came[1] - came[0] >= 2 * SECOND);
    // One that has no time for that is told at once.
    let started = Instant::now();
    let call = client.count().timeout(SECOND);
    assert_eq!(kind(call.await), Some(FailureKind::Overloaded));
    assert!(started.elapsed() < SECOND);
}
