//! A broker that carries calls as ever, and events as it is told.

use async_trait::async_trait;
use contracts::TransactionCompleted;
use replybus::{
    Event as _, SetupError,
    transport::{
        Delay, Deliveries, InspectError, Outgoing, QueueSpec, QueueState, Receipt, Slip, Source,
        Transport, TransportHealth, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;
use town::wait::soon;

/// What happens to events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Events {
    /// They are taken and confirmed.
    Confirmed,
    /// They are refused for load.
    Refused,
    /// They are taken, and nobody is told.
    NeverConfirmed,
}

#[derive(Debug)]
pub(crate) struct ScriptedBroker {
    inner: MemoryTransport,
    events: Mutex<Events>,
    /// The ids of all that was taken, in order.
    taken: watch::Sender<Vec<String>>,
    /// Times that an event was refused.
    refused: watch::Sender<usize>,
    /// Dropped, they would tell.
    silent: Mutex<Vec<Slip>>,
}

impl ScriptedBroker {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryBroker::new().connect(),
            events: Mutex::new(Events::Confirmed),
            taken: watch::Sender::default(),
            refused: watch::Sender::default(),
            silent: Mutex::default(),
        })
    }

    pub(crate) fn on_events(&self, events: Events) {
        *self.events.lock().unwrap() = events;
    }

    pub(crate) fn taken(&self) -> Vec<String> {
        self.taken.borrow().clone()
    }

    pub(crate) async fn takes(&self, events: usize) {
        let mut taken = self.taken.subscribe();
        let taken = taken.wait_for(|taken| taken.len() >= events);
        soon("it was handed so many", taken).await.unwrap();
    }

    pub(crate) async fn refuses(&self, times: usize) {
        let mut refused = self.refused.subscribe();
        let refused = refused.wait_for(|refused| *refused >= times);
        soon("it refused so many", refused).await.unwrap();
    }
}

#[async_trait]
impl Transport for ScriptedBroker {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        if outgoing.message.exchange != TransactionCompleted::EXCHANGE {
            return self.inner.publish(outgoing);
        }
        let events = *self.events.lock().unwrap();
        let id = outgoing.message.properties.message_id.clone();
        if events == Events::Refused {
            self.refused.send_modify(|refused| *refused += 1);
            let (slip, receipt) = Receipt::pair();
            slip.fill(Verdict::Refused);
            return receipt;
        }
        let mut receipt = self.inner.publish(outgoing);
        if events == Events::NeverConfirmed {
            let (slip, silent) = Receipt::pair();
            assert!(slip.begin_write());
            self.silent.lock().unwrap().push(slip);
            receipt = silent;
        }
        self.taken
            .send_modify(|taken| taken.extend(id.map(String::from)));
        receipt
    }

    fn publish_at(&self, outgoing: Outgoing, delay: Delay) -> Receipt {
        self.inner.publish_at(outgoing, delay)
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
