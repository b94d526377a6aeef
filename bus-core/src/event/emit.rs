//! Emitting: a persistent message, confirmed by the broker.

use super::{Event, later::note_delayed};
use crate::{
    bus::Bus,
    call_id::CallId,
    codec::{self, CodecError, ContentType},
    context::Context,
    contract::unix_time,
    error::{BoxError, SetupError},
    limits::{CALL_TIMEOUT, CALL_TIMEOUT_MAX, REQUEST_BYTES_MAX},
    message::{Message, Properties, Text},
    schedule::{DelayTooLong, Due, When},
    trace::{self, Carried},
    transport::{Outgoing, TransportHealth, Verdict},
};
use bytes::Bytes;
use serde::Serialize;
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

impl Bus {
    /// Emits an event: options, then `.await` for the broker's word that it has it.
    ///
    /// ```
    /// use replybus::{Bus, Event};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event("transfer.completed")]
    /// struct TransferCompleted { amount: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// bus.emit(&TransferCompleted { amount: 70 }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit<E: Event>(&self, event: &E) -> Emit {
        Emit::new(self, event)
    }
}

/// An event about to be emitted: set options, then await it for the broker's word.
///
/// It carries the trace and the baggage of the call that is being served, and nothing else of it: an
/// event is a fact for anyone, metadata is for those a call is made to.
#[must_use = "an event is not emitted until it is awaited"]
pub struct Emit {
    bus: Bus,
    routing_key: Text,
    exchange: Text,
    /// The reason why it can't be named so, if it can't.
    misnamed: Option<SetupError>,
    content_type: ContentType,
    body: Result<Bytes, CodecError>,
    id: CallId,
    timeout: Duration,
    mandatory: bool,
    due: Result<Option<Due>, DelayTooLong>,
}

/// An event was not emitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// No event, or no exchange, can have this name: see [`Bus::emit_named`].
    #[error("event {event} can't be named so")]
    #[non_exhaustive]
    Misnamed {
        /// The event.
        event: Text,
        /// What is allowed.
        #[source]
        source: SetupError,
    },
    /// It can't be encoded, or is too large.
    #[error("event {event} can't be encoded")]
    #[non_exhaustive]
    Codec {
        /// Its routing key.
        event: Text,
        /// The reason.
        #[source]
        source: CodecError,
    },
    /// The exchange does not exist, and this user may not declare it.
    #[error("event {event} has no exchange {exchange:?} to go to")]
    #[non_exhaustive]
    NoExchange {
        /// Its routing key.
        event: Text,
        /// The exchange on the broker.
        exchange: String,
    },
    /// It can't be delayed so.
    #[error("event {event} can't be delayed")]
    #[non_exhaustive]
    Delay {
        /// Its routing key.
        event: Text,
        /// The reason.
        #[source]
        source: BoxError,
    },
    /// It was to reach a group, and no group subscribes to it.
    #[error("event {event} has no subscriber")]
    #[non_exhaustive]
    NoSubscriber {
        /// Its routing key.
        event: Text,
    },
    /// The broker refuses messages for now, or too many wait.
    #[error("event {event} was refused for load")]
    #[non_exhaustive]
    Overloaded {
        /// Its routing key.
        event: Text,
    },
    /// The broker does not take it: this user may not emit it, or it is larger than the broker
    /// allows. Nobody was told of it, and it would be refused again.
    #[error("event {event} was refused by the broker: {reason}")]
    #[non_exhaustive]
    Refused {
        /// Its routing key.
        event: Text,
        /// The broker's own words.
        reason: String,
    },
    /// There is no connection to the broker, and there will be none: the bus was closed, or its
    /// runtime has ended. Nobody was told of it.
    #[error("event {event} was not sent: {reason}")]
    #[non_exhaustive]
    Disconnected {
        /// Its routing key.
        event: Text,
        /// The transport's own words.
        reason: String,
    },
    /// The broker did not say in time that it has the event. It can have it all the same: emit it
    /// again under the same id.
    #[error("event {event} was not confirmed within {timeout:?}")]
    #[non_exhaustive]
    Unconfirmed {
        /// Its routing key.
        event: Text,
        /// The time that was given.
        timeout: Duration,
    },
}

