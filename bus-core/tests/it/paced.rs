//! A transport in this process whose messages are out when the test says so.

use async_trait::async_trait;
use replybus::{
    SetupError,
    message::Message,
    transport::{
        Deliveries, Departure, DirectPublish, InspectError, Outgoing, QueueSpec, QueueState,
        Receipt, Slip, Source, Transport, TransportHealth, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Carries what is published at once, and tells of its departure later.
#[derive(Debug)]
pub(crate) struct Paced {
    inner: MemoryTransport,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Writes nothing, as without a connection.
    is_shut: bool,
    /// What was written directly, in order, and who asks about it.
    written: Vec<Message>,
    slips: Vec<Slip>,
    departing: Vec<Departure>,
}

impl Paced {
    pub(crate) fn on(broker: &MemoryBroker) -> Arc<Self> {
        Arc::new(Self {
            inner: broker.connect(),
            state: Mutex::default(),
        })
    }

    /// Lets what was written be out.
    pub(crate) fn depart(&self) {
        let departing = std::mem::take(&mut self.state.lock().unwrap().departing);
        drop(departing);
    }

    /// Takes what was written directly.
    pub(crate) fn take_written(&self) -> Vec<Message> {
        std::mem::take(&mut self.state.lock().unwrap().written)
    }

    /// Gives a verdict about all that was written directly and is asked about.
    pub(crate) fn say(&self, verdict: &Verdict) {
        let slips = std::mem::take(&mut self.state.lock().unwrap().slips);
        for slip in slips.into_iter().filter(|slip| !slip.abandoned()) {
            slip.fill(verdict.clone());
        }
    }

    /// Writes nothing more directly.
    pub(crate) fn shut(&self) {
        self.state.lock().unwrap().is_shut = true;
    }
}

impl DirectPublish for Paced {
    fn is_open(&self) -> bool {
        !self.state.lock().unwrap().is_shut
    }

    fn write(
        &self,
        outgoing: Outgoing,
        slip: Slip,
        departure: Departure,
    ) -> Option<(Outgoing, Slip)> {
        let mut state = self.state.lock().unwrap();
        if state.is_shut {
            return Some((outgoing, slip));
        }
        assert!(slip.begin_write(), "what was withdrawn is not handed over");
        state.written.push(outgoing.message.clone());
        state.slips.push(slip);
        state.departing.push(departure);
        drop(self.inner.publish(outgoing));
        None
    }
}

#[async_trait]
impl Transport for Paced {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        self.inner.publish(outgoing)
    }

    fn direct(&self) -> Option<&dyn DirectPublish> {
        Some(self)
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        self.inner.consume(source).await
    }

    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        self.inner.declare(queue).await
    }

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        self.inner.inspect(queue).await
    }

    fn health(&self) -> TransportHealth {
        self.inner.health()
    }

    async fn close(&self, within: Duration) {
        self.inner.close(within).await;
    }
}
