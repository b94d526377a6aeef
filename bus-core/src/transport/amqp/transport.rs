//! RabbitMQ as a [`Transport`]: one connection to publish, one to consume.

use super::{
    browse::{self, AmqpBrowser},
    connect::{Broker, Failure, Link, LinkState, Live},
    consume::{Absences, Consumers},
    delay::Delays,
    publish::Publisher,
    removal, topology,
};
use crate::{
    error::SetupError,
    limits::CONNECT_TIMEOUT,
    transport::{
        Binding, Browser, Delay, Deliveries, DirectPublish, InspectError, Outgoing, QueueSpec,
        QueueState, Receipt, Removal, Source, Transport, TransportHealth,
    },
};
use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// The time tasks have to end once they were told to.
const END_WITHIN: Duration = Duration::from_secs(2);

/// Inspections without an answer at once. Each has a channel, and may have it for as long as its
/// queue is stuck.
const INSPECTIONS_MAX: usize = 16;

/// Both connections, and what works on them.
pub(super) struct AmqpTransport {
    publisher: Publisher,
    publish: Link,
    delays: Delays,
    consumers: Consumers,
    /// Permits of inspections that have no answer yet.
    inspections: Arc<Semaphore>,
    links: TaskTracker,
    closing: CancellationToken,
    _end: DropGuard,
}

impl AmqpTransport {
    /// Makes both connections; from then on they are kept up.
    pub(super) async fn connect(
        broker: Broker,
        confirm_timeout: Duration,
    ) -> Result<Self, SetupError> {
        let connect_within = broker.connect_within;
        let addresses: Vec<_> = broker.addresses.iter().map(ToString::to_string).collect();
        let address = addresses.join(", ").into();
        let broker = Arc::new(broker);
        let end = CancellationToken::new();
        // Dropped on the way out of an error, too.
        let ends_with_us = end.clone().drop_guard();
        let links = TaskTracker::new();
        let closing = end.child_token();
        let connect = |role| Link::connect(Arc::clone(&broker), role, &links, closing.clone());
        let (publish, consume) = tokio::try_join!(connect("publish"), connect("consume"))?;
        links.close();
        Ok(Self {
            publisher: Publisher::start(publish.clone(), confirm_timeout, end.child_token()),
            publish,
            delays: Delays::new(consume.clone()),
            consumers: Consumers {
                link: consume,
                tasks: TaskTracker::new(),
                closing: end.child_token(),
                connect_within,
                absences: Absences::default(),
                address,
            },
            inspections: Arc::new(Semaphore::new(INSPECTIONS_MAX)),
            links,
            closing,
            _end: ends_with_us,
        })
    }
}

impl AmqpTransport {
    /// The connection that queues are looked at on. What is asked is to be known now: a connection
    /// that is away is an answer.
    fn live(&self) -> Result<Arc<Live>, InspectError> {
        match self.consumers.link.state() {
            LinkState::Up(live) => Ok(live),
            LinkState::Down(reason) => Err(InspectError::unreachable(
                "RabbitMQ",
                &*self.consumers.address,
                Failure::transient(&*reason),
            )),
            LinkState::Closed => Err(InspectError::Closed),
        }
    }
}

#[async_trait]
impl Transport for AmqpTransport {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        self.publisher.publish(outgoing)
    }

    fn publish_at(&self, outgoing: Outgoing, delay: Delay) -> Receipt {
        self.delays.publish(&self.publisher, outgoing, delay)
    }

    fn direct(&self) -> Option<&dyn DirectPublish> {
        Some(&self.publisher)
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        Ok(Box::new(self.consumers.consume(source).await?))
    }

    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        let queue = &queue;
        self.consumers
            .retried(|live, until| async move {
                topology::declare(&live, queue, &[], Some(until)).await
            })
            .await
    }

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        let live = self.live()?;
        let permits = Arc::clone(&self.inspections);
        let asked = queue.to_owned();
        let asking = async move {
            let permit = permits.acquire_owned().await.ok();
            // It goes on when nobody waits for it any more: its channel can't be closed before the
            // queue has answered.
            tokio::spawn(async move {
                let state = topology::inspect(&live, &asked).await;
                drop(permit);
                state
            })
            .await
        };
        match timeout(CONNECT_TIMEOUT, asking).await {
            Ok(Ok(state)) => {
                state.map_err(|error| browse::explain(queue, &self.consumers.address, error))
            }
            Ok(Err(_)) => Err(InspectError::Closed), // The runtime ends.
            Err(_) => Err(InspectError::no_answer(queue)),
        }
    }

    async fn browse(&self, queue: &str) -> Result<Box<dyn Browser>, InspectError> {
        let address = Arc::clone(&self.consumers.address);
        Ok(Box::new(
            AmqpBrowser::open(self.live()?, queue, address).await?,
        ))
    }

    async fn remove(
        &self,
        queue: &str,
        bindings: &[Binding],
        discard_messages: bool,
    ) -> Result<Removal, SetupError> {
        let unbound = AtomicBool::new(false);
        self.consumers
            .retried(|live, until| {
                let unbound = &unbound;
                async move {
                    removal::remove(&live, queue, bindings, discard_messages, until, unbound).await
                }
            })
            .await
    }

    fn health(&self) -> TransportHealth {
        for link in [&self.publish, &self.consumers.link] {
            match link.state() {
                LinkState::Down(reason) => return TransportHealth::Down(reason.to_string()),
                LinkState::Closed => return TransportHealth::Down("closed".to_owned()),
                LinkState::Up(live) => {
                    if let Some(reason) = live.blocked() {
                        return TransportHealth::Blocked(reason.to_string());
                    }
                }
            }
        }
        TransportHealth::Up
    }

    fn not_consumed(&self) -> BTreeMap<String, String> {
        self.consumers.absences.all()
    }

    async fn close(&self, within: Duration) {
        self.publisher.close(within).await;
        // Consumers give back what nobody took, and their acks go out, before the connection ends.
        self.consumers.closing.cancel();
        self.consumers.tasks.close();
        let _ = timeout(END_WITHIN, self.consumers.tasks.wait()).await;
        self.closing.cancel();
        let _ = timeout(END_WITHIN, self.links.wait()).await;
    }
}

impl fmt::Debug for AmqpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpTransport")
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}
