//! Subscribing: a durable queue for the group, each event handled once by one of its members.

use super::Event;
use crate::{
    bus::Bus,
    call_id::CallId,
    codec::{self, ContentType},
    context::{Context, TraceContext},
    contract::{QueueType, check_name},
    error::{FaultCode, SetupError},
    limits::{
        CALL_TIMEOUT_MAX, CLAIM_LEASE, CONCURRENCY, DRAIN_WITHIN, EVENT_RETENTION,
        EVENT_RETRY_WITHIN, PREFETCH_MAX,
    },
    message::Message,
    reply::{Claim, Reply, ReplyStore, ReplyTarget},
    server::{
        Answer, AnswerFuture, Intake, Serving,
        command::{Command, End, Run, RunState},
        dead_letter::DeadLetters,
        envelope::is_repeated,
        settlement::{Kind, Outcome, settle},
        store_until,
    },
    transport::{Binding, Delivery, QueueSpec, Settled, Source},
};
use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// First and longest pause before a handler that returned an error runs again; each is twice as
/// long as the one before.
const TRY_AGAIN_MIN: Duration = Duration::from_millis(100);
const TRY_AGAIN_MAX: Duration = Duration::from_secs(5);

/// What takes events: an async closure or function of the event, returning `()` or a `Result`.
pub trait SubscribeHandler<E>: Send + Sync + 'static {
    /// Handles one event.
    fn handle(&self, event: E) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
}

impl<E, F, Fut> SubscribeHandler<E> for F
where
    F: Fn(E) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: EventOutcome,
{
    fn handle(&self, event: E) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let future = self(event);
        Box::pin(async move { future.await.into_result() })
    }
}

/// What the handler of an event returns: `()`, or a `Result` whose error has it run again.
#[diagnostic::on_unimplemented(
    message = "a handler of events can't return `{Self}`",
    note = "it returns `()`, or `Result<(), E>` where `E` can be displayed"
)]
pub trait EventOutcome {
    /// Nothing, or why the event was not handled.
    fn into_result(self) -> Result<(), String>;
}

impl EventOutcome for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> EventOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

/// A subscription about to start: set options, then await it.
///
/// An event is handled at least once, and once only while its id is remembered
/// ([`EVENT_RETENTION`]). A handler that returns an error runs again, with growing pauses, for as
/// long as [`retry_within`](Self::retry_within) says; then, or when it panics or can't read the
/// event, the event is kept in the queue `{group}.dead`. Events are not handled in order.
///
/// A group has one type of event: members that subscribe to different ones share a queue, and keep
/// each other's events as dead letters. Give each type a group of its own.
#[must_use = "a subscription does nothing until it is awaited"]
pub struct Subscribe<E, H> {
    bus: Bus,
    group: String,
    handler: H,
    concurrency: u16,
    queue_type: QueueType,
    drain_within: Duration,
    retry_within: Duration,
    event: PhantomData<fn() -> E>,
}

impl<E: Event, H: SubscribeHandler<E>> Subscribe<E, H> {
    pub(crate) fn new(bus: &Bus, group: String, handler: H) -> Self {
        Self {
            bus: bus.clone(),
            group,
            handler,
            concurrency: CONCURRENCY,
            queue_type: QueueType::default(),
            drain_within: DRAIN_WITHIN,
            retry_within: EVENT_RETRY_WITHIN,
            event: PhantomData,
        }
    }

    /// Events handled at the same time in this process; at least 1.
    pub fn concurrency(mut self, concurrency: u16) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// The kind of queue to declare.
    pub fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// How long a shutdown lets running handlers finish.
    pub fn drain_within(mut self, drain_within: Duration) -> Self {
        self.drain_within = drain_within;
        self
    }

    /// How long a handler that returns an error runs again, counted from its first run:
    /// [`EVENT_RETRY_WITHIN`] unless set, at most [`CALL_TIMEOUT_MAX`]; zero for one run only. An
    /// event that waits for its next run is one of those that are handled: while all do, no more
    /// are taken.
    pub fn retry_within(mut self, retry_within: Duration) -> Self {
        self.retry_within = retry_within;
        self
    }

    async fn start(self) -> Result<Serving, SetupError> {
        check_name("group", &self.group)?;
        if self.concurrency == 0 || self.concurrency > PREFETCH_MAX {
            let reason = format!("{}: 1 to {PREFETCH_MAX} are allowed", self.concurrency);
            return Err(SetupError::setting("concurrency", reason));
        }
        if self.retry_within > CALL_TIMEOUT_MAX {
            let reason = format!(
                "{:?} is more than {CALL_TIMEOUT_MAX:?}, after which the broker wants its event back",
                self.retry_within
            );
            return Err(SetupError::setting("retry_within", reason));
        }
        let bus = self.bus.inner();
        let queue = QueueSpec {
            name: self.bus.name(&self.group),
            queue_type: self.queue_type,
            length_max: None,
        };
        let transport = Arc::clone(&bus.transport);
        let dead_letters =
            DeadLetters::of(Arc::clone(&transport), &queue.name, self.queue_type).await?;
        let cancel = CancellationToken::new();
        let deliverer = Arc::new(Deliverer {
            group: self.group.clone(),
            handler: Arc::new(self.handler),
            store: Arc::clone(&bus.replies),
            dead_letters,
            cancel: cancel.clone(),
            retry_within: self.retry_within,
            event: PhantomData,
        });
        let source = Source {
            queue,
            prefetch: self.concurrency,
            bindings: vec![Binding {
                exchange: self.bus.name(E::EXCHANGE),
                routing_key: E::ROUTING_KEY.to_owned(),
            }],
        };
        let deliveries = transport.consume(source).await?;
        tracing::info!(group = self.group, event = E::ROUTING_KEY, "subscribed");
        let room = Arc::new(Semaphore::new(usize::from(self.concurrency)));
        Ok(Intake {
            name: format!("group {}", self.group),
            deliveries,
            cancel,
            drain_within: self.drain_within,
            closed: bus.stopping.clone(),
            abandoned: bus.abandoned.clone(),
            tasks: bus.tasks.clone(),
        }
        .start(
            move || {
                let room = Arc::clone(&room);
                async move { room.acquire_owned().await.map_err(Into::into) }
            },
            move |permit, delivery| {
                let deliverer = Arc::clone(&deliverer);
                async move {
                    deliverer.deliver(delivery).await;
                    drop(permit);
                }
            },
        ))
    }
}

