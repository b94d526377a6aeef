//! A process's connection to the broker: the contract of a transport, over a way that breaks.

use crate::{
    deliveries::{Consumers, SimulatedDeliveries},
    session::about,
    wire::{Act, Lane, Link, Publish, Sent, Told, Wire, lock},
};
use async_trait::async_trait;
use replybus::{
    SetupError,
    transport::{
        Binding, Delay, Deliveries, Departure, DirectPublish, InspectError, Outgoing, QueueSpec,
        QueueState, Receipt, Removal, Slip, Source, Transport, TransportBackend, TransportHealth,
    },
};
use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// The broker of a simulation as one process reaches it; what `Bus::connect` takes.
#[derive(Debug, Clone)]
pub struct SimulatedBroker {
    pub(crate) wire: Wire,
    /// Numbers the lines and consumers of the process.
    pub(crate) line: u64,
}

#[async_trait]
impl TransportBackend for SimulatedBroker {
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError> {
        let line = Arc::new(Line {
            consumers: Consumers::new(self.wire.clone(), self.line),
            wire: self.wire,
            number: self.line,
            waiting: Mutex::default(),
            unconfirmed: Arc::default(),
            attached: AtomicU64::new(DETACHED),
            more: Notify::new(),
            attachment: Notify::new(),
            closed: CancellationToken::new(),
        });
        tokio::spawn(Arc::clone(&line).keep());
        Ok(Arc::new(SimulatedTransport(line)))
    }
}

struct SimulatedTransport(Arc<Line>);

/// One connection, made again whenever it was lost.
struct Line {
    wire: Wire,
    number: u64,
    /// Messages that wait for a connection.
    waiting: Mutex<VecDeque<Waiting>>,
    /// Of what was published without a confirm.
    unconfirmed: Arc<Mutex<Vec<Slip>>>,
    /// The number of the connection that it uses.
    attached: AtomicU64,
    more: Notify,
    /// Is told when it is attached.
    attachment: Notify,
    consumers: Arc<Consumers>,
    closed: CancellationToken,
}

struct Waiting {
    outgoing: Outgoing,
    slip: Slip,
    due: Option<Instant>,
}

impl Line {
    /// Attaches whenever there is a connection, and lets what waits too long go.
    async fn keep(self: Arc<Self>) {
        let closed = self.closed.clone();
        let keeping = async {
            loop {
                let mut changed = pin!(self.wire.link_changed().notified());
                changed.as_mut().enable();
                match self.wire.link() {
                    link if link.is_up => self.attach(link),
                    _ => self.detach(),
                }
                tokio::select! {
                    biased;
                    () = changed => {}
                    never = self.expire() => match never {},
                }
            }
        };
        closed.run_until_cancelled(keeping).await;
    }

    fn attach(&self, link: Link) {
        if self.attached.load(Ordering::Relaxed) == link.number {
            return;
        }
        self.detach();
        self.attached.store(link.number, Ordering::Relaxed);
        let (line, number) = (self.number, link.number);
        // What follows on this connection does so in order: nobody need wait for the answer.
        drop(
            self.wire
                .ask(Lane::Broker, "connects", "", move |session| async move {
                    session.connect(line, number);
                }),
        );
        self.consumers.consume_again();
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for message in waiting {
            self.write(message);
        }
        self.attachment.notify_waiters();
    }

    fn detach(&self) {
        if self.attached.swap(DETACHED, Ordering::Relaxed) != DETACHED {
            // Their verdict is that nobody knows.
            lock(&self.unconfirmed).clear();
            self.consumers.lost();
        }
    }

    /// Drops what waits and has passed its deadline; never ready while nothing else waits.
    async fn expire(&self) -> Infallible {
        loop {
            let now = Instant::now();
            let next = {
                let mut waiting = lock(&self.waiting);
                waiting.retain(|message| message.outgoing.deadline.is_none_or(|at| at > now));
                waiting
                    .iter()
                    .filter_map(|message| message.outgoing.deadline)
                    .min()
            };
            let more = self.more.notified();
            match next {
                Some(next) => tokio::select! {
                    biased;
                    () = more => {}
                    () = sleep_until(next) => {}
                },
                None => more.await,
            }
        }
    }

    /// `true` if what is published now leaves at once.
    fn is_attached(&self) -> bool {
        let link = self.wire.link();
        link.is_up && self.attached.load(Ordering::Relaxed) == link.number
    }

    fn put(&self, message: Waiting) {
        let is_late = |at: Instant| at <= Instant::now();
        if self.closed.is_cancelled() || message.outgoing.deadline.is_some_and(is_late) {
            return;
        }
        if self.is_attached() {
            self.write(message);
        } else {
            lock(&self.waiting).push_back(message);
            self.more.notify_one();
        }
    }

    fn write(
        &self,
        Waiting {
            outgoing,
            slip,
            due,
        }: Waiting,
    ) {
        if slip.begin_write() {
            self.send(Lane::Broker, outgoing, slip, due, None);
        }
    }

    fn send(
        &self,
        lane: Lane,
        outgoing: Outgoing,
        slip: Slip,
        due: Option<Instant>,
        departure: Option<Departure>,
    ) {
        let now = Instant::now();
        let left = |moment: Instant| moment.saturating_duration_since(now);
        let publish = Publish {
            line: self.number,
            ttl: outgoing.deadline.map(left),
            delay: due.map(left),
            mandatory: outgoing.mandatory,
            told: Told {
                slip,
                confirm: outgoing.confirm || due.is_some(),
                unconfirmed: Arc::clone(&self.unconfirmed),
            },
            message: outgoing.message,
        };
        let queue = &publish.message.routing_key;
        self.wire.send(Sent {
            lane,
            link: self.wire.link().number,
            what: "publishes",
            about: format!("{queue} {}", about(&publish.message)),
            act: Act::Publish(Box::new(publish)),
            departure,
        });
    }

