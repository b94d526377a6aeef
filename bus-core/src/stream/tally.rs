//! What is counted of one stream, at one of its ends.

use crate::metric::{Handles, METADATA};
use metrics::{Counter, Key, Label, Recorder, SharedString};
use tokio::time::Instant;

/// An end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Reader,
    Producer,
}

/// Counts one stream at one end: that it is open, what it carries, and how it ended.
#[derive(Debug)]
pub(super) struct StreamTally {
    labels: Vec<Label>,
    open: Key,
    items: Key,
    bytes: Key,
    /// Of items and bytes.
    carried: Handles<[Counter; 2]>,
    outcome: &'static str,
}

impl StreamTally {
    /// Counts a stream of a method as open.
    pub(super) fn begin(
        service: impl Into<SharedString>,
        method: impl Into<SharedString>,
        end: End,
    ) -> Self {
        let end = match end {
            End::Reader => "reader",
            End::Producer => "producer",
        };
        let labels = vec![
            Label::new("service", service),
            Label::new("method", method),
            Label::from_static_parts("end", end),
        ];
        let tally = Self {
            open: Key::from_parts("replybus_streams_open", labels.clone()),
            items: Key::from_parts("replybus_stream_items_total", labels.clone()),
            bytes: Key::from_parts("replybus_stream_bytes_total", labels.clone()),
            carried: Handles::new(),
            outcome: "dropped",
            labels,
        };
        metrics::with_recorder(|recorder| {
            recorder.register_gauge(&tally.open, &METADATA).increment(1);
        });
        tally
    }

    /// Counts items that were taken, or produced, and their encoded bytes.
    pub(super) fn carried(&self, items: u64, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let ask = |recorder: &dyn Recorder| {
            [&self.items, &self.bytes].map(|key| recorder.register_counter(key, &METADATA))
        };
        self.carried.with(Instant::now(), ask, |[counted, sized]| {
            counted.increment(items);
            sized.increment(bytes);
        });
    }

    /// Counts that a producer waits for its reader.
    pub(super) fn waits(&self) {
        self.count("replybus_stream_waits_total", self.labels.clone());
    }

    /// Says how it ended, in one word, if that is not by being dropped.
    pub(super) fn ended(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }

    fn count(&self, name: &'static str, labels: Vec<Label>) {
        let key = Key::from_parts(name, labels);
        metrics::with_recorder(|recorder| {
            recorder.register_counter(&key, &METADATA).increment(1);
        });
    }
}

impl Drop for StreamTally {
    fn drop(&mut self) {
        metrics::with_recorder(|recorder| {
            recorder.register_gauge(&self.open, &METADATA).decrement(1);
        });
        let outcome = Label::from_static_parts("outcome", self.outcome);
        let labels = [&self.labels[..], &[outcome]].concat();
        self.count("replybus_streams_total", labels);
    }
}
