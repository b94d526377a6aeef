//! The metrics of one method, on one side of the bus.

use metrics::{Key, Label, Level, Metadata};
use std::time::Duration;

/// Where they come from, for recorders that ask.
static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// The outcome that nearly all calls have.
const OK: &str = "ok";

/// The number of a method's calls by their outcome, and how long they took. Names and labels are put
/// together once; the recorder is asked each time, because one may be installed at any time.
#[derive(Debug)]
pub(crate) struct MethodMetrics {
    total: &'static str,
    labels: [Label; 2],
    ok: Key,
    seconds: Key,
}

impl MethodMetrics {
    /// What a caller counts.
    pub(crate) fn of_calls(service: &'static str, method: &'static str) -> Self {
        Self::new(
            "replybus_calls_total",
            "replybus_call_seconds",
            service,
            method,
        )
    }

    /// What a service counts.
    pub(crate) fn of_served(service: &'static str, method: &'static str) -> Self {
        Self::new(
            "replybus_served_total",
            "replybus_serve_seconds",
            service,
            method,
        )
    }

    fn new(
        total: &'static str,
        seconds: &'static str,
        service: &'static str,
        method: &'static str,
    ) -> Self {
        let labels = labels(service, method);
        Self {
            total,
            ok: with_outcome(total, &labels, OK),
            seconds: Key::from_parts(seconds, labels.to_vec()),
            labels,
        }
    }

    /// Counts a call that ended, under its outcome in one word.
    pub(crate) fn count(&self, outcome: &'static str, took: Duration) {
        metrics::with_recorder(|recorder| {
            let counter = if outcome == OK {
                recorder.register_counter(&self.ok, &METADATA)
            } else {
                let key = with_outcome(self.total, &self.labels, outcome);
                recorder.register_counter(&key, &METADATA)
            };
            counter.increment(1);
            let histogram = recorder.register_histogram(&self.seconds, &METADATA);
            histogram.record(took);
        });
    }
}

/// A histogram of times of one method.
#[derive(Debug)]
pub(crate) struct MethodHistogram(Key);

impl MethodHistogram {
    pub(crate) fn new(name: &'static str, service: &'static str, method: &'static str) -> Self {
        Self(Key::from_parts(name, labels(service, method).to_vec()))
    }

    pub(crate) fn record(&self, time: Duration) {
        metrics::with_recorder(|recorder| {
            recorder.register_histogram(&self.0, &METADATA).record(time);
        });
    }
}

fn labels(service: &'static str, method: &'static str) -> [Label; 2] {
    [
        Label::from_static_parts("service", service),
        Label::from_static_parts("method", method),
    ]
}

fn with_outcome(name: &'static str, labels: &[Label; 2], outcome: &'static str) -> Key {
    let outcome = Label::from_static_parts("outcome", outcome);
    Key::from_parts(name, [labels, &[outcome][..]].concat())
}
