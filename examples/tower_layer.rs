//! Layers on both sides: a token added and checked, time measured, tower's own limits.
//!
//! ```text
//! cargo run -p replybus-examples --example tower_layer
//! ```

#![allow(clippy::print_stdout, reason = "an example speaks to who runs it")]

use anyhow::Context as _;
use replybus::{
    Bus, FailureKind, Never,
    client::{CallRequest, CallResponse, ClientService},
    error::FaultCode,
    queue_handler,
    server::{Answer, Request, ServerService},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};
use tower::{
    BoxError, ServiceExt, layer::layer_fn, limit::ConcurrencyLimitLayer, service_fn,
    timeout::TimeoutLayer, util::MapRequestLayer,
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
async fn check_token(inner: ServerService, request: Request) -> Result<Answer, BoxError> {
    if request.context().metadata().get("token") == Some(TOKEN) {
        return inner.oneshot(request).await;
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

/// Around the calls: how long each one took, and whether it got a reply.
async fn measure(inner: ClientService, call: CallRequest) -> Result<CallResponse, BoxError> {
    let (method, started) = (call.method(), Instant::now());
    let outcome = inner.oneshot(call).await;
    let what = if outcome.is_ok() { "replied" } else { "failed" };
    println!("  {method} {what} after {:?}", started.elapsed());
    outcome
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bus = Bus::in_memory();
    let serving = bus
        .serve(CaveServer::new(Treasure::default()))
        .layer(TimeoutLayer::new(Duration::from_millis(500)))
        .layer(layer_fn(|inner: ServerService| {
            service_fn(move |request| check_token(inner.clone(), request))
        }))
        .await?;

    println!("a client without the token:");
    let stranger = CaveClient::new(&bus);
    let refused = stranger
        .look(Duration::ZERO)
        .await
        .err()
        .context("no token")?;
    println!("  {:#}", anyhow::Error::from(refused));

    println!("a client with it, that measures:");
    let friend = CaveClient::new(&bus)
        .layer(MapRequestLayer::new(|mut call: CallRequest| {
            // It can't be refused: a name and a value that are always allowed.
            let _ = call.metadata_mut().insert("token", TOKEN);
            call
        }))
        .layer(layer_fn(|inner: ClientService| {
            service_fn(move |call| measure(inner.clone(), call))
        }));
    assert_eq!(friend.look(Duration::ZERO).await?, 1);

    println!("a handler that takes longer than the server's TimeoutLayer allows:");
    let late = friend
        .look(Duration::from_secs(60))
        .await
        .err()
        .context("too slow")?;
    assert_eq!(late.kind(), Some(FailureKind::TimedOut));

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
