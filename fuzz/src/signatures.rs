//! Signed requests and replies, of which something is changed on their way: what runs is what was
//! signed, and what is believed is what the service answered.

use crate::{arbitrary, records::Shared, world::to_its_end};
use arbitrary::Arbitrary;
use bytes::Bytes;
use replybus::{
    Bus, CallError, CallId, Context, Never,
    message::{Message, Text},
    queue_handler,
    reply::{Reply, ReplyTarget, memory::MemoryReplies},
    signature::{KeyRing, SigningKey},
    transport::{Outgoing, QueueSpec, Settled, Source, Transport as _, memory::MemoryBroker},
};
use std::{sync::LazyLock, time::Duration};
use tokio::{sync::mpsc, time::timeout};

const QUEUE: &str = "vault.requests";

/// By a clock that goes on when there is nothing to do.
const IDLE: Duration = Duration::from_secs(1);

#[queue_handler("vault.requests")]
trait Vault {
    async fn deposit(&self, amount: u64) -> Result<u64, Never>;

    #[query]
    async fn balance(&self, amount: u64) -> Result<u64, Never>;
}

/// Runs nothing but what was signed.
struct Steel(mpsc::UnboundedSender<()>);

impl Vault for Steel {
    async fn deposit(&self, amount: u64) -> Result<u64, Never> {
        let context = Context::current();
        assert_eq!((amount, context.idempotency_key()), (5, Some("k-1")));
        assert_eq!(context.caller(), Some("gateway"));
        let metadata: Vec<_> = context.metadata().iter().collect();
        assert_eq!(metadata, [("tenant", "acme")]);
        let _ = self.0.send(());
        Ok(amount)
    }

    async fn balance(&self, _: u64) -> Result<u64, Never> {
        panic!("nobody signed that");
    }
}

