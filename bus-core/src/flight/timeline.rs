//! The events of calls put in order: one call with those within it, and the slowest of many.

use super::{FlightEvent, FlightStep};
use crate::{call_id::CallId, contract::wall_clock, limits::FLIGHT_DEPTH_MAX, message::Text};
use serde::Serialize;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What is recorded of one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Flight {
    /// The call.
    pub call: CallId,
    /// The call whose handler made it, if one did and its caller records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<CallId>,
    /// The trace that it belongs to, if it did not begin one: 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Text>,
    /// The trait that is called; empty if that was not recorded.
    pub service: Text,
    /// The method, likewise.
    pub method: Text,
    /// The queue without the namespace, likewise.
    pub queue: Text,
    /// What happened to it, in the order of the clocks of where it did.
    pub events: Vec<FlightEvent>,
    /// The calls that its handler made, in the order in which they were made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nested: Vec<Self>,
}

/// Where the time of a call went, as far as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FlightTimes {
    /// From when it was published until it was first taken from its queue: on its way, and waiting.
    pub queued: Option<Duration>,
    /// That its handler ran, all runs together.
    pub ran: Option<Duration>,
    /// From when its last run ended until its caller had the reply.
    pub answering: Option<Duration>,
}

impl Flight {
    fn of(call: CallId, mut events: Vec<FlightEvent>) -> Self {
        // Those of one moment stay in the order in which they came into the record.
        events.sort_by_key(|event| event.at);
        // A write that was not answered was made again.
        events.dedup();
        let mut flight = Self {
            call,
            parent: None,
            trace: None,
            service: Text::default(),
            method: Text::default(),
            queue: Text::default(),
            events: Vec::new(),
            nested: Vec::new(),
        };
        for event in &events {
            match &event.step {
                FlightStep::Published { parent, trace, .. } => {
                    (flight.parent, flight.trace) = (*parent, trace.clone());
                }
                FlightStep::Taken { .. } if flight.service.is_empty() => {}
                _ => continue,
            }
            if let FlightStep::Published {
                service,
                method,
                queue,
                ..
            }
            | FlightStep::Taken {
                service,
                method,
                queue,
                ..
            } = &event.step
            {
                flight.service = service.clone();
                flight.method = method.clone();
                flight.queue = queue.clone();
            }
        }
        Self { events, ..flight }
    }

    /// The moment of its first event.
    #[must_use]
    pub fn began_at(&self) -> SystemTime {
        self.events.first().map_or(UNIX_EPOCH, |event| event.at)
    }

    /// From its first event until its caller had its end, or, of one that nobody waits for, until its
    /// last event; `None` of one whose end is not recorded.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        let end = match self.is_awaited() {
            true => self.events.iter().rfind(|e| e.step.ends_the_call()),
            false => self.events.last(),
        };
        end.map(|end| between(self.began_at(), end.at))
    }

    /// What it came to for its caller, or else for its handler, in one word; `None` if that is not
    /// recorded.
    #[must_use]
    pub fn outcome(&self) -> Option<&str> {
        let steps = || self.events.iter().rev().map(|event| &event.step);
        let of_caller = steps().find_map(|step| match step {
            FlightStep::Answered { outcome } => Some(outcome.as_str()),
            FlightStep::Failed { reason } => Some(reason.as_str()),
            FlightStep::Abandoned => Some("abandoned"),
            _ => None,
        });
        of_caller.or_else(|| {
            steps().find_map(|step| match step {
                FlightStep::ReplyStored { outcome, .. }
                | FlightStep::NotClaimed { outcome }
                | FlightStep::Ended { outcome } => Some(outcome.as_str()),
                _ => None,
            })
        })
    }

    /// Where its time went.
    #[must_use]
    pub fn times(&self) -> FlightTimes {
        let mut times = FlightTimes::default();
        let (mut published, mut running, mut ended) = (None, BTreeMap::new(), None);
        for FlightEvent {
            at, step, instance, ..
        } in &self.events
        {
            match step {
                FlightStep::Published { .. } => published = published.or(Some(*at)),
                FlightStep::Taken { .. } if times.queued.is_none() => {
                    times.queued = published.map(|published| between(published, *at));
                }
                FlightStep::Began { .. } => {
                    running.insert(*instance, *at);
                }
                FlightStep::Ended { .. } => {
                    ended = Some(*at);
                    if let Some(began) = running.remove(instance) {
                        let ran = times.ran.unwrap_or_default() + between(began, *at);
                        times.ran = Some(ran);
                    }
                }
                FlightStep::Answered { .. } => {
                    times.answering = ended.map(|ended| between(ended, *at));
                }
                _ => {}
            }
        }
        times
    }

    fn is_awaited(&self) -> bool {
        let steps = self.events.iter().map(|event| &event.step);
        steps
            .filter_map(|step| match step {
                FlightStep::Published { awaited, .. } => Some(*awaited),
                _ => None,
            })
            .any(|awaited| awaited)
    }
}

