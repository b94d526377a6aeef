//! A service that gets more than it can do.

use replybus::{
    Bus, CallError, FailureKind, Instant, Never, limits::RETRY_AFTER_MAX, queue_handler,
};
use std::{future::IntoFuture, time::Duration};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

/// What one call takes, and how many the service runs at once: it can do 400 a second.
const TAKES: Duration = Duration::from_millis(10);
const AT_ONCE: u16 = 4;
const CAPACITY: u32 = 400;

#[queue_handler("counter.requests", timeout = "500ms")]
trait Counter {
    #[query]
    async fn look(&self) -> Result<(), Never>;

    async fn count(&self) -> Result<(), Never>;
}

struct Slow;

impl Counter for Slow {
    async fn look(&self) -> Result<(), Never> {
        sleep(TAKES).await;
        Ok(())
    }

    async fn count(&self) -> Result<(), Never> {
        sleep(TAKES).await;
        Ok(())
    }
}

/// What became of calls.
#[derive(Debug, Default)]
struct Told {
    answered: u32,
    overloaded: u32,
    retry_after: Duration,
    others: u32,
}

/// Calls so many times a second, for a time.
async fn load(client: &CounterClient, calls_per_s: u32, seconds: u32) -> Told {
    let mut ticks = interval(Duration::from_secs(1) / calls_per_s);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    for call in 0..calls_per_s * seconds {
        ticks.tick().await;
        calls.spawn(match call % 2 {
            0 => client.look().into_future(),
            _ => client.count().into_future(),
        });
    }
    let mut told = Told::default();
    for outcome in calls.join_all().await {
        match outcome {
            Ok(()) => told.answered += 1,
            Err(CallError::Bus(failure)) if failure.kind() == FailureKind::Overloaded => {
                told.overloaded += 1;
                assert!(!failure.may_have_executed());
                let retry_after = failure.retry_after().unwrap();
                told.retry_after = told.retry_after.max(retry_after);
            }
            Err(_) => told.others += 1,
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn goodput_at_three_times_the_capacity_is_nine_tenths_of_the_peak() {
    let bus = Bus::in_memory();
    let serving = bus.serve(CounterServer::new(Slow)).concurrency(AT_ONCE);
    let _serving = serving.await.unwrap();
    let client = CounterClient::new(&bus);
    let peak = load(&client, CAPACITY * 9 / 10, 5).await;
    assert_eq!((peak.overloaded, peak.others), (0, 0), "{peak:?}");
    let peak_per_s = peak.answered / 5;

    let begun = Instant::now();
    let over = load(&client, CAPACITY * 3, 10).await;
    assert_eq!(begun.elapsed().as_secs(), 10);
    assert!(over.answered / 10 >= peak_per_s * 9 / 10, "{over:?}");
    assert!(over.overloaded > 0, "{over:?}");
    assert!(over.retry_after <= RETRY_AFTER_MAX);

    // And when it is over all are answered again.
    sleep(Duration::from_secs(1)).await;
    let after = load(&client, CAPACITY / 2, 2).await;
    assert_eq!(after.answered, CAPACITY, "{after:?}");
}
