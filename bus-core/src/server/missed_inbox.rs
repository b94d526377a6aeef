//! Callers whose inboxes are not where this service puts its replies. They wait in vain, and only
//! the service can see why: so it says so, now and then.

use crate::{call_id::CallId, reply::ReplyStore};
use metrics::Counter;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// The log is told of each kind once in this time; a counter counts all.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Characters of a name that came from the network.
const SHOWN_MAX: usize = 160;

/// The log of the inboxes that were missed by one service.
#[derive(Debug)]
pub(super) struct MissedInboxes {
    service: &'static str,
    store: Arc<dyn ReplyStore>,
    foreign: Seldom,
    absent: Seldom,
}

impl MissedInboxes {
    pub(super) fn new(service: &'static str, store: Arc<dyn ReplyStore>) -> Self {
        // So that the first one is an increase.
        counter(service, "foreign").increment(0);
        counter(service, "absent").increment(0);
        Self {
            service,
            store,
            foreign: Seldom::default(),
            absent: Seldom::default(),
        }
    }

    /// A caller named an inbox that is none of this bus.
    pub(super) fn is_foreign(&self, id: CallId, named: &str) {
        counter(self.service, "foreign").increment(1);
        if let Some(untold) = self.foreign.take_turn() {
            tracing::warn!(
                service = self.service,
                %id,
                theirs = %shown(named),
                ours = self.store.inbox(),
                untold,
                "a caller's inbox is not one of this bus, so it is not answered there: has it \
                 another key prefix or namespace than this service?"
            );
        }
    }

    /// The inbox of a caller that still waits is not in the store.
    pub(super) fn is_absent(&self, id: CallId, named: &str) {
        counter(self.service, "absent").increment(1);
        if let Some(untold) = self.absent.take_turn() {
            tracing::warn!(
                service = self.service,
                %id,
                theirs = %shown(named),
                ours = ?self.store,
                untold,
                "the inbox of a caller that waits is not in this store, and it was answered under \
                 the call's own key: does it use another server or database than this service, or \
                 has it ended?"
            );
        }
    }
}

fn counter(service: &'static str, why: &'static str) -> Counter {
    metrics::counter!("replybus_missed_inboxes_total", "service" => service, "why" => why)
}

fn shown(named: &str) -> String {
    named
        .chars()
        .take(SHOWN_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

/// Something that is told once in a while.
#[derive(Debug, Default)]
struct Seldom {
    told: Mutex<Option<Instant>>,
    untold: AtomicU64,
}

impl Seldom {
    /// The number of times it was not told since the last, if it is to be told now.
    fn take_turn(&self) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            self.untold.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *told = Some(Instant::now());
        Some(self.untold.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_told_once_in_a_while_with_the_number_of_those_between() {
        let seldom = Seldom::default();
        assert_eq!(seldom.take_turn(), Some(0));
        assert_eq!([seldom.take_turn(), seldom.take_turn()], [None, None]);
        tokio::time::advance(TELL_EVERY).await;
        assert_eq!(seldom.take_turn(), Some(2));
        assert_eq!(seldom.take_turn(), None);
    }

    #[test]
    fn what_came_from_the_network_is_shortened_and_escaped() {
        assert_eq!(shown("a\n\u{202e}b"), "a\\n\\u{202e}b");
        assert_eq!(shown(&"x".repeat(1_000)).len(), SHOWN_MAX);
    }
}