/// What is changed of a message.
#[derive(Debug, Arbitrary)]
enum Change {
    Kind(String),
    MessageId(String),
    CorrelationId(Option<String>),
    ReplyTo(Option<String>),
    AppId(Option<String>),
    ContentType(String),
    Header(u8, Option<String>),
    OtherHeader(String, String),
    /// A byte of the header that signs it.
    Signature(u8, u8),
    Byte(u16, u8),
    Cut(u16),
    Add(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
enum Changes {
    Request(Vec<Change>),
    Reply(Vec<(u16, u8)>),
    OtherReply(Vec<u8>),
}

const HEADERS: [&str; 8] = [
    "idempotency-key",
    "tenant",
    "baggage",
    "x-replybus-partition",
    "x-replybus-stream",
    "x-replybus-signature",
    "deadline",
    "repeated",
];

fn key(secret: u8) -> SigningKey {
    SigningKey::from_bytes("key", &[secret; 32]).unwrap()
}

fn ring(secret: u8) -> KeyRing {
    KeyRing::new()
        .trust("key", &key(secret).public_key())
        .unwrap()
}

/// A request that was signed, and is good for a day.
static SIGNED: LazyLock<Message> = LazyLock::new(|| {
    let (sent, mut came) = tokio::sync::oneshot::channel();
    to_its_end(async move {
        let broker = MemoryBroker::new();
        let source = Source::new(QueueSpec::new(QUEUE), 1);
        let mut requests = broker.connect().consume(source).await.unwrap();
        let bus = Bus::builder().sign(key(7)).app_id("gateway");
        let bus = bus.connect(broker, MemoryReplies::new()).await.unwrap();
        let call = VaultClient::new(&bus).deposit(5);
        let call = call.idempotency_key("k-1").metadata("tenant", "acme");
        call.submit().await.unwrap();
        let delivery = requests.next().await.unwrap();
        delivery.settler.settle(Settled::Ack);
        let _ = sent.send(delivery.message);
    });
    came.try_recv().expect("it was sent")
});

pub(crate) fn run(data: &[u8]) {
    LazyLock::force(&SIGNED);
    match arbitrary(data) {
        Some(Changes::Request(changes)) => to_its_end(request(changes)),
        Some(Changes::Reply(changes)) => to_its_end(reply(|genuine| {
            for (at, flip) in changes {
                let at = usize::from(at) % genuine.len();
                genuine[at] ^= flip;
            }
        })),
        Some(Changes::OtherReply(bytes)) => to_its_end(reply(|genuine| *genuine = bytes)),
        None => {}
    }
}

fn change(message: &mut Message, change: Change) {
    let properties = &mut message.properties;
    let headers = &mut properties.headers;
    let mut set = |name: &str, value: Option<String>| {
        headers.retain(|(other, _)| **other != *name);
        headers.extend(value.map(|value| (Text::from(name), value.into())));
    };
    match change {
        Change::Kind(kind) => properties.kind = Some(kind.into()),
        Change::MessageId(id) => properties.message_id = Some(id.into()),
        Change::CorrelationId(id) => properties.correlation_id = id.map(Text::from),
        Change::ReplyTo(inbox) => properties.reply_to = inbox.map(Text::from),
        Change::AppId(name) => properties.app_id = name.map(Text::from),
        Change::ContentType(name) => properties.content_type = Some(name.into()),
        Change::Header(at, value) => set(HEADERS[usize::from(at) % HEADERS.len()], value),
        Change::OtherHeader(name, value) => set(&name, Some(value)),
        Change::Signature(at, byte) => {
            let header = SIGNED.properties.header("x-replybus-signature");
            let mut header = header.unwrap_or_default().as_bytes().to_vec();
            let count = header.len().max(1);
            if let Some(place) = header.get_mut(usize::from(at) % count) {
                *place = byte;
            }
            if let Ok(header) = String::from_utf8(header) {
                set("x-replybus-signature", Some(header));
            }
        }
        Change::Byte(at, flip) => {
            let mut body = message.body.to_vec();
            let count = body.len().max(1);
            if let Some(byte) = body.get_mut(usize::from(at) % count) {
                *byte ^= flip;
            }
            message.body = body.into();
        }
        Change::Cut(at) => message.body.truncate(at.into()),
        Change::Add(bytes) => message.body = [&message.body[..], &bytes].concat().into(),
    }
}

async fn request(changes: Vec<Change>) {
    let mut message = SIGNED.clone();
    for each in changes {
        change(&mut message, each);
    }
    let is_same = message == *SIGNED;
    let broker = MemoryBroker::new();
    let bus = Bus::builder()
        .connect(broker.clone(), MemoryReplies::new())
        .await
        .unwrap();
    let (ran, mut runs) = mpsc::unbounded_channel();
    let serving = bus.serve(VaultServer::new(Steel(ran)));
    let serving = serving.only_signed(ring(7)).await.unwrap();
    let mut receipt = broker.connect().publish(Outgoing::new(message));
    let _ = receipt.verdict().await;
    let has_run = timeout(IDLE, runs.recv()).await.is_ok();
    serving.shutdown().await.unwrap();
    assert!(has_run || !is_same, "what was signed runs");
    assert!(runs.try_recv().is_err(), "it ran twice");
}

/// Has a ticket waited for whose reply was changed.
async fn reply(change: impl FnOnce(&mut Vec<u8>)) {
    let (broker, shared) = (MemoryBroker::new(), Shared::default());
    // The service signs its replies by another key, and by the name that its callers have for it.
    let service = Bus::builder().sign(key(8));
    let service = service
        .connect(broker.clone(), shared.clone())
        .await
        .unwrap();
    let store = shared.store();
    let (ran, mut runs) = mpsc::unbounded_channel();
    let serving = service.serve(VaultServer::new(Steel(ran))).await.unwrap();
    let caller = Bus::builder().sign(key(7)).app_id("gateway");
    let caller = caller.only_signed_replies(ring(8));
    let others = Shared::default();
    let caller = caller.connect(broker, others.clone()).await.unwrap();
    let call = VaultClient::new(&caller).deposit(5);
    let call = call.idempotency_key("k-1").metadata("tenant", "acme");
    let ticket = call.submit().await.unwrap();
    runs.recv().await.expect("it runs");
    serving.shutdown().await.unwrap();
    let genuine = store
        .fetch(ticket.call_id())
        .await
        .unwrap()
        .expect("it was answered");
    let mut changed = genuine.to_vec();
    change(&mut changed);
    let is_same = changed == genuine;
    keep(&others, ticket.call_id(), changed.into()).await;
    match ticket.wait(&caller).await {
        Ok(amount) => assert!(is_same && amount == 5),
        Err(CallError::Handler(never)) => match never {},
        Err(CallError::Bus(_)) => assert!(!is_same),
    }
}

async fn keep(store: &Shared, id: CallId, frame: Bytes) {
    let reply = Reply::new(id, ReplyTarget::Key, frame);
    store.store().store(reply).await.unwrap();
}
