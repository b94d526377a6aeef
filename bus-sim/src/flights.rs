//! What is under way between processes and servers, and when it arrives.

use crate::{
    session::{Arrival, Session},
    wire::{Back, Lane, Sent},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// A request on its way.
pub(crate) struct Up {
    pub(crate) process: usize,
    pub(crate) life: u32,
    pub(crate) step: u32,
    pub(crate) sent: Sent,
    /// It takes that much longer than others.
    pub(crate) late: Duration,
    /// A publish is carried out so often.
    pub(crate) times: u32,
    /// Its answer never comes, which is noticed after this time.
    pub(crate) answer_lost: Option<Duration>,
}

impl Up {
    pub(crate) fn new(process: usize, life: u32, step: u32, sent: Sent) -> Self {
        Self {
            process,
            life,
            step,
            sent,
            late: Duration::ZERO,
            times: 1,
            answer_lost: None,
        }
    }
}

/// An answer, a delivery or a reply on its way.
pub(crate) struct Flight {
    pub(crate) process: usize,
    pub(crate) life: u32,
    pub(crate) lane: Lane,
    pub(crate) link: u64,
    /// A reply in an inbox: the store has it until it is read.
    pub(crate) is_reply: bool,
    pub(crate) back: Back,
}

impl Flight {
    pub(crate) fn of(arrival: Arrival) -> Self {
        let Arrival {
            process,
            life,
            lane,
            link,
            back,
            ..
        } = arrival;
        Self {
            process,
            life,
            lane,
            link,
            is_reply: lane == Lane::Store,
            back,
        }
    }
}

/// All of it, in the order in which it arrives.
#[derive(Default)]
pub(crate) struct Flights {
    last: u64,
    ups: BTreeMap<(Duration, u64), Up>,
    downs: BTreeMap<(Duration, u64), Flight>,
    /// When the last of a connection arrives, in either direction.
    lanes: BTreeMap<(usize, Lane, bool), Duration>,
    sessions: BTreeMap<(usize, u32), Arc<Session>>,
}

impl Flights {
    pub(crate) fn know(&mut self, session: Arc<Session>) {
        self.sessions
            .insert((session.process, session.life), session);
    }

    pub(crate) fn session(&self, process: usize, life: u32) -> Option<Arc<Session>> {
        self.sessions.get(&(process, life)).cloned()
    }

    pub(crate) fn forget(&mut self, process: usize, life: u32) {
        self.sessions.remove(&(process, life));
    }

    pub(crate) fn send_up(&mut self, due: Duration, up: Up) {
        let due = self.in_order(up.process, up.sent.lane, true, due + up.late);
        self.last += 1;
        self.ups.insert((due, self.last), up);
    }

    /// Sends what is to be lost after a time: it holds up nothing.
    pub(crate) fn lose_down(&mut self, due: Duration, down: Flight) {
        self.last += 1;
        self.downs.insert((due, self.last), down);
    }

    pub(crate) fn send_down(&mut self, due: Duration, down: Flight) {
        let due = match down.is_reply {
            // Entries of an inbox are in one stream.
            true => self.in_order(down.process, Lane::Own, false, due),
            false => self.in_order(down.process, down.lane, false, due),
        };
        self.last += 1;
        self.downs.insert((due, self.last), down);
    }

    /// When something arrives on its connection: behind what was sent before, but for the store,
    /// to which there are several.
    fn in_order(&mut self, process: usize, lane: Lane, is_up: bool, due: Duration) -> Duration {
        let last = self.lanes.entry((process, lane, is_up)).or_default();
        let is_apart = lane == Lane::Store;
        let due = if is_apart { due } else { due.max(*last) };
        *last = due.max(*last);
        due
    }

    /// When the last request of a process arrives.
    pub(crate) fn last_due(&self, process: usize) -> Duration {
        let of_it = self.ups.iter().filter(|(_, up)| up.process == process);
        of_it.map(|((due, _), _)| *due).max().unwrap_or_default()
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        let first = self
            .ups
            .keys()
            .next()
            .into_iter()
            .chain(self.downs.keys().next());
        first.map(|(due, _)| *due).min()
    }

    pub(crate) fn next_up(&mut self, until: Duration) -> Option<(u64, Up)> {
        let first = self
            .ups
            .first_entry()
            .filter(|first| first.key().0 <= until)?;
        let number = first.key().1;
        Some((number, first.remove()))
    }

    pub(crate) fn next_down(&mut self, until: Duration) -> Option<Flight> {
        let first = self
            .downs
            .first_entry()
            .filter(|first| first.key().0 <= until)?;
        Some(first.remove())
    }

    /// Takes out what the broker had sent to a process.
    pub(crate) fn take_broker_downs(&mut self, process: usize) -> Vec<Flight> {
        let is_of_it = |flight: &Flight| flight.process == process && flight.lane.is_broker();
        self.lanes.remove(&(process, Lane::Broker, false));
        extract(&mut self.downs, is_of_it)
    }

    /// Takes out what a process had sent to the broker.
    pub(crate) fn take_broker_ups(&mut self, process: usize) -> Vec<Up> {
        let is_of_it = |up: &Up| up.process == process && up.sent.lane.is_broker();
        self.lanes.remove(&(process, Lane::Broker, true));
        self.lanes.remove(&(process, Lane::Direct, true));
        extract(&mut self.ups, is_of_it)
    }

    /// Has nothing of what a process had sent to the broker answered.
    pub(crate) fn lose_broker_answers(&mut self, process: usize) {
        let ups = self.ups.values_mut();
        for up in ups.filter(|up| up.process == process && up.sent.lane.is_broker()) {
            up.answer_lost = Some(Duration::ZERO);
        }
    }

    /// The store is down: its answers are lost. What is in inboxes is read when it is up again, or
    /// lost as well.
    pub(crate) fn lose_store(&mut self, up_at: Option<Duration>) {
        let lost = extract(&mut self.downs, |flight| flight.lane == Lane::Store);
        for flight in lost.into_iter().filter(|flight| flight.is_reply) {
            if let Some(up_at) = up_at {
                self.send_down(up_at, flight);
            }
        }
    }
}

fn extract<T>(flights: &mut BTreeMap<(Duration, u64), T>, is_taken: impl Fn(&T) -> bool) -> Vec<T> {
    let keys: Vec<_> = flights
        .iter()
        .filter(|(_, one)| is_taken(one))
        .map(|(key, _)| *key)
        .collect();
    keys.iter().filter_map(|key| flights.remove(key)).collect()
}
