//! Commands that take long: their messages, their workers, and what they say of themselves.

use crate::{
    between::Between,
    delays::Older,
    faulty_store::{Faults, FaultyReplies},
    mortal::Worker,
};
use replybus::{
    Bus, CallError, CallId, CancelOutcome, Context, FailureKind, Progress, Ticket, TicketStatus,
    layer::RateLimitLayer,
    limits::{JOB_HELD_FOR, JOB_LOOKED_AT_EVERY, SLOT_AWAITED_FOR},
    message::{Message, Properties},
    queue_handler,
    reply::memory::MemoryReplies,
    transport::{Outgoing, QueueSpec, Settled, Source, Transport, Verdict, memory::MemoryBroker},
};
use replybus_testkit::wait::eventually;
use std::{
    future::{Future, IntoFuture},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const QUEUE: &str = "archive.requests";

#[queue_handler("archive.requests", concurrency = 2, prefetch = 8)]
trait Archive {
    /// Runs until it is let go, and does what it is told then.
    #[command(job = "4h")]
    async fn copy(&self, name: String) -> Result<u32, String>;

    async fn note(&self) -> Result<u32, String>;

    #[query]
    async fn look(&self) -> Result<u32, String>;
}

/// What runs are to come to.
#[derive(Debug, Clone, PartialEq)]
enum Fate {
    Run,
    Succeed,
    Fail,
    Panic,
}

/// All runs of all workers.
#[derive(Clone)]
struct Runs {
    begun: Arc<Mutex<Vec<u32>>>,
    fate: watch::Sender<Fate>,
    /// Of a run that is told to stop: it gives its key back.
    gives_up: Arc<AtomicBool>,
    told: Arc<AtomicBool>,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            begun: Arc::default(),
            fate: watch::Sender::new(Fate::Run),
            gives_up: Arc::default(),
            told: Arc::default(),
        }
    }
}

impl Runs {
    fn attempts(&self) -> Vec<u32> {
        self.begun.lock().unwrap().clone()
    }

    async fn are(&self, attempts: &[u32]) {
        let what = format!("runs {attempts:?}");
        eventually(&what, || async { self.attempts() == attempts }).await;
    }
}

impl Archive for Runs {
    async fn copy(&self, name: String) -> Result<u32, String> {
        let context = Context::current();
        let attempt = context.attempt();
        self.begun.lock().unwrap().push(attempt);
        context.progress(u64::from(attempt), 10, format!("copying {name}"));
        let mut fate = self.fate.subscribe();
        let decided = async {
            let decided = fate.wait_for(|fate| *fate != Fate::Run).await;
            decided.unwrap().clone()
        };
        tokio::select! {
            fate = decided => match fate {
                Fate::Fail => Err("no".to_owned()),
                Fate::Panic => panic!("on purpose"),
                Fate::Run | Fate::Succeed => Ok(attempt),
            },
            () = context.cancelled() => {
                self.told.store(true, Ordering::SeqCst);
                if self.gives_up.load(Ordering::SeqCst) {
                    context.release_key();
                }
                Err("told to stop".to_owned())
            }
        }
    }

    async fn note(&self) -> Result<u32, String> {
        Ok(7)
    }

    async fn look(&self) -> Result<u32, String> {
        Ok(7)
    }
}

/// A broker and a store that outlive the workers.
#[derive(Default)]
struct World {
    broker: MemoryBroker,
    replies: MemoryReplies,
    runs: Runs,
}

impl World {
    async fn worker(&self) -> Worker {
        self.worker_of(2).await
    }

    async fn worker_of(&self, concurrency: u16) -> Worker {
        Worker::start(&self.broker, &self.replies, |bus| {
            let service = bus.serve(ArchiveServer::new(self.runs.clone()));
            service.concurrency(concurrency).prefetch(8)
        })
        .await
    }

    /// Has a job asked for whose claim can't be asked for. The worker that has it dies, and the other,
    /// which is returned, can't look whether it was started.
    async fn comes_unstarted_to_another<T>(&self, asking: impl Future<Output = T>) -> (Worker, T) {
        let mut workers = vec![self.worker().await, self.worker().await];
        for worker in &workers {
            worker.faults.no_claims.store(true, Ordering::SeqCst);
        }
        let asked = asking.await;
        let has_it = |worker: &Worker| worker.faults.claims.load(Ordering::SeqCst) > 0;
        eventually("one asks for its claim", || async {
            workers.iter().any(has_it)
        })
        .await;
        let dying = workers.iter().position(has_it).unwrap();
        workers.swap_remove(dying).dies().await;
        (workers.remove(0), asked)
    }

