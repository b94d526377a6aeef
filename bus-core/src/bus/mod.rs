//! The bus: a broker, a reply store, and the calls that wait.

mod builder;

pub use builder::BusBuilder;

use crate::{
    cache::Cache,
    client::{
        ClientService,
        bundle::{Bundler, Post},
        waiters::Waiters,
    },
    contract::check_name,
    control,
    delayed::DelayedNotes,
    error::SetupError,
    flight::Flights,
    layer::Everywhere,
    limits::{NAMESPACE_BYTES_MAX, WAIT_MAX},
    message::Text,
    reply::{Arrivals, ReplyBackend, ReplyStore, StoreHealth, memory::MemoryReplies},
    server::ServerService,
    signature::Signatures,
    transport::{
        Delay, InspectError, QueueState, Transport, TransportBackend, TransportHealth,
        memory::MemoryBroker,
    },
    work::{Drops, LeaseWatch, OccupiedQueues},
};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The way of messages that are delayed, in the namespace of a bus.
pub(crate) const DELAY_WAY: &str = "replybus.delay";

/// The time a close allows for messages to be given back.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(1);

/// A connection to a broker and a reply store, over which services are served and called. Cheap
/// to clone; all clones are one bus.
///
/// ```
/// use replybus::{Bus, Never, queue_handler};
/// use std::time::Duration;
/// # #[queue_handler("greeter.requests")]
/// # pub trait Greeter {
/// #     #[query]
/// #     async fn greet(&self, name: String) -> Result<String, Never>;
/// # }
/// # struct English;
/// # impl Greeter for English {
/// #     async fn greet(&self, name: String) -> Result<String, Never> {
/// #         Ok(format!("Hello, {name}!"))
/// #     }
/// # }
/// #
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = Bus::in_memory(); // or Bus::connect(..), once in a program
/// let serving = bus.serve(GreeterServer::new(English)).await?;
/// let greeter = GreeterClient::new(&bus); // keeps a clone of the bus
///
/// assert_eq!(greeter.greet("Ada".to_owned()).await?, "Hello, Ada!");
/// assert!(bus.health().is_up());
/// bus.close(Duration::from_secs(5)).await; // stops what is served, too
/// # drop(serving);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Bus(Arc<BusInner>);

pub(crate) struct BusInner {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) replies: Arc<dyn ReplyStore>,
    pub(crate) waiters: Arc<Waiters>,
    /// The calls that leave together.
    pub(crate) bundler: Bundler,
    pub(crate) leases: Arc<LeaseWatch>,
    pub(crate) app_id: Text,
    /// This process's, which replies come to.
    pub(crate) inbox: Text,
    /// Ends every intake, which then drains.
    pub(crate) stopping: CancellationToken,
    /// Ends the draining of every intake.
    pub(crate) abandoned: CancellationToken,
    /// Ends what waits for a reply.
    pub(crate) closed: CancellationToken,
    /// The loops of services and subscriptions.
    pub(crate) tasks: TaskTracker,
    /// What says that calls are cancelled, and what became of them.
    saying: TaskTracker,
    /// The dead letters that could not be kept.
    pub(crate) drops: Drops,
    /// The queues that services and groups of this bus take messages from.
    pub(crate) occupied: OccupiedQueues,
    /// The list of what is delayed.
    pub(crate) delayed: DelayedNotes,
    /// What becomes of calls, if that is recorded.
    pub(crate) flights: Flights,
    /// Calls wait for a service that is not there.
    pub(crate) waits_for_services: bool,
    /// What calls share that look for kept answers.
    pub(crate) cache: Cache,
    /// What all clients are within, and all services.
    pub(crate) client_layers: Everywhere<ClientService>,
    pub(crate) server_layers: Everywhere<ServerService>,
    /// What it signs, and which replies it believes.
    pub(crate) signatures: Signatures,
    namespace: String,
}

impl BusInner {
    /// A delay, on the way that this namespace has for such.
    pub(crate) fn delay_until(&self, due: Instant) -> Delay {
        Delay::until(due, in_namespace(&self.namespace, DELAY_WAY))
    }

    /// A name on the broker as this bus has it, without the namespace.
    pub(crate) fn name_within<'a>(&self, on_broker: &'a str) -> &'a str {
        let within = on_broker.strip_prefix(&*self.namespace);
        let within = within.and_then(|rest| rest.strip_prefix('.'));
        within.unwrap_or(on_broker)
    }
}

impl Bus {
    /// Connects to a broker and to a reply store, with the default settings: `Amqp` and
    /// `RedisReplies` for RabbitMQ and Redis, or any other implementation of the two traits.
    ///
    /// Waits for servers that are not up yet; see
    /// [`CONNECT_WITHIN`](crate::limits::CONNECT_WITHIN).
    ///
    /// # Errors
    /// A setting makes no sense, or a server refuses or can't be reached.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, it leaves no connection behind.
    pub async fn connect(
        transport: impl TransportBackend,
        replies: impl ReplyBackend,
    ) -> Result<Self, SetupError> {
        Self::builder().connect(transport, replies).await
    }

