//! The broker of a simulation, held to what every transport promises. Not so the store: cases of it
//! look at the clock of the machine, and a simulation has its own.

use replybus::transport::TransportBackend;
use replybus_conformance::{TransportCase, TransportFixture, transport_suite};
use replybus_sim::{Node, Simulation};

// Looking through a queue is refused: see the crate.
transport_suite!(broker, claims: [
    limits, turns, events, removal, delays, delayed_events, single_active, direct,
]);

/// Runs a case as the only process, with a broker that never fails.
fn broker(case: TransportCase) {
    let mut simulation = Simulation::new(1);
    simulation.caller("case", move |node| async move {
        case.check(Broker(node)).await;
        Ok(())
    });
    simulation.run().unwrap();
}

/// Each bus has a connection of its own.
struct Broker(Node);

impl TransportFixture for Broker {
    fn backend(&self) -> Box<dyn TransportBackend> {
        Box::new(self.0.broker())
    }
}