impl EmitError {
    /// The error in one word of few.
    const fn as_word(&self) -> &'static str {
        match self {
            Self::Misnamed { .. } => "misnamed",
            Self::Codec { .. } => "codec",
            Self::NoExchange { .. } => "no_exchange",
            Self::Delay { .. } => "delay",
            Self::NoSubscriber { .. } => "no_subscriber",
            Self::Overloaded { .. } => "overloaded",
            Self::Refused { .. } => "refused",
            Self::Disconnected { .. } => "disconnected",
            Self::Unconfirmed { .. } => "unconfirmed",
        }
    }
}

impl Emit {
    fn new<E: Event>(bus: &Bus, event: &E) -> Self {
        let (exchange, key) = (E::EXCHANGE, E::ROUTING_KEY);
        let (exchange, key) = (Text::from_static(exchange), Text::from_static(key));
        Self::of(bus, exchange, key, event)
    }

    pub(super) fn of<E: Serialize + ?Sized>(
        bus: &Bus,
        exchange: Text,
        routing_key: Text,
        event: &E,
    ) -> Self {
        let body = codec::encode(ContentType::MessagePack, event, REQUEST_BYTES_MAX);
        Self::of_body(bus, exchange, routing_key, ContentType::MessagePack, body)
    }

    /// Of a text in JSON, as it is.
    pub(super) fn of_json(bus: &Bus, exchange: Text, routing_key: Text, text: &str) -> Self {
        let body = codec::json_text(text, REQUEST_BYTES_MAX);
        Self::of_body(bus, exchange, routing_key, ContentType::Json, body)
    }

    fn of_body(
        bus: &Bus,
        exchange: Text,
        routing_key: Text,
        content_type: ContentType,
        body: Result<Bytes, CodecError>,
    ) -> Self {
        Self {
            bus: bus.clone(),
            routing_key,
            exchange,
            misnamed: None,
            content_type,
            body,
            id: CallId::new(),
            timeout: CALL_TIMEOUT,
            mandatory: false,
            due: Ok(None),
        }
    }

    /// The same, of a name that no event has.
    pub(super) fn misnamed(mut self, error: SetupError) -> Self {
        self.misnamed = Some(error);
        self
    }

    pub(super) fn when(mut self, when: When) -> Self {
        self.due = when.due();
        self
    }

