//! The handle that settles one delivery, once.

use std::{fmt, sync::Arc};
use tokio::sync::mpsc;

/// The ways to settle a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settled {
    /// Done with: the broker forgets it.
    Ack,
    /// Given back to the queue, to be delivered again.
    Requeue,
}

/// The end of a transport that takes settlements, of all deliveries of one channel.
pub trait Acknowledger: Send + Sync + 'static {
    /// Takes the settlement of the delivery `tag`, which comes once. It must return at once, for it
    /// is called where a delivery is dropped; if the channel is gone it does nothing: the broker
    /// gives the deliveries of a lost channel to somebody else.
    fn settle(&self, tag: u64, settled: Settled);
}

/// Settles one delivery: by [`settle`](Self::settle), or by being dropped, which gives the
/// message back, so that no path through a server can forget one.
///
/// ```
/// use replybus::transport::{Acknowledger, Settled, Settler};
/// use std::sync::{Arc, Mutex};
///
/// #[derive(Default)]
/// struct Noted(Mutex<Vec<(u64, Settled)>>);
///
/// impl Acknowledger for Noted {
///     fn settle(&self, tag: u64, settled: Settled) {
///         self.0.lock().unwrap().push((tag, settled));
///     }
/// }
///
/// let noted = Arc::new(Noted::default());
/// Settler::new(1, noted.clone()).settle(Settled::Ack);
/// drop(Settler::new(2, noted.clone()));
/// assert_eq!(*noted.0.lock().unwrap(), [(1, Settled::Ack), (2, Settled::Requeue)]);
/// ```
pub struct Settler {
    tag: u64,
    /// There until it was told.
    acknowledger: Option<Arc<dyn Acknowledger>>,
}

impl Settler {
    /// A settler of the delivery `tag`.
    #[must_use]
    pub fn new(tag: u64, acknowledger: Arc<dyn Acknowledger>) -> Self {
        Self {
            tag,
            acknowledger: Some(acknowledger),
        }
    }

    /// Settles the delivery.
    pub fn settle(mut self, settled: Settled) {
        self.tell(settled);
    }

    fn tell(&mut self, settled: Settled) {
        if let Some(acknowledger) = self.acknowledger.take() {
            acknowledger.settle(self.tag, settled);
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.tell(Settled::Requeue);
    }
}

impl fmt::Debug for Settler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settler")
            .field("tag", &self.tag)
            .finish_non_exhaustive()
    }
}

/// A settled delivery, on its way to the task that tells the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SettleOrder {
    /// The delivery tag.
    pub(crate) tag: u64,
    /// The way it was settled.
    pub(crate) settled: Settled,
}

/// Hands orders to settle over to a task.
struct SettleOrders(mpsc::UnboundedSender<SettleOrder>);

impl Acknowledger for SettleOrders {
    fn settle(&self, tag: u64, settled: Settled) {
        // A receiver that is gone was of a channel that is gone.
        let _ = self.0.send(SettleOrder { tag, settled });
    }
}

/// A queue of orders to settle, and where they come out. Holds no more than the prefetch: a
/// delivery is settled once. It ends when the acknowledger and all settlers are gone.
pub(crate) fn settle_orders() -> (Arc<dyn Acknowledger>, mpsc::UnboundedReceiver<SettleOrder>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Arc::new(SettleOrders(sender)), receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_once_and_gives_back_what_was_dropped() {
        let (acknowledger, mut settled) = settle_orders();
        Settler::new(1, Arc::clone(&acknowledger)).settle(Settled::Ack);
        drop(Settler::new(2, acknowledger));
        let order = |tag, settled| SettleOrder { tag, settled };
        assert_eq!(settled.blocking_recv(), Some(order(1, Settled::Ack)));
        assert_eq!(settled.blocking_recv(), Some(order(2, Settled::Requeue)));
        assert_eq!(settled.blocking_recv(), None);
    }
}
