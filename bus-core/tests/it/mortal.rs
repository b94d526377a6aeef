//! A worker that can die as in a power failure.

use crate::faulty_store::{Faults, FaultyReplies};
use replybus::{
    Bus,
    reply::memory::MemoryReplies,
    server::{Serve, Serving},
    transport::{
        Transport as _,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

/// A service with a bus of its own, whose store fails when a test says so.
pub(crate) struct Worker {
    pub(crate) transport: Arc<MemoryTransport>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) bus: Bus,
    pub(crate) serving: Serving,
}

impl Worker {
    /// Starts what `serve` makes of its bus; told to stop, it gives back what it has at once.
    pub(crate) async fn start(
        broker: &MemoryBroker,
        replies: &MemoryReplies,
        serve: impl FnOnce(&Bus) -> Serve,
    ) -> Self {
        let transport = Arc::new(broker.connect());
        let faults = Arc::new(Faults::default());
        let store = FaultyReplies::over(replies, &faults);
        let bus = Bus::connect(Arc::clone(&transport), store).await.unwrap();
        let serving = serve(&bus).drain_within(Duration::ZERO).await.unwrap();
        Self {
            transport,
            faults,
            bus,
            serving,
        }
    }

    /// Ends it as a power failure does: nobody hears of it any more.
    pub(crate) async fn dies(self) {
        self.faults.silent.store(true, Ordering::SeqCst);
        self.transport.close(Duration::ZERO).await;
        std::mem::forget(self.serving);
        std::mem::forget(self.bus);
    }
}