    /// A bus inside this process: the same contract without a server, for tests and for programs
    /// that are one process. Must be called within a tokio runtime.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// # #[queue_handler("greeter.requests")]
    /// # pub trait Greeter {
    /// #     #[query]
    /// #     async fn greet(&self, name: String) -> Result<String, Never>;
    /// # }
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self, name: String) -> Result<String, Never> {
    /// #         Ok(format!("Hello, {name}!"))
    /// #     }
    /// # }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // In a test of a service, as it is called:
    /// let bus = Bus::in_memory();
    /// let serving = bus.serve(GreeterServer::new(English)).await?;
    /// let greeting = GreeterClient::new(&bus).greet("Ada".to_owned()).await?;
    /// assert_eq!(greeting, "Hello, Ada!");
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn in_memory() -> Self {
        let waiters = Arc::new(Waiters::default());
        let arrivals: Arc<dyn Arrivals> = Arc::<Waiters>::clone(&waiters);
        Self::from_parts(
            BusBuilder::default(),
            Arc::new(MemoryBroker::new().connect()),
            MemoryReplies::new().attach("", arrivals),
            waiters,
        )
    }

    /// Settings beyond the defaults.
    pub fn builder() -> BusBuilder {
        BusBuilder::default()
    }

    /// Begins to count what should not happen, so that the first time is an increase.
    fn begin_counters() {
        metrics::counter!("replybus_store_failures_total").increment(0);
        metrics::counter!("replybus_republished_total").increment(0);
        metrics::counter!("replybus_late_replies_total").increment(0);
        metrics::counter!("replybus_stream_frames_refused_total").increment(0);
        metrics::counter!("replybus_leases_late_total").increment(0);
        metrics::counter!("replybus_leases_lost_total").increment(0);
    }

    fn from_parts(
        builder: BusBuilder,
        transport: Arc<dyn Transport>,
        replies: Arc<dyn ReplyStore>,
        waiters: Arc<Waiters>,
    ) -> Self {
        Self::begin_counters();
        let closed = CancellationToken::new();
        let app_id: Text = builder.app_id.into();
        let inbox: Text = replies.inbox().into();
        let saying = TaskTracker::new();
        let signatures = builder.signatures.within(&builder.namespace);
        let bundler = Bundler::new(Post {
            transport: Arc::clone(&transport),
            replies: Arc::clone(&replies),
            namespace: in_namespace(&builder.namespace, ""),
            waiters: Arc::clone(&waiters),
            app_id: app_id.clone(),
            inbox: inbox.clone(),
            signatures: signatures.clone(),
            control: in_namespace(&builder.namespace, control::EXCHANGE).into(),
            runtime: Handle::try_current().ok(),
            saying: saying.clone(),
        });
        let tasks = TaskTracker::new();
        let flights = builder
            .flight_record
            .map_or_else(Flights::default, |record| {
                let store = Arc::clone(&replies);
                Flights::start(&record, store, app_id.clone(), &saying, closed.clone())
            });
        Self(Arc::new(BusInner {
            saying,
            flights,
            delayed: DelayedNotes::new(Arc::clone(&replies), tasks.clone(), app_id.clone()),
            bundler,
            transport,
            leases: Arc::new(LeaseWatch::new(Arc::clone(&replies))),
            inbox,
            replies,
            waiters,
            app_id,
            stopping: CancellationToken::new(),
            abandoned: CancellationToken::new(),
            drops: Drops::new(closed.clone()),
            occupied: OccupiedQueues::default(),
            closed,
            tasks,
            waits_for_services: builder.wait_for_services,
            cache: Cache::default(),
            client_layers: builder.client_layers,
            server_layers: builder.server_layers,
            signatures,
            namespace: builder.namespace,
        }))
    }

    /// The state of the bus: its connections, its queues, its calls.
    ///
    /// ```
    /// use replybus::{Bus, Health};
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = Bus::in_memory();
    /// let Health { not_consumed, calls_waiting, .. } = bus.health();
    /// assert!(bus.health().is_up());
    /// assert!(not_consumed.is_empty()); // every queue served here gets its requests
    /// assert_eq!(calls_waiting, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn health(&self) -> Health {
        let mut not_consumed = self.0.occupied.left();
        // Control queues are no reason to be down: nothing depends on them.
        let control = self.name(control::EXCHANGE);
        let lost = self.0.transport.not_consumed().into_iter();
        not_consumed.extend(lost.filter(|(queue, _)| !control::is_control_queue(&control, queue)));
        Health {
            transport: self.0.transport.health(),
            replies: self.0.replies.health(),
            not_consumed,
            dead_letters_dropped: self.0.drops.all(),
            calls_waiting: self.0.waiters.len(),
        }
    }

    /// The messages and consumers of a queue of this bus; `None` if there is no such queue.
    /// For health checks, and to tell a service that is slow from one that nobody serves.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    /// # #[queue_handler("greeter.requests")]
    /// # pub trait Greeter {
    /// #     #[query]
    /// #     async fn greet(&self, name: String) -> Result<String, Never>;
    /// # }
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self, name: String) -> Result<String, Never> {
    /// #         Ok(format!("Hello, {name}!"))
    /// #     }
    /// # }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = Bus::in_memory();
    /// let queue = GreeterClient::CONTRACT.queue;
    /// assert!(bus.inspect(queue).await?.is_none()); // nobody has ever served it
    ///
    /// let serving = bus.serve(GreeterServer::new(English)).await?;
    /// let state = bus.inspect(queue).await?.ok_or("no queue")?;
    /// assert_eq!((state.waiting, state.consumers), (0, 1));
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The broker refuses, there is no connection to ask on, or the queue does not answer within
    /// [`CONNECT_TIMEOUT`](crate::limits::CONNECT_TIMEOUT).
    ///
    /// # Cancel safety
    /// Safe; it only reads.
    pub async fn inspect(&self, queue: &str) -> Result<Option<QueueState>, InspectError> {
        self.0.transport.inspect(&self.name(queue)).await
    }

    /// Closes the bus and all its clones: services drain as by
    /// [`Serving::shutdown`](crate::server::Serving::shutdown), calls that still wait then fail,
    /// and what was published is confirmed; all of it within the bound, give or take the seconds
    /// that the servers take to agree to it.
    ///
    /// Handlers that drain can call and emit like before. Those that are not done when the bound
    /// is over are told so ([`Context::cancelled`](crate::Context::cancelled)) and their messages
    /// go back to the queue.
    ///
    /// ```
    /// use replybus::{Bus, FailureKind, Never, queue_handler};
    /// use std::time::Duration;
    /// # #[queue_handler("greeter.requests")]
    /// # pub trait Greeter {
    /// #     #[query]
    /// #     async fn greet(&self, name: String) -> Result<String, Never>;
    /// # }
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self, name: String) -> Result<String, Never> {
    /// #         Ok(format!("Hello, {name}!"))
    /// #     }
    /// # }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let bus = Bus::in_memory();
    /// let serving = bus.serve(GreeterServer::new(English)).await?;
    /// bus.close(Duration::from_secs(20)).await; // the last thing that a program does
    ///
    /// let late = GreeterClient::new(&bus).greet("Ada".to_owned()).await.unwrap_err();
    /// assert_eq!(late.kind(), Some(FailureKind::Disconnected));
    /// # drop(serving);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// Dropped before it is ready, connections end when the bus is dropped.
    pub async fn close(&self, within: Duration) {
        let until = Instant::now() + within.min(WAIT_MAX);
        self.0.stopping.cancel();
        self.0.tasks.close();
        if timeout_at(until, self.0.tasks.wait()).await.is_err() {
            self.0.abandoned.cancel();
            let _ = timeout(GIVE_BACK_WITHIN, self.0.tasks.wait()).await;
        }
        self.0.closed.cancel();
        self.0.leases.stop();
        // Calls that were dropped a moment ago, or end with the bus, are still to be cancelled, and
        // what was recorded of others is still to be written.
        self.0.saying.close();
        let _ = timeout(GIVE_BACK_WITHIN, self.0.saying.wait()).await;
        let left = until.saturating_duration_since(Instant::now());
        self.0.transport.close(left).await;
        self.0.replies.close().await;
    }

    /// A name on the broker: the given one, in this bus's namespace.
    pub(crate) fn name(&self, name: &str) -> String {
        in_namespace(&self.0.namespace, name)
    }

    pub(crate) fn inner(&self) -> Arc<BusInner> {
        Arc::clone(&self.0)
    }
}

