//! Requests and events inside one process, by RabbitMQ's rules and without a broker.
//!
//! What a test finds out here holds on RabbitMQ: exchanges, bindings, limits, prefetch, order,
//! redelivery and expiry are the same. What is missing is what needs a network or a disk: nothing
//! survives the process, and no connection is ever lost.

mod deliveries;
mod queue;
mod topic;

use self::{
    deliveries::MemoryDeliveries,
    queue::Queue,
    topic::{TopicPattern, words},
};
use super::{
    Binding, Deliveries, Outgoing, QueueSpec, QueueState, Receipt, Slip, Source, Transport,
    TransportHealth, Verdict,
};
use crate::{error::SetupError, message::Message};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// A connection to a broker that lives in this process.
pub struct MemoryTransport {
    broker: Arc<Broker>,
    connection: u64,
    closed: AtomicBool,
}

#[derive(Default)]
struct Broker {
    connections: AtomicU64,
    topology: RwLock<Topology>,
}

#[derive(Default)]
struct Topology {
    queues: HashMap<String, Arc<Queue>>,
    exchanges: HashMap<String, Vec<Bound>>,
}

/// A queue bound to an exchange, once, however many patterns it is bound with.
struct Bound {
    queue: Arc<Queue>,
    patterns: Vec<TopicPattern>,
}

impl MemoryTransport {
    /// A connection to a new, empty broker.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::attach(Arc::default())
    }

    /// Another connection to the same broker, for another bus in this process. Each is closed on
    /// its own; clones of one `Arc` are closed together.
    #[must_use]
    pub fn connect(&self) -> Arc<Self> {
        Self::attach(Arc::clone(&self.broker))
    }

    fn attach(broker: Arc<Broker>) -> Arc<Self> {
        Arc::new(Self {
            connection: broker.connections.fetch_add(1, Ordering::Relaxed),
            broker,
            closed: AtomicBool::new(false),
        })
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn accept(&self, outgoing: Outgoing, slip: &Slip) -> Verdict {
        let Outgoing {
            mut message,
            deadline,
            mandatory,
            confirm: _,
        } = outgoing;
        let now = Instant::now();
        let expires = if let Some(deadline) = deadline {
            let remaining = deadline.saturating_duration_since(now);
            if remaining.is_zero() {
                return Verdict::NotWritten;
            }
            message.properties.expiration = Some(whole_milliseconds(remaining));
            Some(deadline)
        } else {
            // A time beyond what the clock can count to is no limit.
            let ttl = message.properties.expiration;
            ttl.and_then(|ttl| now.checked_add(ttl))
        };
        if self.is_closed() || !slip.begin_write() {
            return Verdict::NotWritten;
        }
        self.broker.topology().route(message, expires, mandatory)
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        let (slip, receipt) = Receipt::new();
        let verdict = self.accept(outgoing, &slip);
        slip.fill(verdict);
        receipt
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        let mut topology = self.broker.topology_mut();
        // Looked at under the lock, so that no consumer slips in behind a close.
        if self.is_closed() {
            return Err(SetupError::Closed);
        }
        let queue = topology.declare(source.queue)?;
        for binding in source.bindings {
            topology.bind(&queue, binding)?;
        }
        let deliveries = MemoryDeliveries::attach(queue, self.connection, source.prefetch);
        Ok(Box::new(deliveries))
    }

    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        if self.is_closed() {
            return Err(SetupError::Closed);
        }
        self.broker.topology_mut().declare(queue).map(drop)
    }

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, SetupError> {
        if self.is_closed() {
            return Err(SetupError::Closed);
        }
        Ok(self
            .broker
            .topology()
            .queues
            .get(queue)
            .map(|queue| queue.inspect()))
    }

    fn health(&self) -> TransportHealth {
        if self.is_closed() {
            TransportHealth::Down("the connection is closed".to_owned())
        } else {
            TransportHealth::Up
        }
    }

    async fn close(&self, _within: Duration) {
        self.closed.store(true, Ordering::Release);
        for queue in self.broker.topology_mut().queues.values() {
            queue.close_connection(self.connection);
        }
    }
}

impl fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransport")
            .field("connection", &self.connection)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Broker {
    fn topology(&self) -> RwLockReadGuard<'_, Topology> {
        self.topology.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn topology_mut(&self) -> RwLockWriteGuard<'_, Topology> {
        self.topology
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Topology {
    fn declare(&mut self, spec: QueueSpec) -> Result<Arc<Queue>, SetupError> {
        let Some(queue) = self.queues.get(&spec.name) else {
            let queue = Arc::new(Queue::new(spec));
            self.queues
                .insert(queue.spec.name.clone(), Arc::clone(&queue));
            return Ok(queue);
        };
        if queue.spec == spec {
            return Ok(Arc::clone(queue));
        }
        Err(SetupError::Topology {
            what: format!("queue `{}`", spec.name),
            reason: format!(
                "it exists with type {} and a limit of {} messages, and is declared with type {} \
                 and a limit of {}: use the arguments it has",
                queue.spec.queue_type.as_str(),
                limit(queue.spec.length_max),
                spec.queue_type.as_str(),
                limit(spec.length_max),
            ),
        })
    }

    fn bind(&mut self, queue: &Arc<Queue>, binding: Binding) -> Result<(), SetupError> {
        if binding.exchange.is_empty() {
            return Err(SetupError::Topology {
                what: format!("binding of queue `{}`", queue.spec.name),
                reason: "the default exchange takes no bindings: name an exchange".to_owned(),
            });
        }
        let pattern = TopicPattern::new(&binding.routing_key);
        let bounds = self.exchanges.entry(binding.exchange).or_default();
        match bounds
            .iter_mut()
            .find(|bound| Arc::ptr_eq(&bound.queue, queue))
        {
            Some(bound) if bound.patterns.contains(&pattern) => {}
            Some(bound) => bound.patterns.push(pattern),
            None => bounds.push(Bound {
                queue: Arc::clone(queue),
                patterns: vec![pattern],
            }),
        }
        Ok(())
    }

    /// Stores a message in every queue it reaches. As on RabbitMQ, one full queue among several
    /// makes the verdict [`Verdict::Refused`], and the others keep the message.
    fn route(&self, message: Message, expires: Option<Instant>, mandatory: bool) -> Verdict {
        let message = Arc::new(message);
        let (mut reached, mut refused) = (false, false);
        let mut push = |queue: &Queue| {
            reached = true;
            refused |= !queue.push(&message, expires);
        };
        if message.exchange.is_empty() {
            if let Some(queue) = self.queues.get(&message.routing_key) {
                push(queue);
            }
        } else if let Some(bounds) = self.exchanges.get(&message.exchange) {
            let key = words(&message.routing_key);
            for bound in bounds {
                if bound.patterns.iter().any(|pattern| pattern.matches(&key)) {
                    push(&bound.queue);
                }
            }
        }
        match (reached, refused) {
            (false, _) if mandatory => Verdict::Unroutable,
            (_, true) => Verdict::Refused,
            _ => Verdict::Confirmed,
        }
    }
}

fn limit(length_max: Option<u32>) -> String {
    length_max.map_or_else(|| "no".to_owned(), |max| max.to_string())
}

/// A time to live as AMQP can carry it; 0 would expire a message that no consumer waits for.
fn whole_milliseconds(ttl: Duration) -> Duration {
    Duration::new(ttl.as_secs(), ttl.subsec_millis() * 1_000_000).max(Duration::from_millis(1))
}

#[cfg(test)]
mod tests;
