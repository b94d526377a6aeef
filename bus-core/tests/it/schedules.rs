//! Work that is due again and again. By the clock on the wall, which nothing here can pause: each
//! test takes a few seconds of it.

use crate::{between::Between, delays::Older};
use replybus::{
    Bus, RetryLater, SetupError,
    limits::TICK_LATE_AFTER,
    message::{Message, Properties},
    reply::memory::MemoryReplies,
    schedule::{Missed, Scheduled, Tick},
    transport::{Outgoing, Transport, Verdict, memory::MemoryBroker},
};
use replybus_testkit::wait::eventually;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// Programs that run a schedule, on one broker and one store.
struct World {
    broker: MemoryBroker,
    replies: MemoryReplies,
    ran: Arc<Mutex<BTreeMap<u64, u32>>>,
}

impl World {
    fn new() -> Self {
        Self {
            broker: MemoryBroker::new(),
            replies: MemoryReplies::new(),
            ran: Arc::default(),
        }
    }

    async fn bus(&self) -> Bus {
        let transport = Arc::new(self.broker.connect());
        Bus::connect(transport, self.replies.clone()).await.unwrap()
    }

    /// A program that counts its ticks, and fails of each if it is told to.
    async fn runs(&self, pattern: &str, missed: Missed, fails: bool) -> (Bus, Scheduled) {
        let bus = self.bus().await;
        let ran = Arc::clone(&self.ran);
        let scheduled = bus.schedule("ticks", pattern, move |tick: Tick| {
            let second = second(tick.at());
            assert_eq!(tick.key(), format!("ticks/{second}"));
            assert!(second <= now(), "it is early");
            *ran.lock().unwrap().entry(second).or_default() += 1;
            async move {
                assert!(!fails || second.is_multiple_of(2), "on purpose");
                if fails {
                    return Err("on purpose").retry_later();
                }
                Ok(())
            }
        });
        let scheduled = scheduled.missed(missed).await.unwrap();
        (bus, scheduled)
    }

    fn ran(&self) -> BTreeMap<u64, u32> {
        self.ran.lock().unwrap().clone()
    }

    /// Waits until so many ticks have run.
    async fn has_run(&self, count: usize) -> BTreeMap<u64, u32> {
        eventually("the ticks are run", || async { self.ran().len() >= count }).await;
        self.ran()
    }

    /// A tick, as whoever may write to its queue says it.
    async fn puts(&self, body: &str) {
        let message = Message {
            routing_key: "schedule.ticks".into(),
            properties: Properties {
                kind: Some("tick".into()),
                content_type: Some("application/json".into()),
                persistent: true,
                headers: [("idempotency-key".into(), body.into())].into(),
                ..Properties::default()
            },
            body: body.to_owned().into(),
            ..Message::default()
        };
        let transport = self.broker.connect();
        let mut receipt = transport.publish(Outgoing::new(message));
        assert_eq!(receipt.verdict().await, Verdict::Confirmed);
    }

    async fn letters(&self, count: u64) {
        let bus = self.bus().await;
        eventually("they are kept", || async {
            let state = bus.inspect("schedule.ticks.dead").await.unwrap();
            state.is_some_and(|state| state.waiting == count)
        })
        .await;
    }
}