pub(crate) fn in_namespace(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

/// Refuses what can't be before names; nothing at all can.
pub(crate) fn check_namespace(namespace: &str) -> Result<(), SetupError> {
    if namespace.is_empty() {
        return Ok(());
    }
    check_name("namespace", namespace)?;
    let bytes = namespace.len();
    if bytes > NAMESPACE_BYTES_MAX {
        let reason = format!("{bytes} bytes, up to {NAMESPACE_BYTES_MAX} are allowed");
        return Err(SetupError::setting("namespace", reason));
    }
    Ok(())
}

/// The state of a bus, as far as it is known without asking a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The broker.
    pub transport: TransportHealth,
    /// The reply store.
    pub replies: StoreHealth,
    /// Queues on the broker that this process serves or subscribes and does not get messages from
    /// right now, each with the reason; also those whose service or subscription ended without
    /// being shut down, because it was dropped or failed.
    pub not_consumed: BTreeMap<String, String>,
    /// Queues of dead letters on the broker that take no more, each with the reason and how many
    /// letters this process dropped. The service itself does its work: `is_up` is not about these.
    pub dead_letters_dropped: BTreeMap<String, String>,
    /// Calls of this process that wait for a reply.
    pub calls_waiting: usize,
}

impl Health {
    /// `true` if calls can be made, and all that is served or subscribed here is.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.transport == TransportHealth::Up
            && self.replies == StoreHealth::Up
            && self.not_consumed.is_empty()
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("namespace", &self.0.namespace)
            .field("app_id", &self.0.app_id)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BusInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusInner").finish_non_exhaustive()
    }
}
