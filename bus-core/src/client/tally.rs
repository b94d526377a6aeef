//! Counts what comes of the calls of this process.

use super::ServiceClient;
use crate::error::{CallError, CallFailure};
use std::fmt;
use tokio::time::Instant;

/// Counts one call: what comes of it, or that its caller did not wait for the end.
pub(crate) struct Tally {
    client: ServiceClient,
    /// Of the method, in the contract.
    position: usize,
    started: Instant,
    is_counted: bool,
}

impl Tally {
    pub(super) fn of(client: ServiceClient, position: usize) -> Self {
        Self {
            client,
            position,
            started: Instant::now(),
            is_counted: false,
        }
    }

    /// Counts a call that ended, under its outcome in one word.
    pub(super) fn count(&mut self, outcome: &'static str) {
        self.is_counted = true;
        if let Some(metrics) = self.client.metrics(self.position) {
            metrics.count(outcome, self.started);
        }
    }

    /// Counts one that was answered, or was not.
    pub(crate) fn count_answered<T, E>(&mut self, answered: &Result<T, CallError<E>>) {
        self.count(match answered {
            Ok(_) => "ok",
            Err(CallError::Handler(_)) => "handler",
            Err(CallError::Bus(failure)) => failure.kind().as_str(),
        });
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

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally")
            .field("client", &self.client)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}