/// Clocks differ: what seems to come before its cause came at once.
fn between(from: SystemTime, until: SystemTime) -> Duration {
    until.duration_since(from).unwrap_or_default()
}

/// The events that were read, by their calls.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    calls: BTreeMap<CallId, Vec<FlightEvent>>,
    /// The calls that handlers made, by theirs.
    nested: BTreeMap<CallId, BTreeSet<CallId>>,
}

impl Recorded {
    pub(super) fn add(&mut self, events: impl Iterator<Item = FlightEvent>) {
        for event in events {
            if let FlightStep::Published {
                parent: Some(parent),
                ..
            } = &event.step
            {
                self.nested.entry(*parent).or_default().insert(event.call);
            }
            self.calls.entry(event.call).or_default().push(event);
        }
    }

    /// What is recorded of a call. Each call within it is shown once: that two are within each other
    /// is forged.
    pub(super) fn flight(mut self, call: CallId) -> Option<Flight> {
        let flight = self.take(call, FLIGHT_DEPTH_MAX);
        let is_recorded = !flight.events.is_empty() || !flight.nested.is_empty();
        is_recorded.then_some(flight)
    }

    /// What is recorded of the calls of a trace, but for those within one of them.
    pub(super) fn flights_of_trace(mut self, trace_id: u128) -> Vec<Flight> {
        let name = format!("{trace_id:032x}");
        // It may be named after a call.
        let first = CallId::from_bytes(trace_id.to_be_bytes());
        let is_of_it = |event: &FlightEvent| matches!(&event.step, FlightStep::Published { trace: Some(trace), .. } if *trace == *name);
        let calls = self.calls.iter();
        let mut of_it: BTreeSet<CallId> = calls
            .filter(|(call, events)| **call == first || events.iter().any(is_of_it))
            .map(|(call, _)| *call)
            .collect();
        let mut within: BTreeSet<CallId> = BTreeSet::new();
        for nested in of_it.iter().filter_map(|call| self.nested.get(call)) {
            within.extend(nested);
        }
        of_it.retain(|call| !within.contains(call));
        let flights = of_it.into_iter();
        let mut flights: Vec<_> = flights
            .map(|call| self.take(call, FLIGHT_DEPTH_MAX))
            .collect();
        flights.sort_by_key(Flight::began_at);
        flights
    }

    fn take(&mut self, call: CallId, depth: usize) -> Flight {
        let events = self.calls.remove(&call).unwrap_or_default();
        let mut flight = Flight::of(call, events);
        if depth > 0 {
            let nested = self.nested.remove(&call).unwrap_or_default();
            let nested = nested.into_iter().filter(|within| *within != call);
            let shown = nested.map(|within| self.take(within, depth - 1));
            flight.nested = shown.filter(|within| !within.events.is_empty()).collect();
            flight.nested.sort_by_key(Flight::began_at);
        }
        flight
    }

    /// Those of a queue, or of all, that were made since then and took longest.
    pub(super) fn slowest(self, queue: Option<&str>, since: Duration, count: usize) -> Vec<Flight> {
        let now = wall_clock();
        let flights = self.calls.into_iter();
        let flights = flights.map(|(call, events)| Flight::of(call, events));
        let mut flights: Vec<_> = flights
            .filter(|flight| flight.is_published_since(since))
            .filter(|flight| queue.is_none_or(|queue| flight.queue == *queue))
            .map(|flight| {
                let took = flight.took();
                let took = took.unwrap_or_else(|| between(flight.began_at(), now));
                (Reverse(took), flight)
            })
            .collect();
        flights.sort_by_key(|(took, _)| *took);
        flights.truncate(count);
        flights.into_iter().map(|(_, flight)| flight).collect()
    }
}

impl Flight {
    /// `true` if its record has a beginning, at or after this moment.
    fn is_published_since(&self, since: Duration) -> bool {
        let first = self.events.first();
        first.is_some_and(|event| {
            matches!(event.step, FlightStep::Published { .. })
                && between(UNIX_EPOCH, event.at) >= since
        })
    }
}

#[cfg(test)]
mod tests;