    async fn caller(&self) -> (Bus, ArchiveClient) {
        let bus = Bus::connect(self.broker.clone(), self.replies.clone()).await;
        let bus = bus.unwrap();
        let client = ArchiveClient::new(&bus);
        (bus, client)
    }

    async fn dead_letters(&self) -> u64 {
        let letters = self
            .broker
            .connect()
            .inspect(&format!("{QUEUE}.dead"))
            .await;
        letters.unwrap().map_or(0, |letters| letters.waiting)
    }

    /// Long enough for everything that waits to have come back.
    async fn all_comes_back(&self) {
        sleep(4 * JOB_LOOKED_AT_EVERY).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_worker_that_died_is_begun_anew_whenever_that_was() {
    let held = JOB_HELD_FOR;
    let milli = Duration::from_millis(1);
    for after in [milli, held - milli, held, held + milli, 25 * held, HOUR] {
        let world = World::default();
        let worker = world.worker().await;
        let (bus, client) = world.caller().await;
        let call = tokio::spawn(client.copy("a".into()).into_future());
        let ticket = client.copy("b".into()).submit().await.unwrap();
        world.runs.are(&[1, 1]).await;
        sleep(after).await;
        worker.dies().await;
        let _second = world.worker().await;
        let died = Instant::now();
        world.runs.are(&[1, 1, 2, 2]).await;
        let took = died.elapsed();
        assert!(
            took < JOB_LOOKED_AT_EVERY + Duration::from_secs(8),
            "{after:?}: {took:?}"
        );
        sleep(HOUR).await;
        world.runs.fate.send_replace(Fate::Succeed);
        assert_eq!(call.await.unwrap().unwrap(), 2);
        assert_eq!(ticket.wait(&bus).await.unwrap(), 2);
        world.all_comes_back().await;
        assert_eq!(world.runs.attempts(), [1, 1, 2, 2], "{after:?}");
        assert_eq!(world.dead_letters().await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_is_answered_and_told_of_once_however_long_it_took() {
    for after in [Duration::from_secs(1), HOUR] {
        for (fate, one_way, letters) in [
            (Fate::Succeed, true, 0),
            (Fate::Succeed, false, 0),
            (Fate::Fail, true, 1),
            (Fate::Fail, false, 0),
            (Fate::Panic, true, 1),
            (Fate::Panic, false, 1),
        ] {
            let world = World::default();
            let _worker = world.worker().await;
            let (_bus, client) = world.caller().await;
            let copy = || client.copy("a".into()).idempotency_key("k");
            let call = if one_way {
                copy().send().await.unwrap();
                None
            } else {
                Some(tokio::spawn(copy().into_future()))
            };
            world.runs.are(&[1]).await;
            sleep(after).await;
            world.runs.fate.send_replace(fate.clone());
            let about = format!("{fate:?}, one-way {one_way}, after {after:?}");
            let again = copy().await;
            if let Some(call) = call {
                let answer = call.await.unwrap();
                match &fate {
                    Fate::Panic => {
                        let failure = answer.unwrap_err();
                        assert_eq!(failure.kind(), Some(FailureKind::Panicked), "{about}");
                        assert!(failure.may_have_executed());
                    }
                    Fate::Fail => {
                        assert!(matches!(answer, Err(CallError::Handler(_))), "{about}");
                    }
                    Fate::Run | Fate::Succeed => assert_eq!(answer.unwrap(), 1, "{about}"),
                }
            }
            // One outcome for the key.
            assert_eq!(again.is_ok(), fate == Fate::Succeed, "{about}: {again:?}");
            let kept = || async { world.dead_letters().await >= letters };
            eventually("its dead letter", kept).await;
            world.all_comes_back().await;
            assert_eq!(world.runs.attempts(), [1], "{about}");
            assert!(
                world.dead_letters().await <= letters + u64::from(fate == Fate::Panic),
                "{about}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_record_is_gone_with_its_worker_is_not_run_again() {
    let world = World::default();
    let worker = world.worker().await;
    let (_bus, client) = world.caller().await;
    let call = tokio::spawn(client.copy("a".into()).into_future());
    world.runs.are(&[1]).await;
    sleep(HOUR).await;
    worker.dies().await;
    // The same broker, and a store that has lost everything but who calls.
    let lost = World {
        broker: world.broker.clone(),
        replies: MemoryReplies::new(),
        runs: world.runs.clone(),
    };
    let _second = lost.worker().await;
    eventually("its dead letter", || async {
        world.dead_letters().await == 1
    })
    .await;
    let (bus, _) = lost.caller().await;
    let letters = bus.dead_letters(QUEUE).list(0..10).await.unwrap();
    let letter = letters.letters.first().unwrap();
    assert_eq!(letter.reason(), "interrupted", "{letter:?}");
    assert!(letter.may_have_executed());
    assert_eq!(world.runs.attempts(), [1]);
    // Somebody has seen what was done, and wants it run.
    world.runs.fate.send_replace(Fate::Succeed);
    let redriven = bus.dead_letters(QUEUE).redrive(|_| true).await.unwrap();
    assert_eq!(redriven.redriven, 1, "{redriven:?}");
    world.runs.are(&[1, 1]).await;
    world.all_comes_back().await;
    assert_eq!(world.dead_letters().await, 0);
    call.abort();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_runs_goes_on_though_its_record_is_missing_for_a_moment() {
    let world = World::default();
    let worker = world.worker().await;
    let (bus, client) = world.caller().await;
    let call = tokio::spawn(client.copy("a".into()).into_future());
    let ticket = client.copy("b".into()).submit().await.unwrap();
    world.runs.are(&[1, 1]).await;
    sleep(HOUR).await;
    // More than once, and never twice in a row.
    for _ in 0..3 {
        worker.faults.no_records.store(true, Ordering::SeqCst);
        sleep(JOB_LOOKED_AT_EVERY).await;
        worker.faults.no_records.store(false, Ordering::SeqCst);
        sleep(JOB_LOOKED_AT_EVERY).await;
    }
    world.runs.fate.send_replace(Fate::Succeed);
    assert_eq!(call.await.unwrap().unwrap(), 1);
    assert_eq!(ticket.wait(&bus).await.unwrap(), 1);
    world.all_comes_back().await;
    assert_eq!(world.runs.attempts(), [1, 1]);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_could_start_runs_when_the_store_is_back() {
    let world = World::default();
    let (bus, client) = world.caller().await;
    let submitted = client.copy("a".into()).submit();
    let (worker, ticket) = world.comes_unstarted_to_another(submitted).await;
    let ticket = ticket.unwrap();
    sleep(5 * JOB_LOOKED_AT_EVERY).await;
    assert!(world.runs.attempts().is_empty());
    worker.faults.no_claims.store(false, Ordering::SeqCst);
    world.runs.fate.send_replace(Fate::Succeed);
    assert_eq!(ticket.wait(&bus).await.unwrap(), 1);
    world.all_comes_back().await;
    assert_eq!(world.runs.attempts(), [1]);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_to_be_started_for_long_is_not_said_to_have_been() {
    let world = World::default();
    let (bus, client) = world.caller().await;
    let worker = world.worker().await;
    worker.faults.no_claims.store(true, Ordering::SeqCst);
    let ticket = client.copy("a".into()).submit().await.unwrap();
    eventually("its claim is asked for", async || {
        worker.faults.claims.load(Ordering::SeqCst) > 0
    })
    .await;
    sleep(3 * JOB_HELD_FOR).await;
    worker.dies().await;
    let _second = world.worker().await;
    world.runs.are(&[1]).await;
    world.runs.fate.send_replace(Fate::Succeed);
    assert_eq!(ticket.wait(&bus).await.unwrap(), 1);
    world.all_comes_back().await;
    assert_eq!(world.runs.attempts(), [1]);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn jobs_that_a_layer_holds_up_are_run_when_it_lets_them() {
    let world = World::default();
    let (bus, client) = world.caller().await;
    let limit = RateLimitLayer::new(1, 6 * JOB_HELD_FOR);
    let _worker = Worker::start(&world.broker, &world.replies, |bus| {
        bus.serve(ArchiveServer::new(world.runs.clone()))
            .layer(limit)
    })
    .await;
    world.runs.fate.send_replace(Fate::Succeed);
    let first = client.copy("a".into()).submit().await.unwrap();
    let second = client.copy("b".into()).submit().await.unwrap();
    assert_eq!(first.wait(&bus).await.unwrap(), 1);
    assert_eq!(second.wait(&bus).await.unwrap(), 1);
    world.all_comes_back().await;
    assert_eq!(world.runs.attempts(), [1, 1]);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_message_of_a_job_that_runs_is_looked_at_now_and_then_without_delays_too() {
    let world = World::default();
    let (bus, client) = world.caller().await;
    let faults = Arc::new(Faults::default());
    let serve = async || {
        let store = FaultyReplies::over(&world.replies, &faults);
        let bus = Bus::connect(Between::on(&world.broker, Older), store);
        let bus = bus.await.unwrap();
        let service = bus.serve(ArchiveServer::new(world.runs.clone()));
        service.concurrency(1).prefetch(1).await.unwrap()
    };
    let copy = || client.copy("a".into()).idempotency_key("k");
    let _first = serve().await;
    let ticket = copy().submit().await.unwrap();
    world.runs.are(&[1]).await;
    // That one takes no more, and its job is asked for again.
    let _second = serve().await;
    copy().send().await.unwrap();
    sleep(10 * JOB_LOOKED_AT_EVERY).await;
    let looks = faults.records.load(Ordering::SeqCst);
    assert!((5..=10).contains(&looks), "{looks}");
    world.runs.fate.send_replace(Fate::Succeed);
    assert_eq!(ticket.wait(&bus).await.unwrap(), 1);
    world.all_comes_back().await;
    assert_eq!(world.runs.attempts(), [1]);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_not_started_keeps_its_time_while_it_waits() {
    let world = World::default();
    // Of clients that say it by the time to live of the message alone.
    let message = Message {
        routing_key: QUEUE.into(),
        properties: Properties {
            kind: Some("copy".into()),
            message_id: Some(CallId::new().to_string().into()),
            content_type: Some("application/json".into()),
            ..Properties::default()
        },
        body: br#"{"name":"a"}"#.as_slice().into(),
        ..Message::default()
    };
    let asking = async {
        let sent = Outgoing::new(message).deadline(Instant::now() + 3 * JOB_LOOKED_AT_EVERY);
        world.broker.connect().publish(sent).verdict().await
    };
    let (worker, sent) = world.comes_unstarted_to_another(asking).await;
    assert_eq!(sent, Verdict::Confirmed);
    sleep(JOB_LOOKED_AT_EVERY / 2).await;
    worker.dies().await;
    let queue = QueueSpec::new(QUEUE).or_existing();
    let transport = world.broker.connect();
    let mut waiting = transport.consume(Source::new(queue, 1)).await.unwrap();
    let kept = waiting.next().await.unwrap();
    let properties = &kept.message.properties;
    assert_eq!(properties.header("repeated"), Some("true"));
    assert_eq!(properties.header("x-replybus-job-started"), None);
    let until: u64 = properties.header("deadline").unwrap().parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let longest = now + 3 * JOB_LOOKED_AT_EVERY;
    assert!(u128::from(until) <= longest.as_millis(), "{until}");
    kept.settler.settle(Settled::Ack);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_a_worker_leaves_goes_on_with_another() {
    for (gives_up, attempts) in [(true, &[1, 2][..]), (false, &[1])] {
        let world = World::default();
        world.runs.gives_up.store(gives_up, Ordering::SeqCst);
        let worker = world.worker().await;
        let (bus, client) = world.caller().await;
        let ticket = client.copy("a".into()).submit().await.unwrap();
        world.runs.are(&[1]).await;
        sleep(HOUR).await;
        let Worker { serving, .. } = worker;
        serving.shutdown().await.unwrap();
        eventually("it is told", || async {
            world.runs.told.load(Ordering::SeqCst)
        })
        .await;
        let _second = world.worker().await;
        world.runs.are(attempts).await;
        world.runs.fate.send_replace(Fate::Succeed);
        let answer = ticket.wait(&bus).await;
        assert_eq!(answer.is_ok(), gives_up, "{answer:?}");
        world.all_comes_back().await;
        assert_eq!(world.runs.attempts(), attempts);
    }
}

#[tokio::test(start_paused = true)]
async fn two_who_ask_for_one_job_get_one_outcome_and_keep_nobody_from_work() {
    let world = World::default();
    let _worker = world.worker().await;
    let (_bus, client) = world.caller().await;
    let copy = || client.copy("a".into()).idempotency_key("k").into_future();
    let first = tokio::spawn(copy());
    world.runs.are(&[1]).await;
    let others = [(); 8].map(|()| tokio::spawn(copy()));
    sleep(HOUR).await;
    // Only the job itself has a handler for all of that time.
    for _ in 0..100 {
        assert_eq!(client.note().timeout(HOUR / 4).await.unwrap(), 7);
        sleep(Duration::from_secs(1)).await;
    }
    world.runs.fate.send_replace(Fate::Succeed);
    assert_eq!(first.await.unwrap().unwrap(), 1);
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), 1);
    }
    world.all_comes_back().await;
    assert_eq!(world.runs.attempts(), [1]);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_finds_all_handlers_at_jobs_waits_where_others_find_it() {
    let world = World::default();
    let _busy = world.worker_of(1).await;
    let (bus, client) = world.caller().await;
    client.copy("a".into()).send().await.unwrap();
    world.runs.are(&[1]).await;
    let notes: Vec<Ticket<_>> = {
        let mut notes = Vec::new();
        for _ in 0..8 {
            notes.push(client.note().submit().await.unwrap());
        }
        notes
    };
    sleep(Duration::from_secs(60)).await;
    // The first worker holds them all.
    let _idle = world.worker_of(1).await;
    sleep(Duration::from_secs(60)).await;
    assert!(
        matches!(notes[0].wait_for(&bus, Duration::ZERO).await, Err(error) if error.is_timeout())
    );
    for note in &notes {
        let answer = timeout(SLOT_AWAITED_FOR, note.wait(&bus)).await;
        assert_eq!(answer.unwrap().unwrap(), 7);
    }
    assert_eq!(world.runs.attempts(), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_job_says_how_far_it_is_to_whoever_asks() {
    let world = World::default();
    let (bus, client) = world.caller().await;
    let ticket = {
        let worker = world.worker().await;
        worker.serving.shutdown().await.unwrap();
        client.copy("a".into()).submit().await.unwrap()
    };
    assert_eq!(ticket.status(&bus).await.unwrap(), TicketStatus::Waiting);
    let mut updates = ticket.progress(&bus);
    let _worker = world.worker().await;
    let expected = Progress::new(1, 10, "copying a");
    assert_eq!(updates.next().await, Some(expected.clone()));
    match ticket.status(&bus).await.unwrap() {
        TicketStatus::Running {
            attempt,
            is_alive,
            progress,
            ..
        } => {
            assert_eq!((attempt, is_alive, progress), (1, true, Some(expected)));
        }
        other => panic!("{other:?}"),
    }
    world.runs.fate.send_replace(Fate::Succeed);
    assert_eq!(updates.next().await, None);
    assert_eq!(ticket.status(&bus).await.unwrap(), TicketStatus::Done);
    assert_eq!(ticket.wait(&bus).await.unwrap(), 1);

    // A call that is awaited, one that fails before it starts, and a command that is no job.
    let (told, mut words) = watch::channel(None);
    let call = client.copy("b".into()).on_progress(move |progress| {
        told.send_replace(Some(progress.note));
    });
    assert_eq!(call.await.unwrap(), 1);
    assert!(words.has_changed().is_err() || words.borrow_and_update().is_some());
    let ticket = client.note().submit().await.unwrap();
    assert_eq!(ticket.progress(&bus).next().await, None);
    assert_eq!(ticket.status(&bus).await.unwrap(), TicketStatus::Done);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_told_when_its_time_is_over_or_it_is_cancelled() {
    let world = World::default();
    let _worker = world.worker().await;
    let (bus, client) = world.caller().await;
    let begun = Instant::now();
    let ticket = client.copy("a".into()).submit().await.unwrap();
    let answer = ticket.wait(&bus).await;
    assert_eq!(answer.unwrap_err().to_string(), "told to stop");
    let took = begun.elapsed();
    assert!(
        took >= 4 * HOUR && took < 4 * HOUR + Duration::from_secs(60),
        "{took:?}"
    );

    let ticket = client.copy("b".into()).submit().await.unwrap();
    world.runs.are(&[1, 1]).await;
    sleep(HOUR).await;
    assert!(matches!(
        ticket.cancel(&bus).await.unwrap(),
        CancelOutcome::Running
    ));
    let answer = ticket.wait_for(&bus, Duration::from_secs(60)).await;
    assert_eq!(answer.unwrap_err().to_string(), "told to stop");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_a_worker_leaves_is_waited_for_while_nobody_serves_its_queue() {
    let world = World::default();
    world.runs.gives_up.store(true, Ordering::SeqCst);
    let worker = world.worker().await;
    let (_bus, client) = world.caller().await;
    let call = tokio::spawn(client.copy("a".into()).into_future());
    world.runs.are(&[1]).await;
    sleep(HOUR).await;
    worker.serving.shutdown().await.unwrap();
    sleep(Duration::from_secs(30)).await;
    let _second = world.worker().await;
    world.runs.are(&[1, 2]).await;
    world.runs.fate.send_replace(Fate::Succeed);
    assert_eq!(call.await.unwrap().unwrap(), 2);
}

/// Its worker dies, and all handlers of the next are at jobs until long after its caller left.
#[tokio::test(start_paused = true)]
async fn what_was_begun_is_not_lost_while_it_waits_for_a_handler() {
    let world = World::default();
    let worker = world.worker_of(1).await;
    let (_bus, client) = world.caller().await;
    let call = client.copy("a".into()).idempotency_key("k");
    let time = JOB_HELD_FOR + Duration::from_secs(5);
    let call = tokio::spawn(call.timeout(time).into_future());
    world.runs.are(&[1]).await;
    // Its message waits with the broker by now.
    sleep(JOB_HELD_FOR + Duration::from_secs(1)).await;
    worker.dies().await;
    let _busy = world.worker_of(1).await;
    client.copy("b".into()).send().await.unwrap();
    world.runs.are(&[1, 1]).await;
    let failure = call.await.unwrap().unwrap_err();
    assert_eq!(failure.kind(), Some(FailureKind::TimedOut));
    sleep(2 * SLOT_AWAITED_FOR).await;
    world.runs.fate.send_replace(Fate::Succeed);
    // By the clock on the wall, which does not pass here, it has time yet.
    world.runs.are(&[1, 1, 2]).await;
    let again = client.copy("a".into()).idempotency_key("k");
    assert_eq!(again.await.unwrap(), 2);
    assert_eq!(world.dead_letters().await, 0);
}

#[tokio::test(start_paused = true)]
async fn who_runs_jobs_tells_which_and_how_far_they_are() {
    let world = World::default();
    let worker = world.worker_of(3).await;
    let (bus, client) = world.caller().await;
    let archive = bus.control(QUEUE);
    let jobs = async || {
        let mut told = archive.jobs().await.unwrap();
        assert_eq!((told.len(), told[0].more), (1, 0));
        told.remove(0).jobs
    };
    assert_eq!(jobs().await, []);
    let first = client.copy("a".into()).submit().await.unwrap();
    world.runs.are(&[1]).await;
    let second = client.copy("b".into()).submit().await.unwrap();
    world.runs.are(&[1, 1]).await;
    // What is no job is not among them.
    client.note().await.unwrap();
    let told = jobs().await;
    let ids: Vec<_> = told.iter().map(|job| job.id).collect();
    assert_eq!(ids, [first.call_id(), second.call_id()]);
    assert_eq!((&*told[0].method, told[0].attempt), ("copy", 1));
    let progress = told[0].progress.clone().unwrap();
    assert_eq!(progress.to_string(), "1 of 10, copying a");

    assert!(archive.cancel(second.call_id()).await.unwrap());
    let ended = second.wait(&bus).await.unwrap_err();
    assert!(matches!(&ended, CallError::Handler(said) if said == "told to stop"));
    eventually("it is gone", async || jobs().await.len() == 1).await;

    // Another worker begins it anew, and tells of that run.
    worker.dies().await;
    let other = world.worker().await;
    world.runs.are(&[1, 1, 2]).await;
    let told = archive.jobs().await.unwrap();
    let told = told.iter().flat_map(|of| &of.jobs);
    let told: Vec<_> = told.map(|job| (job.id, job.attempt)).collect();
    assert_eq!(told, [(first.call_id(), 2)]);
    world.runs.fate.send_replace(Fate::Succeed);
    assert_eq!(first.wait(&bus).await.unwrap(), 2);
    other.serving.shutdown().await.unwrap();
    assert_eq!(archive.jobs().await.unwrap(), []);
}
