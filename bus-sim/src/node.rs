//! What a process knows of itself, and how it reaches the servers.

use crate::{
    replies::SimulatedReplies,
    surroundings::Here,
    transport::SimulatedBroker,
    wire::{Lane, Wire},
};
use replybus::{Bus, SetupError};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// One life of a process, given to what it runs. Its clones are the same.
#[derive(Clone)]
pub struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) life: u32,
    pub(crate) wire: Wire,
    pub(crate) here: Arc<Here>,
    pub(crate) stop: CancellationToken,
    pub(crate) connections: Arc<AtomicU64>,
}

impl Node {
    /// The name of the process.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts its lives, from 1 on: a process that was killed is started again.
    #[must_use]
    pub fn life(&self) -> u32 {
        self.life
    }

    /// A bus over the simulated servers, with the default settings.
    ///
    /// # Errors
    /// As of [`Bus::connect`].
    ///
    /// # Cancel safety
    /// As of [`Bus::connect`].
    pub async fn connect(&self) -> Result<Bus, SetupError> {
        Bus::connect(self.broker(), self.replies()).await
    }

    /// The broker, for a bus with other settings or another store, or to wrap it. Each is a
    /// connection of its own.
    #[must_use]
    pub fn broker(&self) -> SimulatedBroker {
        SimulatedBroker {
            wire: self.wire.clone(),
            line: self.number(),
        }
    }

    /// The store, likewise.
    #[must_use]
    pub fn replies(&self) -> SimulatedReplies {
        SimulatedReplies {
            wire: self.wire.clone(),
            number: self.number(),
        }
    }

    fn number(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A step of the process's own, such as a write to a database: faults hit it before and after,
    /// as they hit what it asks of the servers. It takes a millisecond or more.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the step was taken all the same.
    pub async fn step(&self, what: &'static str) {
        // It is lost with the process only, and then nobody waits.
        let _ = self.wire.ask(Lane::Own, what, "", |_| async {}).await;
    }

    /// A number below `bound`, by chance that the seed decides; 0 if that is 0.
    #[must_use]
    pub fn chance(&self, bound: u64) -> u64 {
        self.here.below(bound)
    }

    /// Waits until the process is told to end, which a service is when all callers are done.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn stopped(&self) {
        self.stop.cancelled().await;
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("name", &self.name)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}
