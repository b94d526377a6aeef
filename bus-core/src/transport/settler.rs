//! The handle that settles one delivery, once.

use tokio::sync::mpsc;

/// How a delivery is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Done with: the broker forgets it.
    Ack,
    /// Given back to the queue, to be delivered again.
    Requeue,
}

/// A settled delivery, on its way to the task that tells the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettleOrder {
    /// The delivery tag.
    pub tag: u64,
    /// What to tell the broker.
    pub settled: Settled,
}

/// Settles one delivery: by [`settle`](Self::settle), or by being dropped, which gives the
/// message back, so that no path through a server can forget one.
#[derive(Debug)]
pub struct Settler {
    tag: u64,
    orders: mpsc::UnboundedSender<SettleOrder>,
    open: bool,
}

impl Settler {
    /// A settler of the delivery `tag`. Orders to a receiver that is gone are dropped: the broker
    /// gives the deliveries of a lost channel to somebody else.
    #[must_use]
    pub fn new(tag: u64, orders: mpsc::UnboundedSender<SettleOrder>) -> Self {
        Self {
            tag,
            orders,
            open: true,
        }
    }

    /// Settles the delivery.
    pub fn settle(mut self, settled: Settled) {
        self.order(settled);
    }

    fn order(&mut self, settled: Settled) {
        if std::mem::take(&mut self.open) {
            let _ = self.orders.send(SettleOrder {
                tag: self.tag,
                settled,
            });
        }
    }
}

impl Drop for Settler {
    fn drop(&mut self) {
        self.order(Settled::Requeue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_once_and_gives_back_what_was_dropped() {
        let (orders, mut settled) = mpsc::unbounded_channel();
        Settler::new(1, orders.clone()).settle(Settled::Ack);
        drop(Settler::new(2, orders));
        let order = |tag, settled| SettleOrder { tag, settled };
        assert_eq!(settled.blocking_recv(), Some(order(1, Settled::Ack)));
        assert_eq!(settled.blocking_recv(), Some(order(2, Settled::Requeue)));
        assert_eq!(settled.blocking_recv(), None);
    }
}
