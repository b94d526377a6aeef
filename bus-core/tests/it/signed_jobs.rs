//! Jobs of a service that believes signed requests only: what comes back long after its caller's
//! signature is over, and what others make of it on its way.

use crate::{
    mortal::Worker,
    signed::{key, ring, teller},
};
use replybus::{
    Bus, BusBuilder, Context, Ticket,
    limits::{
        CLOCK_ALLOWANCE, JOB_HELD_FOR, JOB_LOOKED_AT_EVERY, SLOT_AWAITED_FOR, UNKEYED_RETENTION,
    },
    message::{Message, Text},
    queue_handler,
    reply::memory::MemoryReplies,
    signature::{KeyRing, SigningKey},
    transport::{Outgoing, QueueSpec, Settled, Source, Transport, memory::MemoryBroker},
};
use replybus_testkit::wait::eventually;
use std::{
    future::{Future, IntoFuture},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

const QUEUE: &str = "works.requests";
const STARTED: &str = "x-replybus-job-started";
const MISSED: &str = "x-replybus-job-missed";
const WORD: &str = "x-replybus-job-signature";
const SIGNATURE: &str = "x-replybus-signature";
const HOUR: Duration = Duration::from_secs(60 * 60);
/// What a caller signs that a job is to be started within.
const SHORT: Duration = Duration::from_millis(300);

type Built = Ticket<Result<u32, String>>;

#[queue_handler("works.requests", concurrency = 2, prefetch = 8)]
trait Works {
    /// Runs until it is let go.
    #[command(job = "4h")]
    async fn build(&self, name: String) -> Result<u32, String>;
}

/// All runs of all workers, and what they are to come to.
#[derive(Clone)]
struct Runs {
    begun: Arc<Mutex<Vec<String>>>,
    fate: watch::Sender<Option<bool>>,
}

impl Runs {
    async fn are(&self, expected: &[&str]) {
        let what = format!("runs {expected:?}");
        eventually(&what, || async { *self.begun.lock().unwrap() == expected }).await;
    }

    fn succeed(&self) {
        self.fate.send_replace(Some(true));
    }

    fn fail(&self) {
        self.fate.send_replace(Some(false));
    }
}

impl Works for Runs {
    async fn build(&self, name: String) -> Result<u32, String> {
        let attempt = Context::current().attempt();
        self.begun.lock().unwrap().push(format!("{name}{attempt}"));
        let mut fate = self.fate.subscribe();
        let fate = *fate.wait_for(Option::is_some).await.unwrap();
        match fate {
            Some(true) => Ok(attempt),
            _ => Err("no".to_owned()),
        }
    }
}

/// A broker and a store that outlive the workers.
struct World {
    broker: MemoryBroker,
    replies: MemoryReplies,
    runs: Runs,
}

fn works(number: u8) -> SigningKey {
    key(&format!("works-{number}"), 20 + number)
}

impl World {
    fn new() -> Self {
        Self {
            broker: MemoryBroker::new(),
            replies: MemoryReplies::new(),
            runs: Runs {
                begun: Arc::default(),
                fate: watch::Sender::new(None),
            },
        }
    }

    async fn worker(&self) -> Worker {
        self.worker_with(works(1), KeyRing::new()).await
    }

    async fn worker_with(&self, key: SigningKey, instances: KeyRing) -> Worker {
        Worker::start(&self.broker, &self.replies, |bus| {
            let service = bus.serve(WorksServer::new(self.runs.clone()));
            let service = service.only_signed(ring(&teller())).sign(key);
            service.believe_instances(instances)
        })
        .await
    }

    async fn bus(&self, builder: BusBuilder) -> Bus {
        let (broker, replies) = (self.broker.clone(), self.replies.clone());
        builder.connect(broker, replies).await.unwrap()
    }

    /// Of the teller, who believes the works only.
    async fn caller(&self) -> (Bus, WorksClient) {
        let builder = Bus::builder().sign(teller());
        let believed = ring(&works(1)).trust("works-2", &works(2).public_key());
        let bus = self
            .bus(builder.only_signed_replies(believed.unwrap()))
            .await;
        let client = WorksClient::new(&bus);
        (bus, client)
    }

    /// The next message of the queue, which nobody serves now, taken off it.
    async fn caught(&self, made: impl Future<Output = ()>) -> Message {
        let transport = self.broker.connect();
        let source = Source::new(QueueSpec::new(QUEUE), 1);
        let mut deliveries = transport.consume(source).await.unwrap();
        made.await;
        let delivery = deliveries.next().await.unwrap();
        delivery.settler.settle(Settled::Ack);
        deliveries.stop().await;
        delivery.message
    }

    async fn publish(&self, message: &Message) {
        let transport = self.broker.connect();
        let mut receipt = transport.publish(Outgoing::new(message.clone()));
        let _ = receipt.verdict().await;
    }

    /// The reasons of its dead letters.
    async fn letters(&self) -> Vec<String> {
        let bus = self.bus(Bus::builder()).await;
        let letters = bus.dead_letters(QUEUE).list(0..50).await;
        let letters = letters.map_or_else(|_| Vec::new(), |page| page.letters);
        let mut reasons: Vec<_> = letters.iter().map(|of| of.reason().to_owned()).collect();
        reasons.sort_unstable();
        reasons
    }

    async fn all_comes_back(&self) {
        sleep(4 * JOB_LOOKED_AT_EVERY).await;
    }

    /// A job that was begun a while ago by a worker that died since: its ticket, its message as its
    /// caller sent it and as its worker kept it. By the clock on the wall its caller's time is over,
    /// and nobody has either message.
    async fn orphan(&self, client: &WorksClient) -> (Built, Message, Message) {
        let mut ticket = None;
        let sent = self.caught(async {
            let build = client.build("a".into()).timeout(SHORT).submit();
            ticket = Some(build.await.unwrap());
        });
        let sent = sent.await;
        self.publish(&sent).await;
        let worker = self.worker().await;
        self.runs.are(&["a1"]).await;
        sleep(HOUR / 4).await;
        worker.dies().await;
        time_is_over();
        (ticket.unwrap(), sent, self.caught(async {}).await)
    }
}

/// Lets the clock on the wall, which does not pass with tokio's, pass what a caller signed.
fn time_is_over() {
    std::thread::sleep(SHORT + CLOCK_ALLOWANCE + Duration::from_millis(50));
}

fn with(message: &Message, headers: &[(&str, Option<&str>)]) -> Message {
    let mut message = message.clone();
    let own = &mut message.properties.headers;
    for (name, value) in headers {
        own.retain(|(other, _)| **other != **name);
        own.extend(value.map(|value| (Text::from(*name), value.into())));
    }
    message
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_on_long_after_its_callers_signature_is_over() {
    let world = World::new();
    let (bus, client) = world.caller().await;
    let (ticket, sent, kept) = world.orphan(&client).await;
    assert_eq!(sent.properties.header(STARTED), None);
    assert_eq!(kept.properties.header(STARTED), Some("true"));
    let word = kept.properties.header(WORD).unwrap();
    assert!(word.starts_with("1 works-1 "), "{word}");
    world.publish(&kept).await;
    let second = world.worker().await;
    world.runs.are(&["a1", "a2"]).await;
    sleep(HOUR).await;
    second.dies().await;
    let _third = world.worker().await;
    world.runs.are(&["a1", "a2", "a3"]).await;
    sleep(HOUR).await;
    world.runs.succeed();
    assert_eq!(ticket.wait(&bus).await.unwrap(), 3);
    world.all_comes_back().await;
    assert_eq!(world.letters().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_awaited_job_is_answered_by_a_worker_that_began_it_anew() {
    let world = World::new();
    let worker = world.worker().await;
    let (_bus, client) = world.caller().await;
    let call = tokio::spawn(client.build("a".into()).into_future());
    world.runs.are(&["a1"]).await;
    sleep(HOUR).await;
    worker.dies().await;
    let _second = world.worker().await;
    world.runs.are(&["a1", "a2"]).await;
    world.runs.succeed();
    assert_eq!(call.await.unwrap().unwrap(), 2);
}

/// Copies that anybody can make of what a job's caller and its worker published.
fn copies(sent: &Message, kept: &Message) -> Vec<Message> {
    let marked = [(STARTED, Some("true")), ("repeated", Some("true"))];
    let word = kept.properties.header(WORD).unwrap();
    let other_word = word.replace("works-1", "works-2");
    let mut copies = vec![
        sent.clone(),
        with(sent, &marked[1..]),
        with(sent, &marked[..1]),
        with(sent, &marked),
        with(sent, &[(WORD, Some(word))]),
        with(kept, &[(WORD, Some(&other_word))]),
        with(kept, &[(WORD, None)]),
        with(kept, &[(MISSED, Some("true"))]),
        with(kept, &[(STARTED, None)]),
    ];
    for copy in &mut copies {
        copy.properties.expiration = None;
    }
    copies
}

/// The same of which nothing is believed.
fn forgeries(kept: &Message) -> Vec<Message> {
    let mut body = kept.clone();
    body.body = replybus::Bytes::from_static(b"\x81\xa4name\xa1b");
    let mut method = kept.clone();
    method.properties.kind = Some("raze".into());
    let tenant = with(kept, &[("tenant", Some("eve"))]);
    let unsigned = with(kept, &[(SIGNATURE, None)]);
    [body, method, tenant, unsigned].into()
}

#[tokio::test(start_paused = true)]
async fn nobody_else_begins_a_job_anew_or_says_what_became_of_it() {
    let world = World::new();
    let (bus, client) = world.caller().await;
    let (ticket, sent, kept) = world.orphan(&client).await;
    let _worker = world.worker().await;
    for copy in copies(&sent, &kept) {
        world.publish(&copy).await;
    }
    // Its worker is dead, and its time is over: these wait for the one that its worker kept.
    sleep(5 * 60 * Duration::from_secs(1)).await;
    world.runs.are(&["a1"]).await;
    assert_eq!(world.letters().await, [""; 0]);
    world.publish(&kept).await;
    world.runs.are(&["a1", "a2"]).await;
    sleep(HOUR).await;
    world.runs.are(&["a1", "a2"]).await;
    world.runs.succeed();
    assert_eq!(ticket.wait(&bus).await.unwrap(), 2);
    world.all_comes_back().await;
    world.runs.are(&["a1", "a2"]).await;
    assert_eq!(world.letters().await, [""; 0]);
    // Long after, when nothing is known of it any more, none of them begins it either.
    sleep(2 * UNKEYED_RETENTION).await;
    for copy in copies(&sent, &kept) {
        world.publish(&copy).await;
    }
    world.publish(&kept).await;
    world.all_comes_back().await;
    world.runs.are(&["a1", "a2"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_forged_is_refused_and_never_signed_by_a_worker() {
    let world = World::new();
    let (_bus, client) = world.caller().await;
    let (_ticket, _, kept) = world.orphan(&client).await;
    world.publish(&kept).await;
    let worker = world.worker().await;
    world.runs.are(&["a1", "a2"]).await;
    let mut forgeries = forgeries(&kept);
    for forged in &mut forgeries {
        // So that what becomes of it is a letter.
        forged.properties.message_id = forged.properties.correlation_id.take();
        world.publish(forged).await;
    }
    sleep(HOUR).await;
    assert_eq!(world.letters().await, ["denied"; 4]);
    world.runs.are(&["a1", "a2"]).await;
    // What waits on the broker is one message, and its caller's.
    worker.dies().await;
    let left = world.caught(async {}).await;
    assert_eq!(left.body, kept.body);
    sleep(2 * JOB_LOOKED_AT_EVERY).await;
    let state = world.broker.connect().inspect(QUEUE).await.unwrap();
    assert_eq!(state.unwrap().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_mark_on_what_waits_for_its_worker_changes_nothing() {
    let world = World::new();
    let (bus, client) = world.caller().await;
    let mut ticket = None;
    let sent = world.caught(async {
        ticket = Some(client.build("a".into()).submit().await.unwrap());
    });
    let (sent, ticket) = (sent.await, ticket.unwrap());
    let marked = [(STARTED, Some("true")), ("repeated", Some("true"))];
    let _worker = world.worker().await;
    world.publish(&with(&sent, &marked)).await;
    // It is what its caller signed, in its time, and so it is begun, once.
    world.runs.are(&["a1"]).await;
    world.publish(&sent).await;
    sleep(HOUR).await;
    world.runs.succeed();
    assert_eq!(ticket.wait(&bus).await.unwrap(), 1);
    // Nor is it begun again while its caller's time goes on, which is longer than other records live.
    sleep(2 * UNKEYED_RETENTION).await;
    world.publish(&sent).await;
    world.all_comes_back().await;
    world.runs.are(&["a1"]).await;
    assert_eq!(world.letters().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn signed_jobs_that_find_no_handler_free_wait_for_one() {
    let world = World::new();
    let (bus, client) = world.caller().await;
    let _worker = world.worker().await;
    let mut tickets = Vec::new();
    for name in ["a", "b", "c", "d"] {
        tickets.push(client.build(name.into()).submit().await.unwrap());
        let begun = tickets.len().min(2);
        world.runs.are(&["a1", "b1"][..begun]).await;
    }
    sleep(2 * SLOT_AWAITED_FOR).await;
    world.runs.are(&["a1", "b1"]).await;
    world.runs.succeed();
    for ticket in tickets {
        assert_eq!(ticket.wait(&bus).await.unwrap(), 1);
    }
    world.all_comes_back().await;
    assert_eq!(world.letters().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_job_is_put_back_by_who_may_ask_for_it() {
    let world = World::new();
    let (operator, client) = world.caller().await;
    let _worker = world.worker().await;
    let build = client.build("a".into()).timeout(SHORT).send();
    build.await.unwrap();
    world.runs.are(&["a1"]).await;
    sleep(JOB_HELD_FOR + HOUR).await;
    time_is_over();
    world.runs.fail();
    let is_kept = |reason: &'static str| {
        let world = &world;
        let kept = move || async move { world.letters().await == [reason] };
        eventually("its letter", kept)
    };
    is_kept("handler").await;
    // While its outcome is known it is not run again, and later not by who has no key.
    sleep(2 * UNKEYED_RETENTION).await;
    let nobody = world.bus(Bus::builder()).await;
    let redrive = async |bus: &Bus| {
        let letters = bus.dead_letters(QUEUE);
        letters.redrive(|_| true).await.unwrap().redriven
    };
    assert_eq!(redrive(&nobody).await, 1);
    is_kept("denied").await;
    world.runs.fate.send_replace(None);
    assert_eq!(redrive(&operator).await, 1);
    world.runs.are(&["a1", "a1"]).await;
    sleep(HOUR).await;
    world.runs.succeed();
    world.all_comes_back().await;
    assert_eq!(world.letters().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn instances_with_other_keys_go_on_with_what_they_believe() {
    for believed in [true, false] {
        let world = World::new();
        let (bus, client) = world.caller().await;
        let (ticket, _, kept) = world.orphan(&client).await;
        world.publish(&kept).await;
        let instances = match believed {
            true => ring(&works(1)),
            false => KeyRing::new(),
        };
        let second = world.worker_with(works(2), instances).await;
        if !believed {
            // It waits for one that believes it.
            world.all_comes_back().await;
            world.runs.are(&["a1"]).await;
            assert_eq!(world.letters().await, [""; 0]);
            second.dies().await;
            let first = world.worker().await;
            std::mem::forget(first.serving);
        }
        world.runs.are(&["a1", "a2"]).await;
        world.runs.succeed();
        assert_eq!(ticket.wait(&bus).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_service_with_jobs_that_believes_signed_requests_only_needs_a_key() {
    let world = World::new();
    let bus = world.bus(Bus::builder()).await;
    let serve = |bus: &Bus| {
        let serving = bus.serve(WorksServer::new(world.runs.clone()));
        serving.only_signed(ring(&teller()))
    };
    let refused = serve(&bus).await.err().unwrap().to_string();
    assert!(refused.contains("Works.build is a job"), "{refused}");
    assert!(refused.contains("`sign`"), "{refused}");
    // That of the bus will do.
    let bus = world.bus(Bus::builder().sign(works(1))).await;
    serve(&bus).await.unwrap().shutdown().await.unwrap();
}
