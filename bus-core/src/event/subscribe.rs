//! Subscribing: the settings of a group, their checks, and the queue they become.

use super::{Event, SubscribeHandler, delivery::EventProcessor};
use crate::{
    bus::Bus,
    contract::{QueueType, RetryPolicy, check_name},
    error::SetupError,
    limits::{
        CALL_TIMEOUT_MAX, CONCURRENCY, DRAIN_WITHIN, EVENT_RETRY_WITHIN, PREFETCH_MAX, RETURNS_MAX,
    },
    retry::Aside,
    transport::{Binding, QueueSpec, Source},
    work::{Intake, Occupant, Permits, Redeliveries, Serving},
};
use std::{
    fmt,
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

impl Bus {
    /// Subscribes a group to an event: options, then `.await` for the running subscription.
    ///
    /// The group is a queue of that name: each event is delivered to one member of each group. One
    /// group takes one type of event.
    ///
    /// ```
    /// use replybus::{Bus, Event};
    /// use serde::{Deserialize, Serialize};
    /// use tokio::sync::mpsc;
    ///
    /// #[derive(Event, Serialize, Deserialize)]
    /// #[event("transfer.completed")]
    /// struct TransferCompleted { amount: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// let (heard, mut amounts) = mpsc::channel(8);
    /// let subscription = bus
    ///     .subscribe("notifications", move |event: TransferCompleted| {
    ///         let heard = heard.clone();
    ///         async move { heard.send(event.amount).await } // an error is tried again
    ///     })
    ///     .await?;
    ///
    /// bus.emit(&TransferCompleted { amount: 70 }).await?;
    /// assert_eq!(amounts.recv().await, Some(70));
    /// subscription.shutdown().await?; // dropped, it ends as well
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe<E, H>(&self, group: impl Into<String>, handler: H) -> Subscribe<E, H>
    where
        E: Event,
        H: SubscribeHandler<E>,
    {
        Subscribe::new(self, group.into(), handler)
    }
}

/// A subscription about to start: set options, then await it.
///
/// An event is handled at least once, and once only while its id is remembered
/// ([`EVENT_RETENTION`](crate::limits::EVENT_RETENTION)). A handler that returns an error runs
/// again, with growing pauses, for as long as [`retry_within`](Self::retry_within) says,
/// and after that as [`retry`](Self::retry) says; then, or when it panics or can't read the event, the event is kept in the queue `{group}.dead`. Events
/// are not handled in order.
///
/// A group has one type of event, and a name that no service has for its queue. In one bus others
/// are refused; members in different programs would share a queue, and keep each other's messages
/// as dead letters. Give each type a group of its own.
#[must_use = "a subscription does nothing until it is awaited"]
pub struct Subscribe<E, H> {
    bus: Bus,
    group: String,
    handler: H,
    concurrency: u16,
    queue_type: QueueType,
    drain_within: Duration,
    retry_within: Duration,
    retry: Option<RetryPolicy>,
    event: PhantomData<fn() -> E>,
}

impl<E: Event, H: SubscribeHandler<E>> Subscribe<E, H> {
    fn new(bus: &Bus, group: String, handler: H) -> Self {
        Self {
            bus: bus.clone(),
            group,
            handler,
            concurrency: CONCURRENCY,
            queue_type: QueueType::default(),
            drain_within: DRAIN_WITHIN,
            retry_within: EVENT_RETRY_WITHIN,
            retry: None,
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

    /// The time a shutdown gives running handlers to finish.
    pub fn drain_within(mut self, drain_within: Duration) -> Self {
        self.drain_within = drain_within;
        self
    }

    /// The time for which a handler that returns an error runs again, counted from its first run:
    /// [`EVENT_RETRY_WITHIN`] unless set, at most [`CALL_TIMEOUT_MAX`]; zero for one run only. An
    /// event that waits for its next run is one of those that are handled: while all do, no more
    /// are taken.
    ///
    /// ```
    /// # use replybus::{Bus, Event};
    /// # use serde::{Deserialize, Serialize};
    /// # use std::time::Duration;
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event("transfer.completed")]
    /// # struct TransferCompleted { amount: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # async fn store(_: TransferCompleted) -> Result<(), std::io::Error> { Ok(()) }
    /// let subscription = bus
    ///     .subscribe("statements", |event: TransferCompleted| store(event))
    ///     .retry_within(Duration::from_secs(10 * 60)) // the database may be away for so long
    ///     .await?;
    /// # subscription.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry_within(mut self, retry_within: Duration) -> Self {
        self.retry_within = retry_within;
        self
    }

    /// Has an event whose handler still fails when [that time](Self::retry_within) is over come to
    /// this group again, after each of the policy's pauses, before it is a dead letter. Meanwhile it
    /// waits on the broker, and takes no place of those that are handled. That needs the rights that
    /// [delays](Bus::emit_after) need; without them it is a dead letter at once.
    ///
    /// ```
    /// use replybus::contract::RetryPolicy;
    /// use std::time::Duration;
    /// # use replybus::{Bus, Event};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Event, Serialize, Deserialize)]
    /// # #[event("transfer.completed")]
    /// # struct TransferCompleted { amount: u64 }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # async fn store(_: TransferCompleted) -> Result<(), std::io::Error> { Ok(()) }
    /// // For a minute, and then every hour for most of a day.
    /// let hour = Duration::from_secs(60 * 60);
    /// let subscription = bus
    ///     .subscribe("statements", |event: TransferCompleted| store(event))
    ///     .retry(RetryPolicy::new().max(20).base(hour).max_delay(hour))
    ///     .await?;
    /// # subscription.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = Some(policy);
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
        let source = Source {
            queue: QueueSpec::new(self.bus.name(&self.group))
                .queue_type(self.queue_type)
                .returns_max(RETURNS_MAX),
            prefetch: self.concurrency,
            bindings: vec![Binding {
                exchange: self.bus.name(E::EXCHANGE),
                routing_key: E::ROUTING_KEY.to_owned(),
            }],
        };
        let occupant = Occupant::Group {
            name: self.group.clone(),
            event: E::ROUTING_KEY,
        };
        let opening = Intake::open(&bus, &occupant, source, self.drain_within);
        let (intake, dead_letters) = opening.await?;
        tracing::info!(group = self.group, event = E::ROUTING_KEY, "subscribed");
        let (retry, queue) = (self.retry, self.bus.name(&self.group));
        let permits = Permits::new(self.concurrency);
        let counted = format!("event:{}", self.group);
        let processor = Arc::new(EventProcessor {
            group: self.group,
            redeliveries: Redeliveries::new(
                Arc::clone(&bus.replies),
                Arc::clone(&bus.leases),
                counted,
            ),
            handler: Arc::new(self.handler),
            store: Arc::clone(&bus.replies),
            leases: Arc::clone(&bus.leases),
            dead_letters,
            cancel: intake.cancel(),
            retry_within: self.retry_within,
            retry: retry.map(|policy| (policy, Aside::of(&bus, &queue))),
            event: self.event,
        });
        Ok(intake.start(
            move || permits.clone().acquire(),
            move |permit, delivery| {
                let processor = Arc::clone(&processor);
                async move {
                    processor.process(delivery).await;
                    drop(permit);
                }
            },
        ))
    }
}

impl<E: Event, H: SubscribeHandler<E>> IntoFuture for Subscribe<E, H> {
    type Output = Result<Serving, SetupError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Declares the exchange, the group's queue and its queue of dead letters, and starts to
    /// consume.
    ///
    /// # Errors
    /// A setting makes no sense, a service or a group of another event has the queue in this bus,
    /// the queue exists with other arguments, or the broker can't be reached.
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
