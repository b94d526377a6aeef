//! Notes of messages that wait, by the place that they are for.

use crate::{
    call_id::CallId,
    contract::unix_time,
    limits::{DELAYED_FORGOTTEN_FOR, DELAYED_LISTED_MAX, DELAYED_RECORD_BYTES_MAX},
    reply::DelayedNote,
};
use bytes::Bytes;
use std::collections::HashMap;
use tokio::time::Instant;

/// Each until it is due. One that was forgotten has no record.
#[derive(Debug, Default)]
pub(super) struct Delayed(HashMap<String, HashMap<CallId, (Instant, Bytes)>>);

impl Delayed {
    pub(super) fn note(&mut self, note: &DelayedNote) {
        let now = Instant::now();
        let left = note.due.saturating_sub(unix_time());
        let of_place = self.0.entry(note.place.clone()).or_default();
        of_place.retain(|_, (due, _)| *due > now);
        let fits = match of_place.get(&note.id) {
            Some((_, known)) => !known.is_empty(),
            None => of_place.len() < DELAYED_LISTED_MAX,
        };
        // More than a clock can show is never.
        if let Some(due) = now.checked_add(left).filter(|due| *due > now && fits) {
            of_place.insert(note.id, (due, note.record.clone()));
        }
    }

    pub(super) fn forget(&mut self, place: &str, id: CallId) {
        let of_place = self.0.entry(place.to_owned()).or_default();
        let now = Instant::now();
        of_place.retain(|_, (due, _)| *due > now);
        of_place.insert(id, (now + DELAYED_FORGOTTEN_FOR, Bytes::new()));
    }

    /// The nearest first.
    pub(super) fn of(&self, place: &str) -> Vec<Bytes> {
        let now = Instant::now();
        let of_place = self.0.get(place).into_iter().flat_map(HashMap::values);
        let mut waiting: Vec<_> = of_place.filter(|(due, _)| *due > now).collect();
        waiting.sort_by_key(|(due, _)| *due);
        let records = waiting.into_iter().map(|(_, record)| record);
        records
            .filter(|record| (1..=DELAYED_RECORD_BYTES_MAX).contains(&record.len()))
            .take(DELAYED_LISTED_MAX)
            .cloned()
            .collect()
    }
}
