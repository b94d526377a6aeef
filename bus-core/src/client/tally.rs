//! Counts what comes of the calls of this process.

use crate::{
    contract::{MethodContract, ServiceContract},
    error::CallFailure,
};
use tokio::time::Instant;

/// One call, to be counted once.
#[derive(Debug)]
pub(super) struct Tally {
    service: &'static str,
    method: &'static str,
    started: Instant,
    is_counted: bool,
}

impl Tally {
    pub(super) fn of(contract: &'static ServiceContract, method: &'static MethodContract) -> Self {
        Self {
            service: contract.name,
            method: method.name,
            started: Instant::now(),
            is_counted: false,
        }
    }

    /// Counts a call that ended, under its outcome in one word.
    pub(super) fn count(&mut self, outcome: &'static str) {
        let Self {
            service, method, ..
        } = *self;
        self.is_counted = true;
        metrics::counter!("replybus_calls_total",
            "service" => service, "method" => method, "outcome" => outcome)
        .increment(1);
        metrics::histogram!("replybus_call_seconds", "service" => service, "method" => method)
            .record(self.started.elapsed());
    }

    /// Counts one that was handed over, or was not.
    pub(super) fn count_handed_over<T>(mut self, result: &Result<T, CallFailure>) {
        self.count(match result {
            Ok(_) => "accepted",
            Err(failure) => failure.kind().as_str(),
        });
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // Its caller did not wait for the end.
        if !self.is_counted {
            self.count("dropped");
        }
    }
}
