//! A look through a queue: what was seen is held until it ends.

use super::queue::Queue;
use crate::transport::{
    Acknowledger, Browser, Delivery, InspectError, SettleOrder, Settled, Settler,
};
use async_trait::async_trait;
use std::{fmt, sync::Arc};

/// A look through one queue, or through none.
pub(super) struct MemoryBrowser(Option<Arc<Held>>);

impl MemoryBrowser {
    /// Looks through `queue`, in the name of `connection`.
    pub(super) fn attach(queue: Option<Arc<Queue>>, connection: u64) -> Self {
        Self(queue.map(|queue| {
            let browser = queue.attach_browser(connection);
            Arc::new(Held { queue, browser })
        }))
    }
}

#[async_trait]
impl Browser for MemoryBrowser {
    async fn next(&mut self) -> Result<Option<Delivery>, InspectError> {
        tokio::task::coop::consume_budget().await;
        let Some(held) = &self.0 else {
            return Ok(None);
        };
        let got = held.queue.get(held.browser);
        let taken = got.map_err(|_| InspectError::Closed)?;
        Ok(taken.map(|taken| {
            let settler = Settler::new(taken.tag, Arc::<Held>::clone(held));
            Delivery::new(taken.message, settler).redelivered(taken.redelivered)
        }))
    }

    async fn end(self: Box<Self>) -> Result<(), InspectError> {
        Ok(())
    }
}

impl Drop for MemoryBrowser {
    fn drop(&mut self) {
        // Settlers may be left, which do nothing then.
        if let Some(held) = &self.0 {
            held.queue.detach(held.browser);
        }
    }
}

impl fmt::Debug for MemoryBrowser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.0.as_ref().map(|held| &held.queue.spec.name);
        f.debug_struct("MemoryBrowser")
            .field("queue", &queue)
            .finish_non_exhaustive()
    }
}

/// What a browser holds of its queue.
struct Held {
    queue: Arc<Queue>,
    browser: u64,
}

impl Acknowledger for Held {
    fn settle(&self, tag: u64, settled: Settled) {
        match settled {
            Settled::Ack => self
                .queue
                .settle(self.browser, SettleOrder { tag, settled }),
            // It would come again.
            Settled::Requeue => {}
        }
    }
}
