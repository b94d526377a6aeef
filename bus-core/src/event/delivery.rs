//! The way of one event through its subscription: claim, handle, record, keep, settle.

use super::{
    Event,
    handler::{SubscribeHandler, handle},
};
use crate::{
    call_id::CallId,
    codec::ContentType,
    context::Context,
    contract::RetryPolicy,
    error::FaultCode,
    flight::Flights,
    limits::CALL_TIMEOUT_MAX,
    message::Message,
    reply::{Reply, ReplyStore, ReplyTarget},
    retry::{Aside, Next, Put, Retries, is_of_retries},
    trace::{self, Span},
    transport::{Delivery, Settled},
    work::{
        Answer, AnswerClass, AnswerFuture, Begun, Cause, Command, DeadLetters, DeliveryKind,
        Envelope, FinishedRun, HeldClaim, LeaseWatch, Redeliveries, Run, RunEnd, RunState,
        event_claim, is_redriven, is_repeated, known_until, settle, store_until, unreadable,
    },
};
use std::{marker::PhantomData, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// `true` of a call that was made to the group's queue: somebody waits for an answer. An event comes by
/// the queue's name too once it was put aside, or put back, and some publishers name each a correlation
/// id.
fn is_request(message: &Message) -> bool {
    let is_event = || is_redriven(message) || is_of_retries(message);
    message.exchange.is_empty() && message.properties.correlation_id.is_some() && !is_event()
}

/// The name an event gives itself, if it can be claimed by that.
fn name_of(message: &Message) -> Option<&str> {
    let id = message.properties.message_id.as_deref();
    id.filter(|id| id.len() <= 64)
}

/// Counts an event that came to an end, in this delivery.
fn count<E: Event>(outcome: &'static str) {
    metrics::counter!("replybus_events_total", "event" => E::ROUTING_KEY, "outcome" => outcome)
        .increment(1);
}

/// The span of the log that an event is handled in, with what finds both ends of its way.
fn log_span<E: Event>(group: &str, context: &Context) -> tracing::Span {
    let span = tracing::info_span!(
        "handle",
        event = E::ROUTING_KEY,
        group,
        call_id = tracing::field::Empty,
        trace_id = tracing::field::Empty,
    );
    context.name_in(&span);
    span
}

/// Takes the deliveries of one group to their end.
pub(super) struct EventProcessor<E, H> {
    pub(super) group: String,
    pub(super) handler: Arc<H>,
    pub(super) store: Arc<dyn ReplyStore>,
    pub(super) leases: Arc<LeaseWatch>,
    pub(super) dead_letters: DeadLetters,
    pub(super) redeliveries: Redeliveries,
    pub(super) cancel: CancellationToken,
    pub(super) retry_within: Duration,
    /// What comes after that, and where events wait for it.
    pub(super) retry: Option<(RetryPolicy, Aside)>,
    pub(super) event: PhantomData<fn() -> E>,
}

impl<E: Event, H: SubscribeHandler<E>> EventProcessor<E, H> {
    /// Takes one delivery to its end.
    pub(super) async fn process(&self, delivery: Delivery) {
        let Delivery {
            message,
            redelivered,
            received,
            malformed,
            settler,
            ..
        } = delivery;
        if let Some(reason) = malformed {
            self.keep_malformed(message, &reason).await;
            settler.settle(Settled::Ack);
            return;
        }
        if is_request(&message) {
            let envelope = Envelope::read(&message, received, self.store.as_ref());
            if Box::pin(self.refuse(&envelope, message, redelivered)).await {
                settler.settle(Settled::Ack);
            }
            return;
        }
        let run = Run::noted();
        let mut command = self.command(&message, redelivered || is_repeated(&message));
        let id = command.id;
        let token = command.context.token();
        let log = log_span::<E>(&self.group, &command.context);
        let mut span = trace::handling(&message, &self.group, E::ROUTING_KEY, &mut command.context);
        let counted = if redelivered && name_of(&message).is_none() {
            self.begin(&mut command, &message).await
        } else {
            Ok(Begun::default())
        };
        let (answer, begun) = match counted {
            Ok(begun) => {
                // Its task is part of the span that is current when it begins.
                let handled = log.in_scope(|| command.start(run.clone(), self.run(&message)));
                (begun.during(handled).await, begun)
            }
            Err(FinishedRun { answer, end }) => {
                run.end(end);
                (answer, Begun::default())
            }
        };
        let settlement = settle(
            AnswerClass::of(&answer),
            DeliveryKind {
                awaited: false,
                command: true,
                repetition: false,
                redriven: false,
                malformed: false,
                exhausted: false,
            },
        );
        if settlement.dead_letter && token.is_cancelled() {
            // Another run has the claim by now, and decides. Dropped, the settler gives the event
            // back: it waits for that run's outcome.
            return;
        }
        trace::concluded(&mut span, &answer);
        let mut message = message;
        if settlement.dead_letter {
            match Box::pin(self.put_aside(&mut message, id, &answer)).await {
                Put::Done => {
                    span.set("replybus.outcome", "put_off");
                    count::<E>("put_off");
                    begun.end().await;
                    settler.settle(Settled::Ack);
                    return;
                }
                // Given back: a letter would be of what may yet be handled.
                Put::Unsure => return,
                Put::Refused => {}
            }
        }
        let outcome = answer.label();
        count::<E>(outcome);
        if let RunState::Ended(RunEnd::Ran(held)) = run.take()
            && !self.record(id, &answer, held, &span).await
        {
            return;
        }
        if settlement.dead_letter {
            let fault = answer.as_fault().map(tracing::field::display);
            tracing::warn!(event = E::ROUTING_KEY, group = self.group, %id, outcome, fault, "an event was not handled");
            let known = name_of(&message).map(|id| known_until(&event_claim(&self.group, id)));
            let cause = Cause {
                answer: &answer,
                known_until: known,
                attempts: run.attempts(),
                malformed: false,
                partition: None,
            };
            span.within(self.dead_letters.keep(message, &cause)).await;
        }
        begun.end().await;
        settler.settle(Settled::Ack);
    }

    /// Puts an event aside whose handler failed for as long as it is run at once, unless it is not to
    /// be run again.
    async fn put_aside(&self, message: &mut Message, id: CallId, answer: &Answer) -> Put {
        let fault = answer.as_fault();
        let failed = fault.filter(|fault| fault.code == FaultCode::Failed);
        let Some((fault, (policy, aside))) = failed.zip(self.retry.as_ref()) else {
            return Put::Refused;
        };
        let retries = Retries::of(message, *policy, None);
        let put = match retries.put_off(&fault.message) {
            Next::Due(due) => aside.put(message.clone(), id, &retries, due).await,
            Next::Nothing | Next::Exhausted => Put::Refused,
        };
        if put == Put::Refused {
            retries.note_in(&mut message.properties);
        }
        put
    }

    /// Counts a delivery that is not the first of an event that no claim of an earlier one knows.
    async fn begin(&self, command: &mut Command, message: &Message) -> Result<Begun, FinishedRun> {
        let until = Instant::now() + CALL_TIMEOUT_MAX;
        let cancel = command.context.token();
        let begun = self.redeliveries.begin(message, None, until, &cancel);
        let (begun, attempt) = begun.await?;
        command.context = command.context.clone().with_attempt(attempt);
        Ok(begun)
    }

    /// Records that the event was handled; `false` if it must go back.
    async fn record(&self, id: CallId, answer: &Answer, held: HeldClaim, span: &Span) -> bool {
        let _storing = trace::storing(span, &ReplyTarget::None, Some(&held.claim));
        let reply = Reply {
            id,
            target: ReplyTarget::None,
            frame: answer.encode(ContentType::MessagePack),
            ttl: Duration::ZERO,
            record: Some(held.claim.clone()),
            groupable: false,
        };
        let until = Instant::now() + CALL_TIMEOUT_MAX;
        let recorded = store_until(self.store.as_ref(), reply, until)
            .await
            .is_some();
        if recorded {
            held.recorded();
        }
        recorded
    }

    /// Answers a request that came to the group's queue; `false` if it must go back.
    async fn refuse(&self, envelope: &Envelope, message: Message, redelivered: bool) -> bool {
        let kind = message.properties.kind.as_deref().unwrap_or_default();
        let kind: String = kind.chars().take(64).collect();
        let (group, event) = (&self.group, E::ROUTING_KEY);
        let text = format!(
            "queue {group:?} is that of a group of events {event:?}, and has no method {kind:?}"
        );
        let mut answer = Answer::fault(FaultCode::UnknownMethod, text);
        if redelivered || is_repeated(&message) {
            answer = answer.may_have_been_executed();
        }
        let kind = DeliveryKind {
            awaited: envelope.awaited(),
            command: message.properties.persistent,
            repetition: false,
            redriven: is_redriven(&message),
            malformed: false,
            exhausted: false,
        };
        let settlement = settle(AnswerClass::of(&answer), kind);
        if settlement.reply {
            let frame = answer.encode(envelope.content_type);
            let reply = Reply::new(envelope.id, envelope.target.clone(), frame);
            let until = Instant::now() + CALL_TIMEOUT_MAX;
            let until = envelope.deadline.unwrap_or(until);
            if store_until(self.store.as_ref(), reply, until)
                .await
                .is_none()
            {
                return false;
            }
        }
        if settlement.dead_letter {
            let cause = Cause {
                answer: &answer,
                // Of what another program made of it nothing is known here.
                known_until: Some(Duration::ZERO),
                attempts: None,
                malformed: false,
                partition: None,
            };
            self.dead_letters.keep(message, &cause).await;
        }
        true
    }

    /// Keeps an event of which parts can't be read, perhaps its id: there is nothing to claim.
    async fn keep_malformed(&self, message: Message, reason: &str) {
        let answer = Answer::from(unreadable(reason));
        count::<E>(answer.label());
        let cause = Cause {
            answer: &answer,
            known_until: None,
            attempts: None,
            malformed: true,
            partition: None,
        };
        self.dead_letters.keep(message, &cause).await;
    }

    fn command(&self, message: &Message, seen_before: bool) -> Command {
        let properties = &message.properties;
        // Without an id of its own an event can't be told from a repetition.
        let name = name_of(message);
        let id: CallId = name
            .and_then(|id| id.parse().ok())
            .unwrap_or_else(CallId::new);
        let name = name.map_or_else(|| id.to_string(), str::to_owned);
        let context = Context::builder()
            .call_id(id)
            .redelivered(seen_before)
            .called_by(properties.app_id.clone())
            .serving("event", E::ROUTING_KEY)
            .cancelled_by(self.cancel.child_token())
            .carried_by(properties, id);
        Command {
            flights: Flights::default(),
            // Nobody waits for it, or gives it up.
            seen: None,
            store: Arc::clone(&self.store),
            leases: Arc::clone(&self.leases),
            claim: event_claim(&self.group, &name),
            context: context.build(),
            id,
            content_type: ContentType::MessagePack,
            start_by: None,
            // Not remembered as handled: given back, or put back from the dead letters, it runs
            // again.
            errors_count: false,
            begun: Begun::default(),
            leaving: self.cancel.clone(),
            job: None,
        }
    }

    /// The refusal of a message that is another group member's type of event.
    fn misrouted(&self, message: &Message) -> Option<Answer> {
        // One that is put back from the dead letters comes by the queue's name.
        let key = if message.exchange.is_empty() {
            message.properties.kind.as_deref()?
        } else {
            &message.routing_key
        };
        (key != E::ROUTING_KEY).then(|| {
            let key: String = key.chars().take(64).collect();
            Answer::fault(
                FaultCode::BadRequest,
                format!(
                    "group {:?} takes events of type {:?}, and this is of type {key:?}",
                    self.group,
                    E::ROUTING_KEY
                ),
            )
        })
    }

    /// The event's handler, to be started when the claim is taken.
    fn run(&self, message: &Message) -> impl FnOnce() -> AnswerFuture + Send + 'static + use<E, H> {
        let handler = Arc::clone(&self.handler);
        let content_type = ContentType::from_wire(message.properties.content_type.as_deref());
        let body = message.body.clone();
        let retry_within = self.retry_within;
        let misrouted = self.misrouted(message);
        move || {
            Box::pin(async move {
                if let Some(refusal) = misrouted {
                    return refusal;
                }
                match content_type {
                    Ok(content_type) => {
                        handle(handler.as_ref(), content_type, &body, retry_within).await
                    }
                    Err(error) => Answer::fault(FaultCode::BadRequest, format!("event: {error}")),
                }
            })
        }
    }
}