    /// Names the event, so that subscribers take it once however often it is emitted. An outbox
    /// stores the id with the event. A new id unless set.
    ///
    /// ```
    /// # use replybus::{Bus, Event};
    /// # use serde::{Deserialize, Serialize};
    /// use replybus::CallId;
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event("transfer.completed")]
    /// # struct TransferCompleted { amount: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// let id = CallId::new(); // stored with the event, in one transaction with its cause
    /// let event = TransferCompleted { amount: 70 };
    /// bus.emit(&event).id(id).await?;
    /// bus.emit(&event).id(id).await?; // after a crash, say: subscribers take it once
    /// # Ok(())
    /// # }
    /// ```
    pub fn id(mut self, id: CallId) -> Self {
        self.id = id;
        self
    }

    /// The time given to the broker to confirm, up to
    /// [`CALL_TIMEOUT_MAX`](crate::limits::CALL_TIMEOUT_MAX).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(CALL_TIMEOUT_MAX);
        self
    }

    /// Fails if no group subscribes to the event, instead of letting it pass unheard. A group is
    /// known to the broker from its first subscription on, whether or not one of its members is up.
    /// Of an event that is delayed this can't be promised, and is an error.
    ///
    /// ```
    /// # use replybus::{Bus, Event};
    /// # use serde::{Deserialize, Serialize};
    /// use replybus::event::EmitError;
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event("transfer.completed")]
    /// # struct TransferCompleted { amount: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// let unheard = bus.emit(&TransferCompleted { amount: 70 }).mandatory().await;
    /// assert!(matches!(unheard, Err(EmitError::NoSubscriber { .. })));
    /// # Ok(())
    /// # }
    /// ```
    pub fn mandatory(mut self) -> Self {
        self.mandatory = true;
        self
    }

    async fn emit(self) -> Result<CallId, EmitError> {
        let event = self.routing_key;
        if let Some(source) = self.misnamed {
            return Err(EmitError::Misnamed { event, source });
        }
        let timeout = self.timeout;
        let deadline = Instant::now() + timeout;
        let body = self.body.map_err(|source| EmitError::Codec {
            event: event.clone(),
            source,
        })?;
        let delay = |source: BoxError| EmitError::Delay {
            event: event.clone(),
            source,
        };
        let due = self.due.map_err(|error| delay(error.into()))?;
        if due.is_some() && self.mandatory {
            return Err(delay(
                "mandatory: who subscribes when it is due is not known before".into(),
            ));
        }
        let (id, body_bytes) = (self.id, body.len());
        let carried = Carried::from(&Context::current(), id);
        let encoded = (self.content_type, body);
        let message = message(
            &self.bus,
            &self.exchange,
            event.clone(),
            id,
            &carried,
            encoded,
        );
        let mut span = trace::emitting(&carried, id, &message.exchange, &event, body_bytes);
        let emitting = async {
            let event = event.clone();
            loop {
                let outgoing = Outgoing::new(message.clone()).mandatory(self.mandatory);
                let bus = self.bus.inner();
                let mut receipt = match due {
                    None => bus.transport.publish(outgoing),
                    Some(due) => {
                        let outgoing = outgoing.deadline(deadline);
                        bus.transport.publish_at(outgoing, bus.delay_until(due.at))
                    }
                };
                match receipt.verdict().await {
                    // An event that nobody subscribed to is confirmed as well, unless it must.
                    Verdict::Confirmed => {
                        if let Some(due) = due {
                            note_delayed(&bus, &event, self.id, due);
                        }
                        return Ok(self.id);
                    }
                    Verdict::Unroutable if self.mandatory => {
                        return Err(EmitError::NoSubscriber { event });
                    }
                    Verdict::Unroutable => {
                        let exchange = message.exchange;
                        let exchange = exchange.into();
                        return Err(EmitError::NoExchange { event, exchange });
                    }
                    Verdict::Lost => {}
                    Verdict::Refused | Verdict::Busy => {
                        return Err(EmitError::Overloaded { event });
                    }
                    Verdict::Denied(reason) | Verdict::Unacceptable(reason) => {
                        let reason = reason.to_string();
                        return Err(EmitError::Refused { event, reason });
                    }
                    Verdict::NotWritten => {
                        return Err(not_written(&self.bus, event, timeout, deadline));
                    }
                }
            }
        };
        let emitted = timeout_at(deadline, emitting)
            .await
            .unwrap_or(Err(EmitError::Unconfirmed { event, timeout }));
        if let Err(error) = &emitted {
            span.fail(error.as_word());
        }
        emitted
    }
}

/// The error of an event that was not written: its time was up, or nothing is written any more.
fn not_written(bus: &Bus, event: Text, timeout: Duration, deadline: Instant) -> EmitError {
    match bus.inner().transport.health() {
        TransportHealth::Down(reason) if Instant::now() < deadline => {
            EmitError::Disconnected { event, reason }
        }
        _ => EmitError::Unconfirmed { event, timeout },
    }
}

fn message(
    bus: &Bus,
    exchange: &str,
    routing_key: Text,
    id: CallId,
    carried: &Carried,
    (content_type, body): (ContentType, Bytes),
) -> Message {
    Message {
        exchange: bus.name(exchange).into(),
        routing_key: routing_key.clone(),
        properties: Properties {
            message_id: Some(id.to_text()),
            kind: Some(routing_key),
            content_type: Some(Text::from_static(content_type.as_str())),
            timestamp: Some(unix_time().as_secs()),
            app_id: Some(bus.inner().app_id.clone()),
            persistent: true,
            // A trace that begins here is named after the event: subscribers derive it from the id.
            headers: carried
                .headers()
                .chain(carried.unrecorded_header(id))
                .collect(),
            ..Properties::default()
        },
        body,
    }
}

impl IntoFuture for Emit {
    type Output = Result<CallId, EmitError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Emits the event and waits for the broker's word; returns the event's id.
    ///
    /// Dropped before it is ready, the event may or may not have been emitted.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.emit())
    }
}

impl fmt::Debug for Emit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emit")
            .field("event", &self.routing_key)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
