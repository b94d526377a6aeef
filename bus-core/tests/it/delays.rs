//! Calls and events that are due later, by a paused clock.

use crate::between::{Between, Hook};
use replybus::{
    Bus, CancelOutcome, Context, Event, FailureKind, Never,
    event::EmitError,
    limits::{DELAY_MAX, DELAYED_AGAIN_AFTER},
    queue_handler,
    reply::memory::MemoryReplies,
    server::Serving,
    transport::{Transport as _, memory::MemoryBroker},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};
use tokio::{sync::mpsc, time::Instant};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[queue_handler("alarm.requests")]
trait Alarm {
    /// Rings, and says whether the call that is served has a deadline.
    async fn ring(&self, number: u64) -> Result<bool, Never>;
}

struct Bell(mpsc::UnboundedSender<(u64, Instant)>);

impl Alarm for Bell {
    async fn ring(&self, number: u64) -> Result<bool, Never> {
        self.0.send((number, Instant::now())).unwrap();
        Ok(Context::current().deadline().is_some())
    }
}

type Rung = mpsc::UnboundedReceiver<(u64, Instant)>;

async fn alarm(bus: &Bus) -> (AlarmClient, Rung, Serving) {
    let (ring, rung) = mpsc::unbounded_channel();
    let serving = bus.serve(AlarmServer::new(Bell(ring))).await.unwrap();
    (AlarmClient::new(bus), rung, serving)
}

