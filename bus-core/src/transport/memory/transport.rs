//! One connection to a broker in this process.

use super::{MemoryBroker, browser::MemoryBrowser, deliveries::MemoryDeliveries};
use crate::{
    error::SetupError,
    transport::{
        Binding, Browser, Delay, Deliveries, InspectError, Outgoing, QueueSpec, QueueState,
        Receipt, Removal, Source, Transport, TransportHealth, Verdict,
    },
};
use async_trait::async_trait;
use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// A connection to a broker that lives in this process; [`MemoryBroker::connect`] makes one.
pub struct MemoryTransport {
    broker: MemoryBroker,
    connection: u64,
    closed: AtomicBool,
}

impl MemoryTransport {
    pub(super) fn new(broker: MemoryBroker, connection: u64) -> Self {
        Self {
            broker,
            connection,
            closed: AtomicBool::new(false),
        }
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn accept(&self, outgoing: Outgoing) -> Verdict {
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
        if self.is_closed() {
            return Verdict::NotWritten;
        }
        self.broker.topology().route(message, expires, mandatory)
    }

    fn accept_until(&self, outgoing: Outgoing, due: Instant) -> Verdict {
        let now = Instant::now();
        if self.is_closed() || outgoing.deadline.is_some_and(|deadline| deadline <= now) {
            return Verdict::NotWritten;
        }
        let Outgoing {
            mut message,
            mandatory,
            ..
        } = outgoing;
        message.properties.expiration = None;
        let topology = self.broker.topology();
        if due <= now {
            return topology.route(message, None, mandatory);
        }
        if message.exchange.is_empty() && topology.queue(&message.routing_key).is_none() {
            return Verdict::Unroutable;
        }
        drop(topology);
        self.broker.hold(message, due);
        Verdict::Confirmed
    }
}

#[async_trait]
impl Transport for MemoryTransport {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        Receipt::told(self.accept(outgoing))
    }

    fn publish_at(&self, outgoing: Outgoing, delay: Delay) -> Receipt {
        Receipt::told(self.accept_until(outgoing, delay.due))
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

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        if self.is_closed() {
            return Err(InspectError::Closed);
        }
        let topology = self.broker.topology();
        Ok(topology.queue(queue).map(|queue| queue.inspect()))
    }

    async fn browse(&self, queue: &str) -> Result<Box<dyn Browser>, InspectError> {
        // Under the lock, as in `consume`.
        let topology = self.broker.topology();
        if self.is_closed() {
            return Err(InspectError::Closed);
        }
        let queue = topology.queue(queue).cloned();
        Ok(Box::new(MemoryBrowser::attach(queue, self.connection)))
    }

    async fn remove(
        &self,
        queue: &str,
        _bindings: &[Binding],
        discard_messages: bool,
    ) -> Result<Removal, SetupError> {
        if self.is_closed() {
            return Err(SetupError::Closed);
        }
        let mut topology = self.broker.topology_mut();
        Ok(topology.remove(queue, discard_messages))
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
        for queue in self.broker.topology_mut().queues() {
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

/// A time to live as AMQP can carry it; 0 would expire a message that no consumer waits for.
fn whole_milliseconds(ttl: Duration) -> Duration {
    Duration::new(ttl.as_secs(), ttl.subsec_millis() * 1_000_000).max(Duration::from_millis(1))
}
