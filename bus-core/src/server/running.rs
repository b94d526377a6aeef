//! A request in its slot: counted if it was delivered before, run, and cancelled if nobody waits for
//! it any more.

use super::{
    admission::{Admitted, Slot},
    delivery::RequestProcessor,
    layer::answer_of,
    request::Request,
};
use crate::{
    call_id::CallId,
    contract::MethodKind,
    control::Entered,
    error::{Fault, FaultCode},
    limits::CALL_TIMEOUT_MAX,
    message::Message,
    work::{Answer, Begun, Envelope, FinishedRun, Permit},
};
use std::pin::pin;
use tokio::time::Instant;
use tracing::Instrument;

impl RequestProcessor {
    /// Runs a request whose message was delivered before, unless that was too often.
    pub(super) async fn run_again(
        &self,
        slot: Slot,
        mut request: Request,
        envelope: &Envelope,
        message: &Message,
    ) -> (Answer, Option<Permit>, Begun) {
        if let Err(FinishedRun { answer, end }) = self.begin(&mut request, envelope, message).await
        {
            request.run.end(end);
            return (answer, None, Begun::default());
        }
        let begun = request.begun.clone();
        let span = span(&request);
        let running = self.run_in(slot, request, envelope).instrument(span);
        let (answer, permit) = begun.during(running).await;
        (answer, permit, begun)
    }

    /// Counts a delivery that is not the first, before anything of it is run.
    async fn begin(
        &self,
        request: &mut Request,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<(), FinishedRun> {
        let name = envelope.is_named.then_some(envelope.id);
        let until = envelope
            .deadline
            .unwrap_or_else(|| Instant::now() + CALL_TIMEOUT_MAX);
        let cancel = request.context.token();
        let begun = self.redeliveries.begin(message, name, until, &cancel);
        let (begun, attempt) = begun.await?;
        request.begun = begun;
        request.run.begun(attempt);
        let is_named = name.is_some() || request.context.idempotency_key().is_some();
        let is_claimed = request.method.is_claimed() && is_named;
        if request.method.kind == MethodKind::Command && !is_claimed {
            // Nothing else knows of the runs before.
            let attempt = attempt.max(request.context.attempt());
            request.context = request.context.clone().with_attempt(attempt);
        }
        Ok(())
    }

    /// Enters a command among the calls that are held. A query enters itself when it waits.
    pub(super) fn enter(&self, id: CallId, request: &Request) -> Option<Entered<'_>> {
        let is_command = request.method.kind == MethodKind::Command;
        is_command.then(|| {
            let (token, run) = (request.context.token(), request.run.clone());
            self.control.calls().enter(id, token, run)
        })
    }

    /// Runs a request in its slot. There is a permit if it was admitted.
    pub(super) async fn run_in(
        &self,
        slot: Slot,
        request: Request,
        envelope: &Envelope,
    ) -> (Answer, Option<Permit>) {
        let is_query = request.method.kind == MethodKind::Query;
        let running = pin!(self.run_timed(slot, request, envelope.awaited()));
        if !is_query {
            return running.await;
        }
        let answered = self
            .control
            .calls()
            .unless_cancelled(envelope.id, running)
            .await;
        answered.unwrap_or_else(|| {
            let text = "it was cancelled while it ran";
            let fault = Fault::new(FaultCode::Cancelled, text);
            (fault.may_have_been_executed().into(), None)
        })
    }

    /// The same, of a request that is not cancelled. How long it takes is noted.
    async fn run_timed(
        &self,
        slot: Slot,
        request: Request,
        awaited: bool,
    ) -> (Answer, Option<Permit>) {
        match slot.admit(awaited).await {
            Ok(Admitted {
                mut pipeline,
                permit,
            }) => {
                let (position, began) = (request.position, Instant::now());
                let answered = pipeline.run(request).await;
                self.queue_age.took(position, began.elapsed());
                let answer = answered.unwrap_or_else(|error| answer_of(&error));
                (answer, Some(permit))
            }
            Err(error) => (answer_of(&error), None),
        }
    }
}

/// The span of the log that a call is served in. Its trace is the caller's, by which both ends are
/// found.
pub(super) fn span(request: &Request) -> tracing::Span {
    let span = tracing::info_span!(
        "serve",
        service = request.contract.name,
        method = request.method.name,
        call_id = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    request.context.name_in(&span);
    span
}
