//! Messages that wait until they are due.

use super::{Broker, MemoryBroker};
use crate::{limits::DELAYED_AGAIN_AFTER, message::Message, transport::Verdict};
use std::{
    collections::BTreeMap,
    sync::{Arc, MutexGuard, PoisonError},
};
use tokio::time::{Instant, sleep_until};

/// What waits, in the order in which it is due.
#[derive(Default)]
pub(super) struct Held {
    waiting: BTreeMap<(Instant, u64), Message>,
    last: u64,
}

impl Held {
    /// The next message that is due by now.
    fn take(&mut self, now: Instant) -> Option<Message> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

impl MemoryBroker {
    /// Keeps a message until it is due.
    pub(super) fn hold(&self, message: Message, due: Instant) {
        let mut held = self.held();
        held.last += 1;
        let position = held.last;
        held.waiting.insert((due, position), message);
        drop(held);
        let broker = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            sleep_until(due).await;
            if let Some(broker) = broker.upgrade() {
                Self(broker).release();
            }
        });
    }

    /// Delivers what is due: all of it, so that alarms of one moment need no order.
    fn release(&self) {
        let now = Instant::now();
        // Each lock is free again before the next is taken.
        let next = || self.held().take(now);
        while let Some(message) = next() {
            let to_a_queue = message.exchange.is_empty();
            let delivered = self.topology().route(message.clone(), None, to_a_queue);
            if delivered != Verdict::Confirmed {
                self.hold(message, now + DELAYED_AGAIN_AFTER);
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        let Broker { held, .. } = &*self.0;
        held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
