//! Requests and events inside one process, by RabbitMQ's rules and without a broker.
//!
//! A test that passes here holds on RabbitMQ: exchanges, bindings, limits, prefetch, order,
//! redelivery and expiry are the same. What is missing is what needs a network or a disk: nothing
//! survives the process, and no connection is ever lost.

mod browser;
mod deliveries;
mod held;
mod queue;
#[cfg(test)]
mod tests;
mod topic;
mod topology;
mod transport;

pub use transport::MemoryTransport;

use self::{held::Held, topology::Topology};
use super::{Transport, TransportBackend};
use crate::error::SetupError;
use async_trait::async_trait;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

/// A broker that lives in this process. Its clones are the same broker: buses that were given one
/// share its queues, and each has a connection of its own.
///
/// ```
/// use replybus::{Bus, reply::memory::MemoryReplies, transport::memory::MemoryBroker};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), replybus::SetupError> {
/// let (broker, replies) = (MemoryBroker::new(), MemoryReplies::new());
/// let service = Bus::connect(broker.clone(), replies.clone()).await?;
/// let caller = Bus::connect(broker, replies).await?;
/// assert!(service.health().is_up() && caller.health().is_up());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryBroker(Arc<Broker>);

#[derive(Default)]
struct Broker {
    connections: AtomicU64,
    topology: RwLock<Topology>,
    held: Mutex<Held>,
}

impl MemoryBroker {
    /// A new, empty broker.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A connection to it, which is closed on its own.
    #[must_use]
    pub fn connect(&self) -> MemoryTransport {
        let connection = self.0.connections.fetch_add(1, Ordering::Relaxed);
        MemoryTransport::new(self.clone(), connection)
    }

    fn topology(&self) -> RwLockReadGuard<'_, Topology> {
        let topology = &self.0.topology;
        topology.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn topology_mut(&self) -> RwLockWriteGuard<'_, Topology> {
        let topology = &self.0.topology;
        topology.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl TransportBackend for MemoryBroker {
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError> {
        Ok(Arc::new(self.connect()))
    }
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBroker").finish_non_exhaustive()
    }
}
