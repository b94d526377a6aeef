//! The way of one delivery through the server: read, run, reply, keep, settle.

use super::{
    dead_letter::DeadLetters,
    envelope::Envelope,
    pipeline::{ServerService, answer_of},
    request::Request,
    service::{Answer, Payload},
    settlement::{Kind, Outcome, settle},
};
use crate::{
    contract::ServiceContract,
    error::{Fault, FaultCode},
    limits::{CALL_TIMEOUT_MAX, REPLY_TTL},
    message::Message,
    reply::{Claim, Reply, ReplyStore, ReplyTarget},
    server::command::Run,
    transport::{Delivery, Settled},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};
use tracing::Instrument;

/// First and longest pause before a reply is stored again.
const STORE_AGAIN_MIN: Duration = Duration::from_millis(50);
const STORE_AGAIN_MAX: Duration = Duration::from_secs(1);

/// What all deliveries of one service share.
pub(super) struct Deliverer {
    pub(super) contract: &'static ServiceContract,
    pub(super) store: Arc<dyn ReplyStore>,
    pub(super) dead_letters: DeadLetters,
    pub(super) cancel: CancellationToken,
}

impl Deliverer {
    /// Takes one delivery to its end. `pipeline` is ready.
    pub(super) async fn deliver(&self, pipeline: ServerService, delivery: Delivery) {
        let Delivery {
            message,
            redelivered,
            received,
            settler,
        } = delivery;
        let mut envelope = Envelope::read(&message, received, self.store.as_ref());
        let run = Run::default();
        let answer = match self.request(&mut envelope, &message, redelivered, &run) {
            Ok(request) => {
                let span = span(&request, &envelope);
                self.run(pipeline, request).instrument(span).await
            }
            Err(fault) => {
                drop(pipeline);
                Answer::fault(fault.code, fault.message)
            }
        };
        self.count(&message, &answer, &envelope);
        let kind = Kind {
            awaited: envelope.awaited(),
            command: message.properties.persistent,
        };
        let settlement = settle(Outcome::of(&answer), kind);
        let record = run.take_record();
        if settlement.reply || record.is_some() {
            let reply = self.reply(&envelope, &answer, record);
            if !self.store(reply, &envelope).await {
                // Dropping the settler gives the message back: another worker may reach the store.
                return;
            }
        }
        if let Some(finished) = run.abandoned().await {
            // A layer gave up on a command that has now ended; only its record is still to be made.
            let mut reply = self.reply(&envelope, &finished.answer, finished.record);
            reply.target = ReplyTarget::None;
            if reply.record.is_some() && !Box::pin(self.store(reply, &envelope)).await {
                return;
            }
        }
        if settlement.dead_letter {
            // Boxed, like what follows an abandoned run: rare, and larger than all the rest.
            Box::pin(self.dead_letters.keep(message, &answer)).await;
        }
        settler.settle(Settled::Ack);
    }

    fn request(
        &self,
        envelope: &mut Envelope,
        message: &Message,
        redelivered: bool,
        run: &Run,
    ) -> Result<Request, Fault> {
        if let Some(fault) = envelope.refusal() {
            return Err(fault);
        }
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let Some((position, method)) = self.contract.method(name) else {
            let known: Vec<&str> = self.contract.methods.iter().map(|m| m.name).collect();
            let name: String = name.chars().take(64).collect();
            let known = known.join(", ");
            return Err(Fault::new(
                FaultCode::UnknownMethod,
                format!(
                    "{} has no method {name:?}, it has: {known}",
                    self.contract.name
                ),
            ));
        };
        let context = envelope
            .context(message, redelivered)?
            .serving(self.contract.name, method.name)
            .cancelled_by(self.cancel.child_token())
            .build();
        Ok(Request {
            contract: self.contract,
            position,
            method,
            context,
            payload: Payload {
                content_type: envelope.content_type,
                body: message.body.clone(),
            },
            run: run.clone(),
        })
    }

    async fn run(&self, mut pipeline: ServerService, request: Request) -> Answer {
        let answered = async {
            // At once: it was ready when the delivery was taken, or it sheds load.
            pipeline.ready().await?.call(request).await
        };
        answered.await.unwrap_or_else(|error| answer_of(&error))
    }

    fn reply(&self, envelope: &Envelope, answer: &Answer, record: Option<Claim>) -> Reply {
        Reply {
            id: envelope.id,
            target: envelope.target.clone(),
            frame: answer.encode(envelope.content_type),
            ttl: REPLY_TTL,
            record,
        }
    }

    /// Stores a reply; `false` if the message must go back to the queue.
    async fn store(&self, reply: Reply, envelope: &Envelope) -> bool {
        let wanted_later = reply.record.is_some() || reply.target == ReplyTarget::Key;
        let until = match envelope.deadline {
            Some(deadline) if !wanted_later => deadline,
            _ => Instant::now() + CALL_TIMEOUT_MAX,
        };
        store_until(self.store.as_ref(), reply, until).await || !wanted_later
    }

    fn count(&self, message: &Message, answer: &Answer, envelope: &Envelope) {
        // Only names out of the contract become labels: a caller must not be able to make more.
        let name = message.properties.kind.as_deref().unwrap_or_default();
        let method = self
            .contract
            .method(name)
            .map_or("unknown", |(_, m)| m.name);
        let service = self.contract.name;
        let outcome = answer.label();
        metrics::counter!("replybus_served_total",
            "service" => service, "method" => method, "outcome" => outcome)
        .increment(1);
        metrics::histogram!("replybus_serve_seconds", "service" => service, "method" => method)
            .record(envelope.received.elapsed());
        match answer.as_fault() {
            Some(fault) if fault.code.may_have_executed() => {
                tracing::warn!(service, method, id = %envelope.id, %fault, "a call failed");
            }
            _ => tracing::debug!(service, method, id = %envelope.id, outcome, "served"),
        }
    }
}

/// The span a call is served in. Its trace is the caller's, by which both ends are found.
fn span(request: &Request, envelope: &Envelope) -> tracing::Span {
    let span = tracing::info_span!(
        "serve",
        service = request.contract.name,
        method = request.method.name,
        call_id = %envelope.id,
        trace_id = tracing::field::Empty,
    );
    if !span.is_disabled()
        && let Some(trace) = request.context.trace()
    {
        span.record("trace_id", format!("{:032x}", trace.trace_id()));
    }
    span
}

/// Stores a reply, however long it takes the store to come back: the handler has run, and running
/// it again is worse than being late. `false` if it did not come back in time.
pub(crate) async fn store_until(store: &dyn ReplyStore, reply: Reply, until: Instant) -> bool {
    let mut pause = STORE_AGAIN_MIN;
    loop {
        match store.store(reply.clone()).await {
            Ok(()) => return true,
            Err(error) => {
                tracing::warn!(id = %reply.id, %error, "a reply was not stored");
                metrics::counter!("replybus_store_failures_total").increment(1);
            }
        }
        if Instant::now() + pause > until {
            return false;
        }
        sleep(pause).await;
        pause = (pause * 2).min(STORE_AGAIN_MAX);
    }
}