    /// Waits until there is a connection, and another than `lost`; returns its number.
    async fn attached(&self, lost: u64) -> Result<u64, SetupError> {
        let attached = async {
            loop {
                let mut attachment = pin!(self.attachment.notified());
                attachment.as_mut().enable();
                let number = self.attached.load(Ordering::Relaxed);
                if self.is_attached() && number != lost {
                    return number;
                }
                attachment.await;
            }
        };
        let attached = self.closed.run_until_cancelled(attached).await;
        attached.ok_or(SetupError::Closed)
    }

    /// Asks the broker until it answers, through lost connections.
    async fn ask<T, F>(
        &self,
        what: &'static str,
        about: &str,
        job: impl Fn(Arc<dyn Transport>) -> F + Clone + Send + 'static,
    ) -> Result<T, SetupError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (line, mut number) = (self.number, DETACHED);
        loop {
            number = self.attached(number).await?;
            let job = job.clone();
            let asked = self
                .wire
                .ask(Lane::Broker, what, about, move |session| async move {
                    match session.transport(line) {
                        Some(transport) => Some(job(transport).await),
                        None => None,
                    }
                });
            if let Ok(Some(answer)) = asked.await {
                return Ok(answer);
            }
        }
    }

    async fn consume(self: &Arc<Self>, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        let mut number = DETACHED;
        loop {
            number = self.attached(number).await?;
            let (id, deliveries) = self.consumers.add(source.clone());
            let asked = self.consumers.consume(id).await;
            let is_lost = self.attached.load(Ordering::Relaxed) != number;
            match asked {
                Ok(Ok(())) if !is_lost => {
                    self.consumers.began(id);
                    let consumers = Arc::clone(&self.consumers);
                    let deliveries = SimulatedDeliveries::new(id, deliveries, consumers);
                    return Ok(Box::new(deliveries));
                }
                Ok(Err(error)) if !is_lost => {
                    self.consumers.remove(id);
                    return Err(error);
                }
                // Lost, and consumed as another one on the next connection.
                _ => self.consumers.remove(id),
            }
        }
    }
}

/// No connection has this number.
const DETACHED: u64 = 0;

#[async_trait]
impl Transport for SimulatedTransport {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        let (slip, receipt) = Receipt::pair();
        self.0.put(Waiting {
            outgoing,
            slip,
            due: None,
        });
        receipt
    }

    fn publish_at(&self, outgoing: Outgoing, delay: Delay) -> Receipt {
        let (slip, receipt) = Receipt::pair();
        let due = Some(delay.due);
        self.0.put(Waiting {
            outgoing,
            slip,
            due,
        });
        receipt
    }

    fn direct(&self) -> Option<&dyn DirectPublish> {
        Some(self)
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        self.0.consume(source).await
    }

    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        let about = queue.name.clone();
        let declare = move |broker: Arc<dyn Transport>| {
            let queue = queue.clone();
            async move { broker.declare(queue).await }
        };
        self.0.ask("declares", &about, declare).await?
    }

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        let name = queue.to_owned();
        let inspect = move |broker: Arc<dyn Transport>| {
            let name = name.clone();
            async move { broker.inspect(&name).await }
        };
        let answer = self.0.ask("inspects", queue, inspect).await;
        answer.map_err(|_| InspectError::Closed)?
    }

    async fn remove(
        &self,
        queue: &str,
        bindings: &[Binding],
        discard_messages: bool,
    ) -> Result<Removal, SetupError> {
        let (name, bindings) = (queue.to_owned(), bindings.to_vec());
        let remove = move |broker: Arc<dyn Transport>| {
            let (name, bindings) = (name.clone(), bindings.clone());
            async move { broker.remove(&name, &bindings, discard_messages).await }
        };
        self.0.ask("removes", queue, remove).await?
    }

    fn health(&self) -> TransportHealth {
        if self.0.closed.is_cancelled() {
            TransportHealth::Down("it was closed".to_owned())
        } else if self.0.wire.link().is_up {
            TransportHealth::Up
        } else {
            TransportHealth::Down("the connection was lost".to_owned())
        }
    }

    async fn close(&self, within: Duration) {
        let line = self.0.number;
        self.0.closed.cancel();
        lock(&self.0.waiting).clear();
        lock(&self.0.unconfirmed).clear();
        let ended = self
            .0
            .wire
            .ask(Lane::Broker, "disconnects", "", move |session| async move {
                session.disconnect(Some(line)).await;
            });
        // A connection that is lost already is closed as well.
        let _ = timeout(within.max(Duration::from_millis(10)), ended).await;
        self.0.consumers.close();
    }
}

impl DirectPublish for SimulatedTransport {
    fn is_open(&self) -> bool {
        self.0.is_attached() && !self.0.closed.is_cancelled()
    }

    fn write(
        &self,
        outgoing: Outgoing,
        slip: Slip,
        departure: Departure,
    ) -> Option<(Outgoing, Slip)> {
        if !self.is_open() {
            return Some((outgoing, slip));
        }
        if slip.begin_write() {
            self.0
                .send(Lane::Direct, outgoing, slip, None, Some(departure));
        }
        None
    }
}

impl Drop for SimulatedTransport {
    fn drop(&mut self) {
        self.0.closed.cancel();
    }
}

impl fmt::Debug for SimulatedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedTransport")
            .field("link", &self.0.wire.link())
            .finish_non_exhaustive()
    }
}