struct Deliverer<E, H> {
    group: String,
    handler: Arc<H>,
    store: Arc<dyn ReplyStore>,
    dead_letters: DeadLetters,
    cancel: CancellationToken,
    retry_within: Duration,
    event: PhantomData<fn() -> E>,
}

impl<E: Event, H: SubscribeHandler<E>> Deliverer<E, H> {
    async fn deliver(&self, delivery: Delivery) {
        let Delivery {
            message,
            redelivered,
            settler,
            ..
        } = delivery;
        let run = Run::default();
        let command = self.command(&message, redelivered || is_repeated(&message));
        let id = command.id;
        let token = command.context.token().clone();
        let handler = self.run(&message);
        let answer = command.start(run.clone(), handler).await;
        let settlement = settle(
            Outcome::of(&answer),
            Kind {
                awaited: false,
                command: true,
                repetition: false,
            },
        );
        if settlement.dead_letter && token.is_cancelled() {
            // Another run has the claim by now, and decides. Dropped, the settler gives the event
            // back: it waits for that run's outcome.
            return;
        }
        let outcome = answer.label();
        metrics::counter!("replybus_events_total", "event" => E::ROUTING_KEY, "outcome" => outcome)
            .increment(1);
        if let RunState::Ended(End::Ran(held)) = run.take() {
            let reply = Reply {
                id,
                target: ReplyTarget::None,
                frame: answer.encode(ContentType::MessagePack),
                ttl: Duration::ZERO,
                record: Some(held.claim.clone()),
            };
            let until = Instant::now() + CALL_TIMEOUT_MAX;
            if !store_until(self.store.as_ref(), reply, until).await {
                return;
            }
            held.recorded();
        }
        if settlement.dead_letter {
            let fault = answer.as_fault().map(tracing::field::display);
            tracing::warn!(event = E::ROUTING_KEY, group = self.group, %id, outcome, fault, "an event was not handled");
            self.dead_letters.keep(message, &answer).await;
        }
        settler.settle(Settled::Ack);
    }

    fn command(&self, message: &Message, seen_before: bool) -> Command {
        let properties = &message.properties;
        // Without an id of its own an event can't be told from a repetition.
        let name = properties.message_id.as_deref().filter(|id| id.len() <= 64);
        let id: CallId = name
            .and_then(|id| id.parse().ok())
            .unwrap_or_else(CallId::new);
        let name = name.map_or_else(|| id.to_string(), str::to_owned);
        let context = Context::builder()
            .call_id(id)
            .redelivered(seen_before)
            .caller(properties.app_id.clone())
            .serving("event", E::ROUTING_KEY)
            .cancelled_by(self.cancel.child_token())
            .trace(TraceContext::of(properties, id));
        Command {
            store: Arc::clone(&self.store),
            claim: Claim {
                key: format!("event:{}:{name}", self.group),
                fingerprint: [0; 16],
                owner: CallId::new().to_string(),
                lease: CLAIM_LEASE,
                retention: EVENT_RETENTION,
            },
            context: context.build(),
            id,
            content_type: ContentType::MessagePack,
            start_by: None,
            // Not remembered as handled: given back, or put back from the dead letters, it runs
            // again.
            errors_count: false,
        }
    }

    /// What is wrong with a message that is another group member's kind of event.
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

async fn handle<E: Event, H: SubscribeHandler<E>>(
    handler: &H,
    content_type: ContentType,
    body: &[u8],
    retry_within: Duration,
) -> Answer {
    let context = Context::current();
    let until = Instant::now() + retry_within;
    let mut pause = TRY_AGAIN_MIN;
    loop {
        let event = match codec::decode(content_type, body) {
            Ok(event) => event,
            Err(error) => return Answer::fault(FaultCode::BadRequest, format!("event: {error}")),
        };
        let Err(error) = handler.handle(event).await else {
            return Answer::done();
        };
        let left = Instant::now() + pause <= until;
        if left {
            let id = context.call_id().map(tracing::field::display);
            tracing::warn!(
                event = E::ROUTING_KEY,
                id,
                error,
                "an event's handler failed, and runs again"
            );
        }
        // Once it is cancelled, the event is somebody else's to handle.
        let again = left
            && tokio::select! {
                biased;
                () = context.cancelled() => false,
                () = sleep(pause) => true,
            };
        if !again {
            return Answer::fault(FaultCode::Failed, format!("the handler failed: {error}"));
        }
        pause = (pause * 2).min(TRY_AGAIN_MAX);
    }
}

impl<E: Event, H: SubscribeHandler<E>> IntoFuture for Subscribe<E, H> {
    type Output = Result<Serving, SetupError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Declares the exchange, the group's queue and its queue of dead letters, and starts to
    /// consume.
    ///
    /// # Errors
    /// A setting makes no sense, the queue exists with other arguments, or the broker can't be
    /// reached.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl<E: Event, H> fmt::Debug for Subscribe<E, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe")
            .field("event", &E::ROUTING_KEY)
            .field("group", &self.group)
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}
