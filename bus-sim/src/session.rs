//! The servers' side of one process: its connections, its consumers, its inboxes.

use crate::{
    servers::Shared,
    wire::{Back, Lane, Publish, Told, lock},
};
use replybus::{
    Bytes, CallId, SetupError,
    message::Message,
    reply::{Arrivals, ReplyBackend, ReplyStore},
    transport::{
        Delay, Outgoing, Receipt, Settled, Settler, Source, Transport, Verdict,
        memory::MemoryTransport,
    },
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// What a server sends to a process.
pub(crate) struct Arrival {
    pub(crate) process: usize,
    pub(crate) life: u32,
    pub(crate) lane: Lane,
    /// The connection to the broker it comes over.
    pub(crate) link: u64,
    pub(crate) what: &'static str,
    pub(crate) about: String,
    pub(crate) back: Back,
}

/// A delivery as it reaches the process: what to settle it by, and the message.
pub(crate) type Delivered = Box<dyn FnOnce(u64, Message, bool) + Send>;

/// Makes what a delivery does in its process.
pub(crate) type OnDelivery = Arc<dyn Fn() -> Delivered + Send + Sync>;

/// The connections of one life of a process.
pub(crate) struct Session {
    pub(crate) process: usize,
    pub(crate) life: u32,
    shared: Arc<Shared>,
    lines: Mutex<BTreeMap<u64, Arc<Line>>>,
    stores: Mutex<BTreeMap<u64, Arc<dyn ReplyStore>>>,
}

/// One connection to the broker.
struct Line {
    link: u64,
    transport: Arc<MemoryTransport>,
    consumers: Mutex<BTreeMap<u64, Consumer>>,
    unsettled: Arc<Mutex<BTreeMap<(u64, u64), Settler>>>,
}

struct Consumer {
    stop: CancellationToken,
    forwarding: JoinHandle<()>,
}

impl Session {
    pub(crate) fn new(process: usize, life: u32, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self {
            process,
            life,
            shared,
            lines: Mutex::default(),
            stores: Mutex::default(),
        })
    }

    /// Connects a line to the broker.
    pub(crate) fn connect(&self, line: u64, link: u64) {
        let connection = Line {
            link,
            transport: Arc::new(self.shared.broker().connect()),
            consumers: Mutex::default(),
            unsettled: Arc::default(),
        };
        lock(&self.lines).insert(line, Arc::new(connection));
    }

    fn line(&self, line: u64) -> Option<Arc<Line>> {
        lock(&self.lines).get(&line).cloned()
    }

    /// The connection of a line, for what needs no more of it.
    pub(crate) fn transport(&self, line: u64) -> Option<Arc<MemoryTransport>> {
        self.line(line).map(|line| Arc::clone(&line.transport))
    }

    /// Consumes a queue, and sends what is delivered to the process.
    pub(crate) async fn consume(
        self: Arc<Self>,
        line: u64,
        consumer: u64,
        source: Source,
        on_delivery: OnDelivery,
    ) -> Result<(), SetupError> {
        let connection = self.line(line).ok_or(SetupError::Closed)?;
        let queue = source.queue.name.clone();
        self.shared.note_queue(&queue);
        let mut deliveries = connection.transport.consume(source).await?;
        let stop = CancellationToken::new();
        let (stopped, unsettled) = (stop.clone(), Arc::clone(&connection.unsettled));
        let (session, link) = (Arc::clone(&self), connection.link);
        let forwarding = tokio::spawn(async move {
            let mut tag = 0;
            while let Some(Some(delivery)) = stopped.run_until_cancelled(deliveries.next()).await {
                tag += 1;
                lock(&unsettled).insert((consumer, tag), delivery.settler);
                let (message, redelivered) = (delivery.message, delivery.redelivered);
                let about = format!("{queue} {}", about(&message));
                let delivered = on_delivery();
                let back: Back = Box::new(move || delivered(tag, message, redelivered));
                session.push(Lane::Broker, link, "is delivered", about, back);
            }
            deliveries.stop().await;
        });
        lock(&connection.consumers).insert(consumer, Consumer { stop, forwarding });
        Ok(())
    }

    /// Ends a consumer; what it delivered can be settled still.
    pub(crate) async fn stop(&self, line: u64, consumer: u64) {
        let ended = self
            .line(line)
            .and_then(|line| lock(&line.consumers).remove(&consumer));
        if let Some(ended) = ended {
            ended.stop.cancel();
            // It ends by that alone.
            let _ = ended.forwarding.await;
        }
    }

    /// Settles a delivery. One of a connection that was lost is settled already.
    pub(crate) fn settle(&self, line: u64, consumer: u64, tag: u64, settled: Settled) {
        let settler = self
            .line(line)
            .and_then(|line| lock(&line.unsettled).remove(&(consumer, tag)));
        if let Some(settler) = settler {
            settler.settle(settled);
        }
    }

    /// Publishes a message, so many times, and says what came of it.
    pub(crate) async fn publish(&self, publish: Publish, times: u32) -> (Told, Verdict) {
        let Publish {
            line,
            message,
            ttl,
            delay,
            mandatory,
            told,
        } = publish;
        let Some(line) = self.line(line) else {
            return (told, Verdict::Lost);
        };
        if message.exchange.is_empty() {
            self.shared.note_queue(&message.routing_key);
        }
        let mut verdict = Verdict::Lost;
        for _ in 0..times {
            let mut outgoing = Outgoing::new(message.clone()).mandatory(mandatory);
            if let Some(ttl) = ttl {
                outgoing = outgoing.deadline(Instant::now() + ttl);
            }
            let mut receipt: Receipt = match delay {
                None => line.transport.publish(outgoing),
                Some(delay) => {
                    let delay = Delay::until(Instant::now() + delay, "");
                    line.transport.publish_at(outgoing, delay)
                }
            };
            verdict = receipt.verdict().await;
        }
        (told, verdict)
    }

    /// Ends a line, or all of them: what was not settled is back in its queue.
    pub(crate) async fn disconnect(&self, line: Option<u64>) {
        let lines = match line {
            Some(line) => lock(&self.lines).remove(&line).into_iter().collect(),
            None => std::mem::take(&mut *lock(&self.lines))
                .into_values()
                .collect::<Vec<_>>(),
        };
        for line in lines {
            line.transport.close(Duration::ZERO).await;
            let consumers = std::mem::take(&mut *lock(&line.consumers));
            for consumer in consumers.into_values() {
                consumer.stop.cancel();
            }
        }
    }

    /// Opens an inbox in the store.
    pub(crate) async fn open_store(
        self: Arc<Self>,
        number: u64,
        namespace: String,
        arrivals: Arc<dyn Arrivals>,
    ) -> Result<Arc<dyn ReplyStore>, SetupError> {
        let inbox = Inbox {
            session: Arc::clone(&self),
            arrivals,
        };
        let replies = Box::new(self.shared.replies());
        let store = replies.open(&namespace, Arc::new(inbox)).await?;
        lock(&self.stores).insert(number, Arc::clone(&store));
        Ok(store)
    }

    pub(crate) fn store(&self, number: u64) -> Option<Arc<dyn ReplyStore>> {
        lock(&self.stores).get(&number).cloned()
    }

    /// Ends all that the process had.
    pub(crate) async fn end(&self) {
        self.disconnect(None).await;
        let stores = std::mem::take(&mut *lock(&self.stores));
        for store in stores.into_values() {
            store.close().await;
        }
    }

    fn push(&self, lane: Lane, link: u64, what: &'static str, about: String, back: Back) {
        self.shared.push(Arrival {
            process: self.process,
            life: self.life,
            lane,
            link,
            what,
            about,
            back,
        });
    }
}

/// An inbox in the store, whose process is elsewhere.
struct Inbox {
    session: Arc<Session>,
    arrivals: Arc<dyn Arrivals>,
}

impl Arrivals for Inbox {
    fn arrived(&self, id: CallId, frame: Bytes) {
        let arrivals = Arc::clone(&self.arrivals);
        let back: Back = Box::new(move || arrivals.arrived(id, frame));
        self.session
            .push(Lane::Store, 0, "gets a reply", id.to_string(), back);
    }

    fn waiting(&self) -> Vec<CallId> {
        self.arrivals.waiting()
    }
}

/// A message in a word.
pub(crate) fn about(message: &Message) -> String {
    let id = message.properties.message_id.as_deref();
    let id = id.or(message.properties.correlation_id.as_deref());
    let kind = message.properties.kind.as_deref().unwrap_or_default();
    format!("{kind} {}", id.unwrap_or_default())
}
