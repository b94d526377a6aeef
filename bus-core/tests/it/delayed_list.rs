//! The list of what waits until it is due, by a paused clock.

use replybus::{
    Bus, CallId, CancelOutcome, Event, Never, RetryLater,
    delayed::{DelayedKind, DelayedMessage},
    queue_handler,
    reply::{DelayedNote, ReplyBackend, memory::MemoryReplies},
    transport::memory::MemoryBroker,
};
use replybus_testkit::wait::eventually;
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const QUEUE: &str = "alarm.requests";
const HOUR: Duration = Duration::from_secs(3600);

#[queue_handler("alarm.requests")]
trait Alarm {
    async fn ring(&self, number: u64) -> Result<u64, Never>;

    /// Is put off, once.
    #[command(retry(base = "30s", max_delay = "30s"))]
    async fn snooze(&self) -> Result<(), String>;
}

struct Bell;

impl Alarm for Bell {
    async fn ring(&self, number: u64) -> Result<u64, Never> {
        Ok(number)
    }

    async fn snooze(&self) -> Result<(), String> {
        Err("not yet".to_owned()).retry_later()
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event("alarm.rung")]
struct Rung;

async fn listed(bus: &Bus, place: &str) -> Vec<DelayedMessage> {
    bus.delayed(place).await.unwrap()
}

async fn lists(bus: &Bus, place: &str, count: usize) -> Vec<DelayedMessage> {
    eventually(&format!("{count} are listed"), || async {
        listed(bus, place).await.len() == count
    })
    .await;
    listed(bus, place).await
}

#[tokio::test(start_paused = true)]
async fn what_is_delayed_is_listed_until_it_is_due_and_nothing_else_is() {
    let bus = Bus::in_memory();
    let serving = bus.serve(AlarmServer::new(Bell)).await.unwrap();
    let alarm = AlarmClient::new(&bus);
    assert_eq!(alarm.ring(1).await, Ok(1));
    alarm.ring(2).send().await.unwrap();
    let ticket = alarm.ring(3).submit().await.unwrap();
    assert_eq!(ticket.wait(&bus).await, Ok(3));
    assert_eq!(listed(&bus, QUEUE).await, []);

    let later = alarm.ring(4).submit_after(2 * HOUR).await.unwrap();
    let sooner = alarm.ring(5).idempotency_key("secret").send_after(HOUR);
    let sooner = sooner.await.unwrap();
    let waiting = lists(&bus, QUEUE, 2).await;
    let ids: Vec<_> = waiting.iter().map(|message| message.id).collect();
    assert_eq!(ids, [sooner, later.call_id()]);
    let [first, second] = &waiting[..] else {
        panic!()
    };
    assert_eq!((first.kind, &*first.name), (DelayedKind::Call, "ring"));
    assert_eq!((&*first.service, &*first.place), ("Alarm", QUEUE));
    assert!((first.keyed, second.keyed) == (true, false));
    let left = first.due_at.duration_since(SystemTime::now()).unwrap();
    assert!(left <= HOUR && left > HOUR / 2, "{left:?}");
    assert!(!format!("{waiting:?}").contains("secret"));

    tokio::time::sleep(HOUR + Duration::from_secs(1)).await;
    assert_eq!(lists(&bus, QUEUE, 1).await[0].id, later.call_id());
    serving.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_is_listed_no_more() {
    let bus = Bus::in_memory();
    let serving = bus.serve(AlarmServer::new(Bell)).await.unwrap();
    let alarm = AlarmClient::new(&bus);
    let ticket = alarm.ring(1).submit_after(HOUR).await.unwrap();
    alarm.ring(2).send_after(HOUR).await.unwrap();
    alarm
        .ring(3)
        .idempotency_key("k")
        .send_after(HOUR)
        .await
        .unwrap();
    lists(&bus, QUEUE, 3).await;
    assert_eq!(
        ticket.cancel(&bus).await.unwrap(),
        CancelOutcome::NeverStarted
    );

    // By what is listed alone.
    for message in lists(&bus, QUEUE, 2).await {
        let key = message.keyed.then_some("k");
        let ticket = message.ticket::<Result<u64, Never>>(key).unwrap();
        let outcome = ticket.cancel(&bus).await.unwrap();
        assert_eq!(outcome, CancelOutcome::NeverStarted);
    }
    lists(&bus, QUEUE, 0).await;
    serving.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_and_what_is_put_off_are_listed_where_they_go() {
    let bus = Bus::in_memory();
    let serving = bus.serve(AlarmServer::new(Bell)).await.unwrap();
    bus.subscribe("rings", async |_: Rung| ())
        .await
        .map(drop)
        .unwrap();
    let id = bus.emit_after(&Rung, HOUR).await.unwrap();
    let [event] = &lists(&bus, "alarm.rung", 1).await[..] else {
        panic!()
    };
    assert_eq!((event.id, event.kind), (id, DelayedKind::Event));
    assert!(event.ticket::<Result<(), Never>>(None).is_none());

    let id = AlarmClient::new(&bus).snooze().send().await.unwrap();
    let [retry] = &lists(&bus, QUEUE, 1).await[..] else {
        panic!()
    };
    assert_eq!(
        (retry.id, retry.kind, &*retry.name),
        (id, DelayedKind::Retry, "snooze")
    );
    serving.shutdown().await.unwrap();
}

#[cfg(feature = "schedules")]
#[tokio::test]
async fn the_next_tick_is_listed_once_however_many_put_it() {
    let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
    let mut all = Vec::new();
    for _ in 0..2 {
        let bus = Bus::connect(Arc::new(broker.connect()), replies.clone())
            .await
            .unwrap();
        // Once a year: nothing is run.
        let scheduled = bus
            .schedule("yearly", "0 0 1 1 *", async |_| ())
            .await
            .unwrap();
        all.push((bus, scheduled));
    }
    let [tick] = &lists(&all[0].0, "schedule.yearly", 1).await[..] else {
        panic!()
    };
    assert_eq!((tick.kind, &*tick.name), (DelayedKind::Tick, "tick"));
}

#[tokio::test(start_paused = true)]
async fn what_is_forged_is_passed_over() {
    let replies = MemoryReplies::new();
    let bus = Bus::connect(MemoryBroker::new(), replies.clone())
        .await
        .unwrap();
    let forger = Box::new(replies).open("", Arc::new(crate::bad_input::Nobody));
    let forger = forger.await.unwrap();
    let due = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + HOUR;
    for garbage in ["", "[]", "{}", "{\"id\":7}", "\u{0}"] {
        let note = DelayedNote::new(QUEUE, CallId::new(), due, garbage.into());
        forger.note_delayed(&note).await.unwrap();
    }
    let large = vec![b'['; 100_000];
    let note = DelayedNote::new(QUEUE, CallId::new(), Duration::MAX, large.into());
    forger.note_delayed(&note).await.unwrap();
    assert_eq!(listed(&bus, QUEUE).await, []);
    assert!(bus.delayed("no queue").await.is_err());
}
