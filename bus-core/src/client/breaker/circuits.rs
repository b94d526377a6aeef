//! The circuits of all methods that are called through one layer.

use super::circuit::{Change, Circuit, CircuitState, Passage, Rules};
use crate::{limits::CIRCUITS_MAX, message::Text};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The circuits, by queue and method.
#[derive(Debug, Default)]
pub(super) struct Circuits(Mutex<HashMap<Name, Circuit>>);

/// What a circuit is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Name {
    /// Without the namespace.
    pub(super) queue: Text,
    pub(super) method: &'static str,
}

/// The circuit of one method on one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitReport {
    /// The queue, without the namespace of the bus.
    pub queue: String,
    /// The method.
    pub method: &'static str,
    /// Whether its calls pass.
    pub state: CircuitState,
    /// Failures in a row while it was closed last: those that opened it, if it is open.
    pub failures: u32,
    /// Answers in a row, since it changed last.
    pub successes: u32,
}

impl Circuits {
    /// Lets a call pass, or says after what time one may.
    pub(super) fn pass(&self, name: &Name) -> Result<Passage, Option<Duration>> {
        let now = Instant::now();
        let mut circuits = self.circuits();
        if let Some(circuit) = circuits.get_mut(name) {
            return circuit.pass(now);
        }
        if circuits.len() >= CIRCUITS_MAX {
            circuits.retain(|_, circuit| !circuit.is_idle());
        }
        let mut circuit = Circuit::default();
        let passage = circuit.pass(now);
        if circuits.len() < CIRCUITS_MAX {
            circuits.insert(name.clone(), circuit);
        }
        passage
    }

    /// Notes what a call told of the service: whether it did its work, if anything.
    pub(super) fn note(&self, name: &Name, passage: Passage, rules: &Rules, ended: Option<bool>) {
        let mut circuits = self.circuits();
        let Some(circuit) = circuits.get_mut(name) else {
            return;
        };
        let change = match ended {
            Some(true) => circuit.succeeded(passage, rules),
            Some(false) => circuit.failed(passage, rules, Instant::now()),
            None => {
                circuit.told_nothing(passage);
                None
            }
        };
        drop(circuits);
        if let Some(change) = change {
            tell(name, change);
        }
    }

    /// Closes those that `which` is true of; how many were not closed before.
    pub(super) fn reset(&self, which: impl Fn(&Name) -> bool) -> usize {
        let mut closed = Vec::new();
        for (name, circuit) in self.circuits().iter_mut() {
            if which(name) && circuit.reset() {
                closed.push(name.clone());
            }
        }
        for name in &closed {
            tell(name, Change::Closed);
        }
        closed.len()
    }

    pub(super) fn report(&self) -> Vec<CircuitReport> {
        let now = Instant::now();
        let circuits = self.circuits();
        let mut named: Vec<_> = circuits.iter().collect();
        named.sort_by_key(|(name, _)| *name);
        let reports = named.into_iter().map(|(name, circuit)| CircuitReport {
            queue: name.queue.as_str().to_owned(),
            method: name.method,
            state: circuit.state(now),
            failures: circuit.failures,
            successes: circuit.successes,
        });
        reports.collect()
    }

    fn circuits(&self) -> MutexGuard<'_, HashMap<Name, Circuit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(name: &Name, change: Change) {
    let (queue, method) = (name.queue.as_str(), name.method);
    let is_open = match change {
        Change::Opened => {
            tracing::warn!(queue, method, "a circuit is open: its calls are refused");
            let labels = [("queue", queue.to_owned()), ("method", method.to_owned())];
            metrics::counter!("replybus_circuit_opened_total", &labels).increment(1);
            1.0
        }
        Change::Closed => {
            tracing::info!(queue, method, "a circuit is closed: its calls pass again");
            0.0
        }
    };
    let labels = [("queue", queue.to_owned()), ("method", method.to_owned())];
    metrics::gauge!("replybus_circuit_open", &labels).set(is_open);
}
