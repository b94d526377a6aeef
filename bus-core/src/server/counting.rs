//! What is counted, noted and told to watches of the deliveries of a service.

use super::delivery::RequestProcessor;
use crate::{
    contract::{ServiceContract, wall_clock},
    control::CallReport,
    flight::FlightStep,
    message::{Message, Text},
    metric::MethodMetrics,
    work::{Answer, Envelope},
};
use metrics::Counter;

/// The label of all methods that the contract does not have.
const UNKNOWN: &str = "unknown";

/// The metrics of each method of a contract, and behind them of all others.
pub(super) fn metrics_of(contract: &ServiceContract) -> Box<[MethodMetrics]> {
    let names = contract.methods.iter().map(|method| method.name);
    let names = names.chain([UNKNOWN]);
    names
        .map(|method| MethodMetrics::of_served(contract.name, method))
        .collect()
}

impl RequestProcessor {
    pub(super) fn redelivered(&self) -> Counter {
        metrics::counter!("replybus_redeliveries_total", "service" => self.contract.name)
    }

    /// Counts and records that a message was taken.
    pub(super) fn note_taken(
        &self,
        message: &Message,
        envelope: &Envelope,
        redelivered: bool,
        seen_before: bool,
    ) {
        if redelivered {
            self.redelivered().increment(1);
        }
        if let Some(named) = &envelope.foreign_inbox {
            self.missed_inboxes.is_foreign(envelope.id, named);
        }
        self.flights.note(envelope.id, || {
            let (_, method) = self.position_of(message);
            FlightStep::Taken {
                service: Text::from_static(self.contract.name),
                method: Text::from_static(method),
                queue: self.queue.as_str().into(),
                redelivered: seen_before,
            }
        });
    }

    /// Counts a delivery by its answer, and logs it.
    pub(super) fn count(
        &self,
        message: &Message,
        answer: &Answer,
        envelope: &Envelope,
        attempt: u32,
    ) {
        let outcome = answer.label();
        let (position, method) = self.count_as(message, outcome, envelope, attempt);
        let service = self.contract.name;
        let (took, waited) = (envelope.received.elapsed(), envelope.waited(message));
        let served = self.control.served();
        served.count(position, answer, took, waited);
        match answer.as_fault() {
            Some(fault) if fault.may_have_executed => {
                tracing::warn!(service, method, id = %envelope.id, %fault, "a call failed");
            }
            _ => tracing::debug!(service, method, id = %envelope.id, outcome, "served"),
        }
    }

    /// Counts a delivery under its outcome in one word, and has those know of it who watch. Returns
    /// the position and the name of its method.
    pub(super) fn count_as(
        &self,
        message: &Message,
        outcome: &'static str,
        envelope: &Envelope,
        attempt: u32,
    ) -> (usize, &'static str) {
        let (position, method) = self.position_of(message);
        if let Some(metrics) = self.metrics.get(position) {
            metrics.count(outcome, envelope.received);
        }
        let watches = self.control.watches();
        if watches.is_any() {
            watches.note(&CallReport {
                ended_at: wall_clock(),
                id: envelope.id,
                method,
                caller: message.properties.app_id.clone(),
                waited: envelope.waited(message),
                took: envelope.received.elapsed(),
                outcome,
                attempt,
            });
        }
        (position, method)
    }

    /// The position of a message's method among the metrics, and its name there: only names out of
    /// the contract become labels, since a caller must not be able to make more.
    fn position_of(&self, message: &Message) -> (usize, &'static str) {
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let found = self.contract.method(name);
        found.map_or((self.contract.methods.len(), UNKNOWN), |(at, method)| {
            (at, method.name)
        })
    }
}
