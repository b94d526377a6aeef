//! A transport in this process whose messages are out when the test says so.

use crate::between::{Between, Hook};
use replybus::{
    message::Message,
    transport::{
        Departure, DirectPublish, Outgoing, Slip, Transport as _, Verdict,
        memory::{MemoryBroker, MemoryTransport},
    },
};
use std::sync::{Arc, Mutex};

/// Carries what is published at once, and tells of its departure later.
#[derive(Debug)]
pub(crate) struct Paced {
    written_on: MemoryTransport,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Writes nothing, as without a connection.
    is_shut: bool,
    /// What was written directly, in order, and who asks about it.
    written: Vec<Message>,
    slips: Vec<Slip>,
    departing: Vec<Departure>,
}

impl Paced {
    pub(crate) fn on(broker: &MemoryBroker) -> Arc<Between<Self>> {
        let paced = Self {
            written_on: broker.connect(),
            state: Mutex::default(),
        };
        Between::on(broker, paced)
    }

    /// Lets what was written be out.
    pub(crate) fn depart(&self) {
        let departing = std::mem::take(&mut self.state.lock().unwrap().departing);
        drop(departing);
    }

    /// Takes what was written directly.
    pub(crate) fn take_written(&self) -> Vec<Message> {
        std::mem::take(&mut self.state.lock().unwrap().written)
    }

    /// Gives a verdict about all that was written directly and is asked about.
    pub(crate) fn say(&self, verdict: &Verdict) {
        let slips = std::mem::take(&mut self.state.lock().unwrap().slips);
        for slip in slips.into_iter().filter(|slip| !slip.abandoned()) {
            slip.fill(verdict.clone());
        }
    }

    /// Writes nothing more directly.
    pub(crate) fn shut(&self) {
        self.state.lock().unwrap().is_shut = true;
    }
}

impl DirectPublish for Paced {
    fn is_open(&self) -> bool {
        !self.state.lock().unwrap().is_shut
    }

    fn write(
        &self,
        outgoing: Outgoing,
        slip: Slip,
        departure: Departure,
    ) -> Option<(Outgoing, Slip)> {
        let mut state = self.state.lock().unwrap();
        if state.is_shut {
            return Some((outgoing, slip));
        }
        assert!(slip.begin_write(), "what was withdrawn is not handed over");
        state.written.push(outgoing.message.clone());
        state.slips.push(slip);
        state.departing.push(departure);
        drop(self.written_on.publish(outgoing));
        None
    }
}

impl Hook for Paced {
    fn direct(&self) -> Option<&dyn DirectPublish> {
        Some(self)
    }
}
