//! A service whose handlers are seen to begin and to end.

use super::{FlightStep, Flights};
use crate::{
    call_id::CallId,
    context::Context,
    contract::ServiceContract,
    message::Text,
    server::{Answer, AnswerFuture, Payload, Service},
};
use std::sync::Arc;

/// The service, with each call of a handler recorded.
struct Handled {
    service: Arc<dyn Service>,
    flights: Flights,
}

/// A handler that runs. Dropped before it is done, it was stopped or has panicked.
struct Running {
    flights: Flights,
    call: CallId,
    outcome: Option<&'static str>,
}

impl Flights {
    /// A service whose handlers are recorded; as it is if nothing is.
    pub(crate) fn around(&self, service: Arc<dyn Service>) -> Arc<dyn Service> {
        match self.is_on() {
            false => service,
            true => Arc::new(Handled {
                service,
                flights: self.clone(),
            }),
        }
    }
}

impl Service for Handled {
    fn contract(&self) -> &'static ServiceContract {
        self.service.contract()
    }

    fn dispatch(&self, method: usize, payload: Payload) -> AnswerFuture {
        let context = Context::current();
        let Some(call) = context.call_id() else {
            return self.service.dispatch(method, payload);
        };
        let attempt = context.attempt();
        self.flights.note(call, || FlightStep::Began { attempt });
        let mut running = Running {
            flights: self.flights.clone(),
            call,
            outcome: None,
        };
        let handler = self.service.dispatch(method, payload);
        Box::pin(async move {
            let answer = handler.await;
            running.ended(&answer);
            answer
        })
    }
}

impl Running {
    fn ended(&mut self, answer: &Answer) {
        self.outcome = Some(answer.label());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stopped = match std::thread::panicking() {
            true => "panicked",
            false => "dropped",
        };
        let outcome = Text::from_static(self.outcome.unwrap_or(stopped));
        self.flights
            .note(self.call, || FlightStep::Ended { outcome });
    }
}
