//! The metrics of one method, on one side of the bus.

use super::{Handles, METADATA};
use metrics::{Counter, Histogram, Key, Label, Recorder};
use std::time::Duration;
use tokio::time::Instant;

/// The outcome that nearly all calls have.
const OK: &str = "ok";

/// The number of a method's calls by their outcome, and how long they took.
#[derive(Debug)]
pub(crate) struct MethodMetrics {
    total: &'static str,
    labels: [Label; 2],
    ok: Key,
    ok_handle: Handles<Counter>,
    seconds: MethodHistogram,
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
            ok_handle: Handles::new(),
            seconds: MethodHistogram::new(seconds, service, method),
            labels,
        }
    }

    /// Counts a call that began then and ended now, under its outcome in one word.
    pub(crate) fn count(&self, outcome: &'static str, began: Instant) {
        let now = Instant::now();
        let counter =
            |key: &Key, recorder: &dyn Recorder| recorder.register_counter(key, &METADATA);
        if outcome == OK {
            let ask = |recorder: &dyn Recorder| counter(&self.ok, recorder);
            self.ok_handle
                .with(now, ask, |counter| counter.increment(1));
        } else {
            let key = with_outcome(self.total, &self.labels, outcome);
            metrics::with_recorder(|recorder| counter(&key, recorder).increment(1));
        }
        self.seconds
            .record(now.saturating_duration_since(began), now);
    }
}

/// A histogram of times of one method.
#[derive(Debug)]
pub(crate) struct MethodHistogram {
    key: Key,
    handle: Handles<Histogram>,
}

impl MethodHistogram {
    pub(crate) fn new(name: &'static str, service: &'static str, method: &'static str) -> Self {
        Self {
            key: Key::from_parts(name, labels(service, method).to_vec()),
            handle: Handles::new(),
        }
    }

    /// Records a time; it is `now`.
    pub(crate) fn record(&self, time: Duration, now: Instant) {
        let ask = |recorder: &dyn Recorder| recorder.register_histogram(&self.key, &METADATA);
        self.handle.with(now, ask, |handle| handle.record(time));
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
