//! How much there is in an outbox, for who watches.

use super::stored::Store;
use crate::database::{Table, now};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(10);

/// Looks from time to time.
pub(super) struct Measures {
    table: String,
    next: Instant,
}

impl Measures {
    pub(super) fn new(table: &Table) -> Self {
        Self {
            table: table.as_str().to_owned(),
            next: Instant::now(),
        }
    }

    /// Looks, if it is time. That nobody could look is told by what else fails.
    pub(super) async fn take(&mut self, store: &Store) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        let Ok(measured) = store.measure().await else {
            return;
        };
        let age = measured.oldest.map_or(0, |oldest| (now() - oldest).max(0));
        let age = Duration::from_micros(age.unsigned_abs()).as_secs_f64();
        let events = u32::try_from(measured.events).unwrap_or(u32::MAX);
        metrics::gauge!("replybus_outbox_events", "table" => self.table.clone()).set(events);
        metrics::gauge!("replybus_outbox_oldest_seconds", "table" => self.table.clone()).set(age);
    }
}
