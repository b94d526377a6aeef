//! The settlement of a job's message while it runs.

use crate::transport::{Acknowledger, Settled, Settler};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// The delivery of a job: settled by whoever works it off, or before that, when the broker has its
/// message once more.
#[derive(Debug)]
pub(crate) struct Held {
    settler: Mutex<Option<Settler>>,
    handed_back: AtomicBool,
}

impl Held {
    /// Takes a delivery's settler, and gives another for whoever works it off.
    pub(crate) fn over(settler: Settler) -> (Arc<Self>, Settler) {
        let held = Arc::new(Self {
            settler: Mutex::new(Some(settler)),
            handed_back: AtomicBool::new(false),
        });
        let settler = Settler::new(0, Arc::clone(&held) as _);
        (held, settler)
    }

    /// Settles the delivery: the broker has its message once more.
    pub(crate) fn hand_back(&self) {
        self.handed_back.store(true, Ordering::Release);
        self.settle(0, Settled::Ack);
    }

    /// `true` if the broker has the message once more. It is that one then which says in the end
    /// what became of the job.
    pub(crate) fn is_handed_back(&self) -> bool {
        self.handed_back.load(Ordering::Acquire)
    }
}

impl Acknowledger for Held {
    fn settle(&self, _: u64, settled: Settled) {
        let settler = self.settler.lock();
        let settler = settler.unwrap_or_else(PoisonError::into_inner).take();
        if let Some(settler) = settler {
            settler.settle(settled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{SettleOrder, settle_orders};

    #[test]
    fn a_delivery_is_settled_once_by_whoever_comes_first() {
        let (acknowledger, mut settled) = settle_orders();
        let order = |tag, settled| Some(SettleOrder { tag, settled });
        let (held, settler) = Held::over(Settler::new(1, Arc::clone(&acknowledger)));
        held.hand_back();
        assert!(held.is_handed_back());
        assert_eq!(settled.blocking_recv(), order(1, Settled::Ack));
        drop(settler);
        let (held, settler) = Held::over(Settler::new(2, acknowledger));
        drop(settler);
        assert_eq!(settled.blocking_recv(), order(2, Settled::Requeue));
        assert!(!held.is_handed_back());
        drop(held);
        assert_eq!(settled.blocking_recv(), None);
    }
}