#[tokio::test(start_paused = true)]
async fn calls_arrive_in_the_order_in_which_they_are_due_and_none_early() {
    let bus = Bus::in_memory();
    let (alarm, mut rung, _serving) = alarm(&bus).await;
    let started = Instant::now();
    let mut expected = BTreeMap::new();
    // Every delay from a second to a year, in an order that is no order.
    for number in 0..500 {
        let delay = Duration::from_millis(number * 7_919_000_017 % (DELAY_MAX.as_secs() * 1000));
        alarm.ring(number).send_after(delay).await.unwrap();
        expected.insert(delay, number);
    }
    for (delay, number) in expected {
        let (rang, at) = rung.recv().await.unwrap();
        assert_eq!(rang, number);
        let late = (at - started).checked_sub(delay).expect("it is not early");
        assert!(late < SECOND, "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ticket_is_good_until_long_after_its_call_is_due() {
    let bus = Bus::in_memory();
    let (alarm, mut rung, _serving) = alarm(&bus).await;
    let ticket = alarm.ring(1).submit_after(HOUR).await.unwrap();
    let started = Instant::now();
    let in_time = ticket.wait_for(&bus, HOUR / 2).await.unwrap_err();
    assert!(in_time.is_timeout());
    // Nobody waits for it, however short the time it may take to be started.
    let short = alarm.ring(2).timeout(SECOND).submit_after(SECOND);
    let short = short.await.unwrap();
    assert!(!short.wait(&bus).await.unwrap());
    assert!(!ticket.wait(&bus).await.unwrap());
    assert!(started.elapsed() >= HOUR);
    assert_eq!(rung.recv().await.unwrap().0, 2);
    assert_eq!(rung.recv().await.unwrap().0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_moment_that_has_passed_is_now() {
    let bus = Bus::in_memory();
    let (alarm, mut rung, _serving) = alarm(&bus).await;
    let started = Instant::now();
    alarm.ring(1).send_at(SystemTime::UNIX_EPOCH).await.unwrap();
    let ticket = alarm.ring(2).submit_at(SystemTime::now()).await.unwrap();
    ticket.wait(&bus).await.unwrap();
    alarm.ring(3).send_after(Duration::ZERO).await.unwrap();
    for number in 1..=3 {
        assert_eq!(rung.recv().await.unwrap().0, number);
    }
    assert!(started.elapsed() < SECOND);
}

#[tokio::test(start_paused = true)]
async fn one_key_is_one_effect_whenever_it_is_due() {
    let bus = Bus::in_memory();
    let (alarm, mut rung, _serving) = alarm(&bus).await;
    let ring = || alarm.ring(1).idempotency_key("alarm-1");
    let later = ring().submit_after(60 * SECOND).await.unwrap();
    let sooner = ring().submit_after(30 * SECOND).await.unwrap();
    sooner.wait(&bus).await.unwrap();
    later.wait(&bus).await.unwrap();
    assert!(rung.recv().await.is_some());
    assert!(rung.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_delayed_is_an_error_that_says_why() {
    let bus = Bus::in_memory();
    let nobody = AlarmClient::new(&bus).ring(1).send_after(SECOND).await;
    assert_eq!(nobody.unwrap_err().kind(), FailureKind::Unroutable);

    let (alarm, mut rung, _serving) = alarm(&bus).await;
    let far = alarm.ring(1).send_after(DELAY_MAX + SECOND).await;
    let far = far.unwrap_err();
    assert_eq!(far.kind(), FailureKind::NotSent);
    assert!(far.to_string().contains("31622400s is allowed"), "{far}");
    assert!(!far.may_have_executed());
    assert!(rung.try_recv().is_err());
}

/// A queue that was removed after a call to it was confirmed, or is full when it is due.
#[tokio::test(start_paused = true)]
async fn a_queue_that_takes_nothing_when_it_is_due_gets_it_later() {
    let broker = MemoryBroker::new();
    let transport = broker.connect();
    let bus = Bus::connect(broker, MemoryReplies::new()).await.unwrap();
    let (alarm, mut rung, serving) = alarm(&bus).await;
    alarm.ring(1).send_after(SECOND).await.unwrap();
    serving.shutdown().await.unwrap();
    let removed = transport.remove("alarm.requests", &[], true).await.unwrap();
    assert_eq!(removed, replybus::transport::Removal::Removed);
    tokio::time::sleep(2 * SECOND).await;
    let (_alarm, mut rung_again, _serving) = self::alarm(&bus).await;
    let started = Instant::now();
    assert_eq!(rung_again.recv().await.unwrap().0, 1);
    assert!(started.elapsed() <= DELAYED_AGAIN_AFTER);
    assert!(rung.recv().await.is_none());
}

#[derive(Debug, Event, Serialize, Deserialize)]
#[event("offer.expired")]
struct OfferExpired {
    offer: u64,
}

#[tokio::test(start_paused = true)]
async fn events_reach_the_groups_that_there_are_when_they_are_due() {
    let bus = Bus::in_memory();
    let event = OfferExpired { offer: 17 };
    bus.emit_after(&event, SECOND).await.unwrap();
    bus.emit_at(&event, SystemTime::now() + 60 * SECOND)
        .await
        .unwrap();
    tokio::time::sleep(2 * SECOND).await; // The first passes unheard.
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (told, mut hears) = mpsc::unbounded_channel();
    let note = Arc::clone(&heard);
    let listen = move |event: OfferExpired| {
        note.lock().unwrap().push(event.offer);
        told.send(()).unwrap();
        async {}
    };
    let _subscription = bus.subscribe("mail", listen).await.unwrap();
    bus.emit_at(&OfferExpired { offer: 18 }, SystemTime::UNIX_EPOCH)
        .await
        .unwrap();
    for _ in 0..2 {
        hears.recv().await.unwrap();
    }
    assert_eq!(*heard.lock().unwrap(), [18, 17]);

    for refused in [
        bus.emit_after(&event, DELAY_MAX + SECOND).await,
        bus.emit_after(&event, SECOND).mandatory().await,
    ] {
        assert!(
            matches!(refused, Err(EmitError::Delay { .. })),
            "{refused:?}"
        );
    }
}

/// A transport that was written before there were delays.
#[derive(Debug)]
pub(crate) struct Older;

impl Hook for Older {}

#[tokio::test(start_paused = true)]
async fn a_transport_that_does_not_delay_says_so() {
    let older = Between::on(&MemoryBroker::new(), Older);
    let bus = Bus::connect(older, MemoryReplies::new()).await.unwrap();
    let (alarm, mut rung, _serving) = alarm(&bus).await;
    let refused = alarm.ring(1).send_after(SECOND).await.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::NotSent);
    assert!(
        refused.to_string().contains("can't delay messages"),
        "{refused}"
    );
    alarm.ring(2).send().await.unwrap();
    assert_eq!(rung.recv().await.unwrap().0, 2);
}

/// For longer than anything else is remembered.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_before_it_is_due_is_never_started() {
    let bus = Bus::in_memory();
    let (alarm, mut rung, _serving) = alarm(&bus).await;
    let far = 100 * 24 * HOUR;
    let plain = alarm.ring(1).submit_after(far).await.unwrap();
    let keyed = alarm.ring(2).idempotency_key("alarm-2");
    let keyed = keyed.submit_after(far).await.unwrap();
    for ticket in [plain, keyed] {
        let cancelled = ticket.cancel(&bus).await.unwrap();
        assert_eq!(cancelled, CancelOutcome::NeverStarted);
    }
    alarm.ring(3).send_after(far + HOUR).await.unwrap();
    assert_eq!(rung.recv().await.unwrap().0, 3);
}
