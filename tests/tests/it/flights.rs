//! What is recorded of calls over real servers: of one that another worker takes over, of one that
//! is a dead letter, and while Redis stands still.

use replybus::{
    Amqp, Bus, CallId, Context, Never,
    flight::{Flight, FlightRecord, FlightStep},
    queue_handler,
    reply::StoreHealth,
};
use replybus_redis::RedisReplies;
use replybus_testkit::{
    leftovers::Leftovers,
    live::{self, require_or_skip, unique},
    servers::{Persistence, PrivateRedis},
    wait::eventually,
};
use std::{future::IntoFuture, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

#[queue_handler("flown.requests", timeout = "60s")]
trait Flown {
    /// Waits at the gate, whatever becomes of its worker.
    async fn work(&self) -> Result<u32, Never>;
    async fn panics(&self) -> Result<(), Never>;
    #[query]
    async fn ask(&self) -> Result<u32, Never>;
}

#[derive(Clone)]
struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        let [entered, open] = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
        Self { entered, open }
    }
}

impl Flown for Gate {
    async fn work(&self) -> Result<u32, Never> {
        self.entered.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        Ok(Context::current().attempt())
    }

    async fn panics(&self) -> Result<(), Never> {
        panic!("on purpose");
    }

    async fn ask(&self) -> Result<u32, Never> {
        Ok(7)
    }
}

struct Site {
    amqp: String,
    redis: String,
    namespace: String,
}

impl Site {
    async fn bus(&self, app_id: &str) -> Bus {
        let builder = Bus::builder()
            .namespace(&self.namespace)
            .app_id(app_id)
            .flight_record(FlightRecord::new());
        let replies = RedisReplies::new(&self.redis);
        builder
            .connect(Amqp::new(&self.amqp), replies)
            .await
            .unwrap()
    }

    async fn remove_queues(&self) {
        let left = Leftovers::of(&self.namespace).queues(["flown.requests"]);
        left.delete(&self.amqp).await.unwrap();
    }
}

/// The flight of a call, once it has a step like this.
async fn flown(bus: &Bus, call: CallId, has: impl Fn(&FlightStep) -> bool) -> Flight {
    let read = async || bus.flight(call).await.unwrap();
    eventually("it is recorded", || async {
        let flight = read().await;
        flight.is_some_and(|flight| flight.events.iter().any(|event| has(&event.step)))
    })
    .await;
    read().await.unwrap()
}

/// The programs by which something happened, in the order of the record.
fn programs(flight: &Flight, is_so: impl Fn(&FlightStep) -> bool) -> Vec<&str> {
    let events = flight.events.iter().filter(|event| is_so(&event.step));
    events.map(|event| event.program.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_another_worker_takes_over_is_one_timeline() {
    let (Some(amqp), Some(redis)) = (live::rabbitmq().await, live::redis().await) else {
        return;
    };
    let namespace = unique("flights");
    let site = Site {
        amqp,
        redis,
        namespace,
    };
    let (first, gate) = (site.bus("first").await, Gate::new());
    let serving = first.serve(FlownServer::new(gate.clone())).await.unwrap();
    let caller = site.bus("caller").await;
    let ticket = FlownClient::new(&caller).work().submit().await.unwrap();
    gate.entered.acquire().await.unwrap().forget();

    // It gives the message back, and its claim is renewed no more: as if it had been killed.
    let second = site.bus("second").await;
    let other = second.serve(FlownServer::new(gate.clone())).await.unwrap();
    first.close(Duration::ZERO).await;
    let call = ticket.call_id();
    gate.open.add_permits(2);
    assert_eq!(ticket.wait(&caller).await, Ok(2));
    let flight = flown(&caller, call, |step| {
        matches!(step, FlightStep::ReplyStored { .. })
    })
    .await;
    let by = |is_so: fn(&FlightStep) -> bool| programs(&flight, is_so);
    let published = by(|step| matches!(step, FlightStep::Published { .. }));
    assert_eq!(published, ["caller"], "{flight:?}");
    let taken = by(|step| matches!(step, FlightStep::Taken { .. }));
    assert_eq!(taken, ["first", "second"], "{flight:?}");
    for (by_second, what) in [
        (
            by(|s| {
                matches!(
                    s,
                    FlightStep::Taken {
                        redelivered: true,
                        ..
                    }
                )
            }),
            "redelivered",
        ),
        (by(|s| matches!(s, FlightStep::WaitsForRun)), "waits"),
        (
            by(|s| matches!(s, FlightStep::Claimed { attempt: 2 })),
            "claimed",
        ),
        (
            by(|s| matches!(s, FlightStep::Began { attempt: 2 })),
            "began",
        ),
        (
            by(|s| matches!(s, FlightStep::ReplyStored { .. })),
            "stored",
        ),
    ] {
        assert_eq!(by_second, ["second"], "{what}: {flight:?}");
    }
    let first_claim = by(|step| matches!(step, FlightStep::Claimed { attempt: 1 }));
    assert_eq!(first_claim, ["first"]);
    drop(serving);

    let letter = FlownClient::new(&caller).panics().send().await.unwrap();
    let letter = flown(&caller, letter, |step| {
        matches!(step, FlightStep::DeadLettered { .. })
    })
    .await;
    assert_eq!(letter.outcome(), Some("panicked"));
    let kept = programs(&letter, |step| {
        matches!(step, FlightStep::DeadLettered { .. })
    });
    assert_eq!(kept, ["second"]);

    other.shutdown().await.unwrap();
    for bus in [second, caller] {
        bus.close(Duration::from_secs(5)).await;
    }
    site.remove_queues().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_outlast_a_redis_that_stands_still_and_are_recorded_after_it() {
    let Some(amqp) = live::rabbitmq().await else {
        return;
    };
    let Some(private) = require_or_skip(PrivateRedis::start(Persistence::None).await) else {
        return;
    };
    let site = Site {
        amqp,
        redis: private.url(),
        namespace: unique("frozen"),
    };
    let bus = site.bus("both").await;
    let serving = bus.serve(FlownServer::new(Gate::new())).await.unwrap();
    let client = FlownClient::new(&bus);
    assert_eq!(client.ask().await, Ok(7));

    private.freeze();
    let asking: Vec<_> = (0..20)
        .map(|_| tokio::spawn(client.ask().into_future()))
        .collect();
    eventually("it is found to be away", || async {
        matches!(bus.health().replies, StoreHealth::Down(_))
    })
    .await;
    private.thaw();
    for asked in asking {
        assert_eq!(asked.await.unwrap(), Ok(7));
    }
    let id = client.panics().send().await.unwrap();
    flown(&bus, id, |step| {
        matches!(step, FlightStep::DeadLettered { .. })
    })
    .await;
    serving.shutdown().await.unwrap();
    bus.close(Duration::from_secs(5)).await;
    site.remove_queues().await;
}
