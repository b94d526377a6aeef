//! Layers on both sides: a token added and checked, outcomes counted, a breaker, tower's own limits,
//! timeouts and retries.
//!
//! ```text
//! cargo run -p replybus-examples --example tower_layer
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::Context as _;
use replybus::{
    Bus, FailureKind, Never,
    client::{BreakerLayer, CallOutcome, CallRequest, CallResponse, ClientService},
    contract::MethodKind,
    error::FaultCode,
    layer::{Next, from_fn},
    queue_handler,
    server::{Answer, Request, ServerService},
};
use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};
use tower::{
    BoxError,
    limit::ConcurrencyLimitLayer,
    retry::{Policy, RetryLayer},
    timeout::TimeoutLayer,
    util::MapRequestLayer,
};

const TOKEN: &str = "open sesame";

#[queue_handler("cave.requests")]
trait Cave {
    /// Looks around for a while; returns how many look at the same time.
    #[query]
    async fn look(&self, takes: Duration) -> Result<usize, Never>;
}

#[derive(Default)]
struct Treasure {
    visitors: Arc<()>,
}

impl Cave for Treasure {
    async fn look(&self, takes: Duration) -> Result<usize, Never> {
        // A query can be dropped while it sleeps: what it took, it must give back by being dropped.
        let _visitor = Arc::clone(&self.visitors);
        let inside = Arc::strong_count(&self.visitors) - 1;
        sleep(takes).await;
        Ok(inside)
    }
}

/// Around the handlers: a call without the token gets no further.
async fn check_token(request: Request, next: Next<ServerService>) -> Result<Answer, BoxError> {
    if request.context().metadata().get("token") == Some(TOKEN) {
        return next.run(request).await;
    }
    println!(
        "  the server refuses {}.{}",
        request.service(),
        request.method()
    );
    Ok(Answer::fault(
        FaultCode::Denied,
        "the token is missing or wrong",
    ))
}

/// Around the handlers: the cave is full for the next so many that come.
async fn turn_away(
    full: Arc<AtomicU32>,
    request: Request,
    next: Next<ServerService>,
) -> Result<Answer, BoxError> {
    let one_less = |left: u32| left.checked_sub(1);
    let turned_away = full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
    if turned_away.is_err() {
        return next.run(request).await;
    }
    Ok(Answer::fault(FaultCode::Overloaded, "the cave is full"))
}

/// Around the calls: what came of each, and how often.
#[derive(Clone, Default)]
struct Outcomes(Arc<Mutex<BTreeMap<&'static str, u32>>>);

impl Outcomes {
    async fn count(
        self,
        call: CallRequest,
        next: Next<ClientService>,
    ) -> Result<CallResponse, BoxError> {
        let result = next.run(call).await;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(CallOutcome::of(&result).label()).or_default() += 1;
        result
    }

    /// The counts since it was last asked.
    fn take(&self) -> BTreeMap<&'static str, u32> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// For tower's `Retry`: a call is made again, a few times and after growing pauses, if it failed
/// and may be: a query, or what surely was not run.
#[derive(Clone)]
struct Patience {
    attempts_left: u32,
    pause: Duration,
}

impl Policy<CallRequest, CallResponse, BoxError> for Patience {
    type Future = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn retry(
        &mut self,
        call: &mut CallRequest,
        result: &mut Result<CallResponse, BoxError>,
    ) -> Option<Self::Future> {
        let again = match CallOutcome::of(result) {
            CallOutcome::Failed {
                kind: FailureKind::Denied | FailureKind::BadRequest,
                ..
            } => false, // once more is no better
            CallOutcome::Failed {
                may_have_executed, ..
            } => call.kind() == MethodKind::Query || !may_have_executed,
            _ => false, // the handler has answered
        };
        self.attempts_left = self.attempts_left.checked_sub(1).filter(|_| again)?;
        self.pause *= 2;
        Some(Box::pin(sleep(self.pause)))
    }

    fn clone_request(&mut self, call: &CallRequest) -> Option<CallRequest> {
        Some(call.clone()) // a copy of one call: the service knows it by its id
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = Bus::in_memory();
    let full = Arc::new(AtomicU32::new(0));
    let door = Arc::clone(&full);
    let serving = bus
        .serve(CaveServer::new(Treasure::default()))
        .layer(TimeoutLayer::new(Duration::from_millis(500)))
        .layer(from_fn(move |request, next| {
            turn_away(Arc::clone(&door), request, next)
        }))
        .layer(from_fn(check_token))
        .await?;

    println!("a client without the token:");
    let stranger = CaveClient::new(&bus);
    let refused = stranger
        .look(Duration::ZERO)
        .await
        .err()
        .context("no token")?;
    println!("  {:#}", anyhow::Error::from(refused));

    println!("a client with it, that counts:");
    let outcomes = Outcomes::default();
    let counted = outcomes.clone();
    let friend = CaveClient::new(&bus)
        .layer(MapRequestLayer::new(|mut call: CallRequest| {
            // It can't be refused: a name and a value that are always allowed.
            let _ = call.metadata_mut().insert("token", TOKEN);
            call
        }))
        .layer(from_fn(move |call, next| counted.clone().count(call, next)));
    assert_eq!(friend.look(Duration::ZERO).await?, 1);
    assert_eq!(outcomes.take(), BTreeMap::from([("ok", 1)]));

    println!("a handler that takes longer than the server's TimeoutLayer allows:");
    let late = friend
        .look(Duration::from_secs(60))
        .await
        .err()
        .context("too slow")?;
    assert_eq!(late.kind(), Some(FailureKind::TimedOut));
    assert_eq!(outcomes.take(), BTreeMap::from([("timed_out", 1)]));

    println!("a cave that is full twice, through tower's Retry:");
    full.store(2, Ordering::SeqCst);
    let patient = friend.clone().layer(RetryLayer::new(Patience {
        attempts_left: 4,
        pause: Duration::from_millis(5),
    }));
    assert_eq!(patient.look(Duration::ZERO).await?, 1);
    let counts = outcomes.take();
    println!("  {counts:?}");
    assert_eq!(counts, BTreeMap::from([("ok", 1), ("overloaded", 2)]));

    println!("a cave that is full for everybody, through a BreakerLayer:");
    full.store(u32::MAX, Ordering::SeqCst);
    let breaker = BreakerLayer::new().failures(2);
    let wary = friend.clone().layer(breaker.clone());
    for told in ["overloaded", "overloaded", "circuit_open"] {
        let refused = wary.look(Duration::ZERO).await.err().context("full")?;
        assert_eq!(refused.kind().map(FailureKind::as_str), Some(told));
    }
    full.store(0, Ordering::SeqCst);
    for circuit in breaker.report() {
        println!(
            "  {}.{} is {} after {} failures",
            circuit.queue,
            circuit.method,
            circuit.state.as_str(),
            circuit.failures
        );
        breaker.reset(&circuit.queue, circuit.method);
    }
    assert_eq!(wary.look(Duration::ZERO).await?, 1);

    println!("six at once, through a ConcurrencyLimitLayer of two:");
    let shy = friend.layer(ConcurrencyLimitLayer::new(2));
    let mut calls = JoinSet::new();
    for _ in 0..6 {
        calls.spawn(shy.look(Duration::from_millis(30)).into_future());
    }
    for inside in calls.join_all().await {
        assert!(inside? <= 2, "the limit holds");
    }

    serving.shutdown().await?;
    Ok(())
}
