//! A transport in this process, and what a test puts in its way.

use async_trait::async_trait;
use replybus::{
    SetupError,
    transport::{
        Delay, Deliveries, DirectPublish, InspectError, Outgoing, QueueSpec, QueueState, Receipt,
        Source, Transport, TransportHealth, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use std::{fmt, ops::Deref, sync::Arc, time::Duration};

/// What becomes of that which passes: what the transport makes of it, unless a test says otherwise.
pub(crate) trait Hook: fmt::Debug + Send + Sync + 'static {
    fn publish(&self, outgoing: Outgoing, on: &MemoryTransport) -> Receipt {
        on.publish(outgoing)
    }

    /// Nothing can be delayed.
    fn publish_at(&self, outgoing: Outgoing, delay: Delay, on: &MemoryTransport) -> Receipt {
        let _ = (outgoing, delay, on);
        Receipt::told(Verdict::Unacceptable(
            "this transport can't delay messages".into(),
        ))
    }

    fn direct(&self) -> Option<&dyn DirectPublish> {
        None
    }

    /// Somebody looks at a queue.
    fn inspected(&self) {}

    fn health(&self, of: &MemoryTransport) -> TransportHealth {
        of.health()
    }
}

/// A transport that can what each must, by way of a hook. It is the hook to the test.
#[derive(Debug)]
pub(crate) struct Between<H> {
    transport: MemoryTransport,
    hook: H,
}

impl<H: Hook> Between<H> {
    pub(crate) fn on(broker: &MemoryBroker, hook: H) -> Arc<Self> {
        Arc::new(Self {
            transport: broker.connect(),
            hook,
        })
    }
}

impl<H> Deref for Between<H> {
    type Target = H;

    fn deref(&self) -> &H {
        &self.hook
    }
}

#[async_trait]
impl<H: Hook> Transport for Between<H> {
    fn publish(&self, outgoing: Outgoing) -> Receipt {
        self.hook.publish(outgoing, &self.transport)
    }

    fn publish_at(&self, outgoing: Outgoing, delay: Delay) -> Receipt {
        self.hook.publish_at(outgoing, delay, &self.transport)
    }

    fn direct(&self) -> Option<&dyn DirectPublish> {
        self.hook.direct()
    }

    async fn consume(&self, source: Source) -> Result<Box<dyn Deliveries>, SetupError> {
        self.transport.consume(source).await
    }

    async fn declare(&self, queue: QueueSpec) -> Result<(), SetupError> {
        self.transport.declare(queue).await
    }

    async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        self.hook.inspected();
        self.transport.inspect(queue).await
    }

    fn health(&self) -> TransportHealth {
        self.hook.health(&self.transport)
    }

    async fn close(&self, within: Duration) {
        self.transport.close(within).await;
    }
}
