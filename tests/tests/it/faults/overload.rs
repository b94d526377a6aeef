//! A service that gets three times what it can do.

use super::rig::{Rig, Settings, bounded, connect};
use replybus::{CallError, FailureKind, Never, queue_handler};
use replybus_testkit::live::unique;
use std::{
    future::IntoFuture,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

/// What one call takes, and how many are run at once: no more than 80 a second, so that a busy machine
/// has time for three times as many.
const TAKES: Duration = Duration::from_millis(50);
const AT_ONCE: u16 = 4;
const CAPACITY: u32 = 80;

#[queue_handler("counter.requests", timeout = "1s", bundles = false)]
trait Counter {
    #[query]
    async fn look(&self) -> Result<(), Never>;
}

/// Counts what it begins.
#[derive(Clone, Default)]
struct Slow(Arc<AtomicU32>);

impl Counter for Slow {
    async fn look(&self) -> Result<(), Never> {
        self.0.fetch_add(1, Ordering::SeqCst);
        sleep(TAKES).await;
        Ok(())
    }
}

/// Calls so many times a second, for a time; how many were answered, and how many refused.
async fn load(client: &CounterClient, calls_per_s: u32, seconds: u32) -> (u32, u32) {
    let mut ticks = interval(Duration::from_secs(1) / calls_per_s);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    for _ in 0..calls_per_s * seconds {
        ticks.tick().await;
        calls.spawn(client.look().into_future());
    }
    let (mut answered, mut refused) = (0, 0);
    for outcome in bounded(calls.join_all()).await {
        match outcome {
            Ok(()) => answered += 1,
            Err(CallError::Bus(failure)) if failure.kind() == FailureKind::Overloaded => {
                assert!(failure.retry_after().is_some(), "{failure}");
                refused += 1;
            }
            Err(_) => {}
        }
    }
    (answered, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_does_not_collapse() {
    let Some(rig) = Rig::shared().await else {
        return;
    };
    let namespace = unique("overload");
    let servers = rig.servers();
    let bus = || connect(&namespace, Settings::default(), &servers);
    let (caller, worker) = (bus().await, bus().await);
    let slow = Slow::default();
    let serving = worker
        .serve(CounterServer::new(slow.clone()))
        .concurrency(AT_ONCE);
    let _serving = serving.await.unwrap();
    let client = CounterClient::new(&caller);
    load(&client, CAPACITY * 8 / 10, 5).await;
    let before = slow.0.load(Ordering::SeqCst);
    let (answered, refused) = load(&client, CAPACITY * 3, 10).await;
    let begun = slow.0.load(Ordering::SeqCst) - before;
    // Without the refusals next to nothing of what is begun is answered in time.
    assert!(begun > 0 && answered >= begun / 2, "{answered} of {begun}");
    assert!(refused > 0);
}