fn second(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn now() -> u64 {
    second(SystemTime::now())
}

/// Every second from the first to the last, each once.
fn assert_whole(ran: &BTreeMap<u64, u32>) {
    let (first, last) = (ran.keys().next().unwrap(), ran.keys().next_back().unwrap());
    for second in *first..=*last {
        assert_eq!(ran.get(&second), Some(&1), "{second} of {ran:?}");
    }
}

/// As while the broker takes no messages, and hands out those that it has.
#[tokio::test]
async fn a_tick_is_run_although_the_next_one_can_not_be_put() {
    let world = World::new();
    let transport = Between::on(&world.broker, Older);
    let bus = Bus::connect(transport, world.replies.clone())
        .await
        .unwrap();
    let ran = Arc::clone(&world.ran);
    let scheduled = bus.schedule("ticks", "* * * * * *", move |tick: Tick| {
        ran.lock().unwrap().insert(second(tick.at()), 1);
        async {}
    });
    let _scheduled = scheduled.missed(Missed::Once).await.unwrap();
    let tick = now();
    world.puts(&format!("{{\"second\":{tick}}}")).await;
    assert_eq!(world.has_run(1).await, BTreeMap::from([(tick, 1)]));
}

#[tokio::test]
async fn of_several_programs_one_runs_each_tick() {
    let world = World::new();
    let mut programs = Vec::new();
    for _ in 0..3 {
        programs.push(world.runs("* * * * * *", Missed::Once, false).await);
    }
    assert_whole(&world.has_run(3).await);
    // Some end, on purpose and otherwise, and others begin.
    let (bus, scheduled) = programs.pop().unwrap();
    scheduled.shutdown().await.unwrap();
    drop((bus, programs.pop()));
    programs.push(world.runs("* * * * * *", Missed::Once, false).await);
    assert_whole(&world.has_run(5).await);
}

#[tokio::test]
async fn what_nobody_was_there_for_is_run_when_somebody_is() {
    let world = World::new();
    let all = Missed::All { at_most: 100 };
    let program = world.runs("* * * * * *", all, false).await;
    world.has_run(1).await;
    drop(program);
    sleep(3 * SECOND).await;
    let before = world.ran().len();
    let _program = world.runs("* * * * * *", all, false).await;
    assert_whole(&world.has_run(before + 5).await);
}

/// Of two programs neither runs what the other could not do.
#[tokio::test]
async fn a_tick_whose_handler_fails_or_panics_has_run() {
    let world = World::new();
    let _programs = [
        world.runs("* * * * * *", Missed::Once, true).await,
        world.runs("* * * * * *", Missed::Once, true).await,
    ];
    let mut ran = world.has_run(5).await;
    ran.pop_last();
    assert_whole(&ran);
    world.letters(0).await;
}

#[tokio::test]
async fn a_late_tick_is_run_skipped_or_stands_for_the_last() {
    let late = now() - 2 * TICK_LATE_AFTER.as_secs();
    // A tick of each day, but for the one that is late.
    let of = |moment: u64| {
        let of_day = moment % (24 * 60 * 60);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        format!("{second} {minute} {hour} * * *")
    };
    let day = 24 * 60 * 60;
    for (missed, expected) in [
        (Missed::Skip, vec![]),
        (Missed::Once, vec![late]),
        (Missed::All { at_most: 2 }, vec![late - day, late]),
    ] {
        let world = World::new();
        let _program = world.runs(&of(late), missed, false).await;
        for _ in 0..2 {
            world
                .puts(&format!("{{\"second\":{}}}", late - 3 * day))
                .await;
        }
        world.has_run(expected.len()).await;
        sleep(SECOND).await;
        let ran = world.ran();
        assert_eq!(
            ran.keys().copied().collect::<Vec<_>>(),
            expected,
            "{missed:?}"
        );
        assert!(ran.values().all(|runs| *runs == 1), "{ran:?}");
    }
}

#[tokio::test]
async fn what_is_no_tick_is_not_run() {
    let world = World::new();
    let _program = world.runs("0 0 1 1 *", Missed::Once, false).await;
    let bodies = ["", "{}", "[]", r#"{"second":-1}"#, r#"{"second":"0"}"#];
    for body in bodies {
        world.puts(body).await;
    }
    for second in [1, now(), u64::MAX] {
        world.puts(&format!("{{\"second\":{second}}}")).await;
    }
    world.letters(bodies.len().try_into().unwrap()).await;
    assert!(world.ran().is_empty(), "{:?}", world.ran());
}

#[tokio::test]
async fn what_can_be_no_schedule_is_refused() {
    let bus = Bus::in_memory();
    let nothing = |_: Tick| async {};
    for (name, pattern, zone, names) in [
        ("a b", "* * * * *", "UTC", "a b"),
        ("a", "* * * *", "UTC", "* * * *"),
        ("a", "0 0 31 6 *", "UTC", "0 0 31 6 *"),
        ("a", "* * * * *", "Mars/Olympus", "Mars/Olympus"),
    ] {
        let refused = bus.schedule(name, pattern, nothing).time_zone(zone).await;
        let refused = refused.unwrap_err();
        assert!(matches!(refused, SetupError::Setting { .. }), "{refused:?}");
        assert!(refused.to_string().contains(names), "{refused}");
    }
}
