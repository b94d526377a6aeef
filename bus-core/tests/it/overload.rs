//! A service that gets more than it can do.

use crate::one_clock::on_one_clock;
use replybus::{
    Bus, CallError, Context, FailureKind, Instant, Never, contract::Priority,
    limits::RETRY_AFTER_MAX, queue_handler,
};
use std::{future::IntoFuture, time::Duration};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

/// What one call takes, and how many the service runs at once: it can do 100 a second. The age of a
/// request is told by the clock on the wall as well.
const TAKES: Duration = Duration::from_millis(40);
const AT_ONCE: u16 = 4;
const CAPACITY: u32 = 100;

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
    load_of(client, Priority::Normal, calls_per_s, seconds).await
}

/// The same by calls of this priority.
async fn load_of(
    client: &CounterClient,
    priority: Priority,
    calls_per_s: u32,
    seconds: u32,
) -> Told {
    let mut ticks = interval(Duration::from_secs(1) / calls_per_s);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    for call in 0..calls_per_s * seconds {
        ticks.tick().await;
        calls.spawn(match call % 2 {
            0 => client.look().priority(priority).into_future(),
            _ => client.count().priority(priority).into_future(),
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

#[test]
fn goodput_at_three_times_the_capacity_is_nine_tenths_of_the_peak() {
    on_one_clock(async {
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
    });
}

#[test]
fn calls_of_low_priority_give_way_to_the_others() {
    on_one_clock(async {
        let bus = Bus::in_memory();
        let serving = bus.serve(CounterServer::new(Slow)).concurrency(AT_ONCE);
        let _serving = serving.await.unwrap();
        let client = CounterClient::new(&bus);
        // Each by itself is something that the service can do, and all together are not.
        let (low, normal, high) = tokio::join!(
            load_of(&client, Priority::Low, CAPACITY * 9 / 10, 10),
            load_of(&client, Priority::Normal, CAPACITY / 2, 10),
            load_of(&client, Priority::High, CAPACITY / 4, 10),
        );
        assert_eq!((normal.overloaded, normal.others), (0, 0), "{normal:?}");
        assert_eq!((high.overloaded, high.others), (0, 0), "{high:?}");
        // What is left is theirs.
        assert!(low.overloaded > 0, "{low:?}");
        assert!(low.answered > CAPACITY * 10 / 8, "{low:?}");
        assert_eq!(low.others, 0, "{low:?}");
    });
}

#[queue_handler("outer.requests")]
trait Outer {
    #[query]
    async fn priorities(&self) -> Result<Vec<bool>, Never>;
}

#[queue_handler("inner.requests")]
trait Inner {
    #[query]
    async fn is_low(&self) -> Result<bool, Never>;
}

struct Asks(InnerClient);

impl Outer for Asks {
    async fn priorities(&self) -> Result<Vec<bool>, Never> {
        let inherited = self.0.is_low().await.unwrap();
        let own = self.0.is_low().priority(Priority::High).await.unwrap();
        Ok(vec![inherited, own])
    }
}

struct Tells;

impl Inner for Tells {
    async fn is_low(&self) -> Result<bool, Never> {
        Ok(Context::current().priority() == Priority::Low)
    }
}

#[tokio::test]
async fn nested_calls_inherit_the_priority() {
    let bus = Bus::in_memory();
    let _inner = bus.serve(InnerServer::new(Tells)).await.unwrap();
    let outer = OuterServer::new(Asks(InnerClient::new(&bus)));
    let _outer = bus.serve(outer).await.unwrap();
    let client = OuterClient::new(&bus);
    let low = client.priorities().priority(Priority::Low).await.unwrap();
    assert_eq!(low, [true, false]);
    assert_eq!(client.priorities().await.unwrap(), [false, false]);
}
