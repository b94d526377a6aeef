//! Requests that say by a key who made them, and replies that say who answered.

use futures_util::future::join_all;
use replybus::{
    Bus, BusBuilder, CallError, FailureKind, Metadata, Never, RetryLater, SetupError,
    limits::CLOCK_ALLOWANCE,
    message::Message,
    queue_handler,
    reply::memory::MemoryReplies,
    server::Serving,
    signature::{KeyRing, SigningKey},
    transport::{
        Outgoing, QueueSpec, Settled, Source, Transport,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use replybus_testkit::wait::eventually;
use std::{
    future::{Future, IntoFuture},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::time::sleep;

const QUEUE: &str = "vault.requests";
const HOUR: Duration = Duration::from_secs(60 * 60);
const SIGNATURE: &str = "x-replybus-signature";

#[queue_handler("vault.requests", timeout = "5s")]
trait Vault {
    #[query]
    async fn look(&self, shelf: u32) -> Result<u32, Never>;

    async fn put(&self, shelf: u32) -> Result<u32, String>;

    #[command(retry(max = 3, base = "10ms"))]
    async fn insist(&self, shelf: u32) -> Result<u32, String>;
}

#[queue_handler("archive.requests", timeout = "5s")]
trait Archive {
    #[query]
    async fn look(&self, shelf: u32) -> Result<u32, Never>;
}

#[queue_handler("works.requests")]
trait Works {
    #[command(job = "1h")]
    async fn build(&self) -> Result<u32, Never>;
}

#[queue_handler("shelves.requests", partitions = 4)]
trait Shelves {
    #[query]
    async fn look(&self, #[key] shelf: u32) -> Result<u32, Never>;
}

#[derive(Default)]
struct Steel(AtomicU32);

impl Vault for Arc<Steel> {
    async fn look(&self, shelf: u32) -> Result<u32, Never> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(shelf)
    }

    async fn put(&self, shelf: u32) -> Result<u32, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        match shelf {
            13 => Err("there is none".to_owned()),
            shelf => Ok(shelf),
        }
    }

    async fn insist(&self, shelf: u32) -> Result<u32, String> {
        if self.0.fetch_add(1, Ordering::Relaxed) < 2 {
            return Err("not yet".to_owned()).retry_later();
        }
        Ok(shelf)
    }
}

struct Paper;

impl Archive for Paper {
    async fn look(&self, shelf: u32) -> Result<u32, Never> {
        Ok(shelf)
    }
}

impl Shelves for Paper {
    async fn look(&self, shelf: u32) -> Result<u32, Never> {
        Ok(shelf)
    }
}

impl Works for Paper {
    async fn build(&self) -> Result<u32, Never> {
        Ok(1)
    }
}

pub(crate) fn key(name: &str, secret: u8) -> SigningKey {
    SigningKey::from_bytes(name, &[secret; 32]).unwrap()
}

pub(crate) fn teller() -> SigningKey {
    key("teller-1", 1)
}

fn vault() -> SigningKey {
    key("vault-1", 2)
}

pub(crate) fn ring(key: &SigningKey) -> KeyRing {
    KeyRing::new().trust(key.name(), &key.public_key()).unwrap()
}

/// One broker and one store, and a vault that believes the teller.
struct Stage {
    broker: MemoryBroker,
    replies: MemoryReplies,
    steel: Arc<Steel>,
}

impl Stage {
    fn new() -> Self {
        Self {
            broker: MemoryBroker::new(),
            replies: MemoryReplies::new(),
            steel: Arc::default(),
        }
    }

    async fn bus(&self, builder: BusBuilder) -> Bus {
        let (broker, replies) = (self.broker.clone(), self.replies.clone());
        builder.connect(broker, replies).await.unwrap()
    }

    /// Both sign, and each believes the other only.
    async fn teller(&self) -> Bus {
        let builder = Bus::builder().sign(teller());
        self.bus(builder.only_signed_replies(ring(&vault()))).await
    }

    async fn serve(&self) -> Serving {
        let bus = self.bus(Bus::builder().sign(vault())).await;
        let serving = bus.serve(VaultServer::new(Arc::clone(&self.steel)));
        serving.only_signed(ring(&teller())).await.unwrap()
    }

    fn runs(&self) -> u32 {
        self.steel.0.load(Ordering::Relaxed)
    }

    fn transport(&self) -> MemoryTransport {
        self.broker.connect()
    }

    /// The message of a call that nobody serves, taken off its queue.
    async fn caught(&self, made: impl Future<Output = ()>) -> Message {
        let source = Source::new(QueueSpec::new(QUEUE), 1);
        let mut deliveries = self.transport().consume(source).await.unwrap();
        made.await;
        let delivery = deliveries.next().await.unwrap();
        delivery.settler.settle(Settled::Ack);
        deliveries.stop().await;
        delivery.message
    }

    fn publish(&self, message: &Message) {
        drop(self.transport().publish(Outgoing::new(message.clone())));
    }
}

fn refused<E: std::fmt::Debug>(called: Result<u32, CallError<E>>) -> (Option<FailureKind>, String) {
    let error = called.unwrap_err();
    (error.kind(), format!("{error:?}"))
}

#[tokio::test]
async fn every_kind_of_call_is_signed_and_so_is_what_comes_of_it() {
    let stage = Stage::new();
    let serving = stage.serve().await;
    let bus = stage.teller().await;
    let client = VaultClient::new(&bus);
    let metadata = Metadata::try_from([("tenant", "acme")]).unwrap();
    let look = client
        .look(7)
        .metadata("tenant", metadata.get("tenant").unwrap());
    assert_eq!(look.await.unwrap(), 7);
    assert_eq!(client.put(8).idempotency_key("k").await.unwrap(), 8);
    // The same again, from the record.
    assert_eq!(client.put(8).idempotency_key("k").await.unwrap(), 8);
    let error = client.put(13).await.unwrap_err();
    assert!(format!("{error:?}").contains("there is none"), "{error:?}");
    let ticket = client.put(9).submit().await.unwrap();
    assert_eq!(ticket.wait(&bus).await.unwrap(), 9);
    let soon = Duration::from_millis(20);
    let ticket = client.put(10).submit_after(soon).await.unwrap();
    assert_eq!(ticket.wait(&bus).await.unwrap(), 10);
    let before = stage.runs();
    client.put(11).send().await.unwrap();
    eventually("it is put", || async { stage.runs() > before }).await;
    // Many at once leave together.
    let many = join_all((0..200).map(|shelf| client.look(shelf).into_future())).await;
    for (shelf, found) in many.into_iter().enumerate() {
        assert_eq!(found.unwrap() as usize, shelf);
    }
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_handler_puts_off_is_still_signed_when_it_comes_back() {
    let stage = Stage::new();
    let serving = stage.serve().await;
    let client = VaultClient::new(&stage.teller().await);
    assert_eq!(client.insist(5).await.unwrap(), 5);
    assert_eq!(stage.runs(), 3);
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn calls_of_a_key_are_signed() {
    let stage = Stage::new();
    let service = stage.bus(Bus::builder().sign(vault())).await;
    let serving = service.serve(ShelvesServer::new(Paper));
    let serving = serving.only_signed(ring(&teller())).await.unwrap();
    let shelves = ShelvesClient::new(&stage.teller().await);
    for shelf in 0..8 {
        assert_eq!(shelves.look(shelf).await.unwrap(), shelf);
    }
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_does_not_sign_or_is_not_known_is_denied_and_nothing_runs() {
    let stage = Stage::new();
    let serving = stage.serve().await;
    let nobody = VaultClient::new(&stage.bus(Bus::builder()).await);
    let (kind, said) = refused(nobody.look(1).await);
    assert_eq!(kind, Some(FailureKind::Denied));
    assert!(said.contains("not signed"), "{said}");
    let (kind, _) = refused(nobody.put(1).await);
    assert_eq!(kind, Some(FailureKind::Denied));

    for stranger in [key("stranger-1", 3), key("teller-1", 3)] {
        let stranger = stage.bus(Bus::builder().sign(stranger)).await;
        let (kind, _) = refused(VaultClient::new(&stranger).look(1).await);
        assert_eq!(kind, Some(FailureKind::Denied));
    }
    assert_eq!(stage.runs(), 0);
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_key_may_ask_for_what_the_ring_says() {
    let stage = Stage::new();
    let bus = stage.bus(Bus::builder()).await;
    let teller = teller();
    let reads = KeyRing::new().trust_for("teller-1", &teller.public_key(), ["vault.requests/look"]);
    let serving = bus.serve(VaultServer::new(Arc::clone(&stage.steel)));
    let serving = serving.only_signed(reads.unwrap()).await.unwrap();
    let client = VaultClient::new(&stage.bus(Bus::builder().sign(teller)).await);
    assert_eq!(client.look(1).await.unwrap(), 1);
    let (kind, said) = refused(client.put(1).await);
    assert_eq!(kind, Some(FailureKind::Denied));
    assert!(said.contains("may not ask for this"), "{said}");
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_sent_again_runs_once_and_after_its_time_not_at_all() {
    let stage = Stage::new();
    let client = VaultClient::new(&stage.bus(Bus::builder().sign(teller())).await);
    let long = stage.caught(async {
        client.put(1).submit().await.unwrap();
    });
    let long = long.await;
    let short = stage.caught(async {
        let short = client.put(2).timeout(Duration::from_millis(100));
        short.submit().await.unwrap();
    });
    let mut short = short.await;
    let caught = Instant::now();
    assert!(long.properties.header(SIGNATURE).is_some());
    let serving = stage.serve().await;
    for _ in 0..3 {
        stage.publish(&long);
    }
    eventually("it runs", || async { stage.runs() == 1 }).await;

    // It may be started for so long, and for as long as clocks may differ; whatever it says now.
    let over = Duration::from_millis(100) + CLOCK_ALLOWANCE;
    eventually("its time is over", || async { caught.elapsed() > over }).await;
    short.properties.expiration = None;
    stage.publish(&short);
    let other = stage.bus(Bus::builder().sign(teller())).await;
    let other = VaultClient::new(&other);
    // What comes behind it has been answered: so it was taken.
    assert_eq!(other.look(3).await.unwrap(), 3);
    serving.shutdown().await.unwrap();
    assert_eq!(stage.runs(), 2, "one put, one look");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_recognised_for_as_long_as_it_may_be_started() {
    let stage = Stage::new();
    let client = VaultClient::new(&stage.bus(Bus::builder().sign(teller())).await);
    for (key, within) in [(None, 24), (Some("k"), 24)] {
        let before = stage.runs();
        let sent = stage.caught(async {
            let put = client.put(1).timeout(HOUR * within);
            let put = match key {
                Some(key) => put.idempotency_key(key),
                None => put,
            };
            put.submit().await.unwrap();
        });
        let mut sent = sent.await;
        sent.properties.expiration = None;
        // By a time of its own, which nobody signed.
        let deadline = ("deadline".into(), u64::MAX.to_string().into());
        sent.properties.headers.push(deadline);
        let serving = stage.serve().await;
        stage.publish(&sent);
        eventually("it runs", || async { stage.runs() > before }).await;
        sleep(HOUR * (within - 3)).await;
        stage.publish(&sent);
        sleep(HOUR / 2).await;
        assert_eq!(stage.runs(), before + 1, "{key:?}");
        serving.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_altered_or_sent_elsewhere_is_a_letter_and_does_not_run() {
    let stage = Stage::new();
    let client = VaultClient::new(&stage.bus(Bus::builder().sign(teller())).await);
    let signed = stage.caught(async {
        client.put(1).send().await.unwrap();
    });
    let signed = signed.await;
    let serving = stage.serve().await;
    let archive = stage.bus(Bus::builder()).await;
    let elsewhere = archive.serve(ArchiveServer::new(Paper));
    let elsewhere = elsewhere.only_signed(ring(&teller())).await.unwrap();

    let mut altered = signed.clone();
    altered.body = stage.caught_body();
    stage.publish(&altered);
    let mut moved = signed.clone();
    moved.routing_key = "archive.requests".into();
    moved.properties.kind = Some("look".into());
    stage.publish(&moved);
    let bus = stage.bus(Bus::builder()).await;
    for queue in [QUEUE, "archive.requests"] {
        let letters = bus.dead_letters(queue);
        eventually("it is a letter", || async {
            letters
                .list(0..10)
                .await
                .is_ok_and(|page| page.letters.len() == 1)
        })
        .await;
        let page = letters.list(0..10).await.unwrap();
        assert_eq!(page.letters[0].reason(), "denied");
    }
    assert_eq!(stage.runs(), 0);
    serving.shutdown().await.unwrap();
    elsewhere.shutdown().await.unwrap();
}

impl Stage {
    /// The arguments of another call.
    fn caught_body(&self) -> replybus::Bytes {
        replybus::Bytes::from_static(b"\x81\xa5shelf\x09")
    }
}

#[tokio::test]
async fn a_letter_is_signed_anew_by_who_puts_it_back() {
    let stage = Stage::new();
    let bus = stage.bus(Bus::builder()).await;
    // An unsigned call becomes a letter.
    let serving = stage.serve().await;
    VaultClient::new(&bus).put(4).send().await.unwrap();
    let letters = bus.dead_letters(QUEUE);
    let is_kept = || async {
        letters
            .list(0..9)
            .await
            .is_ok_and(|page| page.letters.len() == 1)
    };
    eventually("it is a letter", is_kept).await;

    // Who has no key puts back what is refused again.
    assert_eq!(letters.redrive(|_| true).await.unwrap().redriven, 1);
    eventually("it is a letter again", is_kept).await;
    assert_eq!(stage.runs(), 0);
    let operator = stage.bus(Bus::builder().sign(teller())).await;
    let redriven = operator
        .dead_letters(QUEUE)
        .redrive(|_| true)
        .await
        .unwrap();
    assert_eq!(redriven.redriven, 1);
    eventually("it runs", || async { stage.runs() == 1 }).await;
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_reply_that_is_not_signed_by_the_service_is_none() {
    let stage = Stage::new();
    let client = VaultClient::new(&stage.teller().await);
    for service in [Bus::builder(), Bus::builder().sign(key("vault-1", 9))] {
        let service = stage.bus(service).await;
        let serving = service.serve(VaultServer::new(Arc::clone(&stage.steel)));
        let serving = serving.await.unwrap();
        let (kind, said) = refused(client.look(1).await);
        assert_eq!(kind, Some(FailureKind::BadReply), "{said}");
        serving.shutdown().await.unwrap();
    }
    // Who does not ask for signatures reads a reply that has one.
    let serving = stage.serve().await;
    let trusts = stage.bus(Bus::builder().sign(teller())).await;
    assert_eq!(VaultClient::new(&trusts).look(1).await.unwrap(), 1);
    serving.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_not_covered_is_refused_when_it_is_served() {
    let stage = Stage::new();
    let bus = stage.bus(Bus::builder()).await;
    let job = bus
        .serve(WorksServer::new(Paper))
        .only_signed(ring(&teller()));
    let nobody = bus
        .serve(ArchiveServer::new(Paper))
        .only_signed(KeyRing::new());
    let mute = Bus::builder().only_signed_replies(ring(&vault()));
    let mute = mute
        .connect(stage.broker.clone(), stage.replies.clone())
        .await;
    let refused = mute.err().unwrap().to_string();
    assert!(refused.contains("`sign`"), "{refused}");
    for (served, reason) in [(job.await, "needs a key"), (nobody.await, "no key")] {
        let refused = served.err().unwrap();
        assert!(matches!(refused, SetupError::Setting { .. }), "{refused:?}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}
