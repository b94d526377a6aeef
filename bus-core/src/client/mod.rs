//! The calling side, in the order a call travels: what the generated client builds, the layers it
//! passes, the publisher it is handed to, and the place where its reply is waited for.

pub(crate) mod answered;
mod breaker;
pub(crate) mod bundle;
mod cached;
mod call;
mod caller;
mod cancel;
mod consumer_probe;
mod copies;
mod join;
mod later;
pub(crate) mod layer;
mod outcome;
mod prepare;
mod progress;
pub(crate) mod request;
mod response;
mod retry;
pub(crate) mod tally;
mod ticket;
mod unserved;
pub(crate) mod waiters;

pub use crate::{
    cache::CacheStatus,
    contract::{Never, Outcome},
};
pub use breaker::{BreakerLayer, BreakerService, CircuitReport, CircuitState};
pub use call::Call;
pub use cancel::{CancelHandle, CancelOutcome};
pub use join::join;
pub use layer::{CallFuture, ClientLayer, ClientService};
pub use outcome::CallOutcome;
pub use progress::ProgressCall;
pub use request::{CallRequest, Verb};
pub use response::CallResponse;
pub use retry::{RetryBudget, RetryLayer, RetryService};
pub use ticket::Ticket;

use crate::{
    bus::Bus,
    codec::{self, ContentType},
    contract::{MethodContract, MethodKind, ServiceContract, check_name},
    error::{BoxError, CallFailure, FailureKind},
    limits::REQUEST_BYTES_MAX,
    message::Text,
    metric::MethodMetrics,
    partition::{self, PartitionKey, Ways},
    stream::{FeedCall, StreamCall},
    trace,
};
use bundle::QueueLanes;
use caller::Caller;
use futures_util::Stream;
use request::CallInfo;
use serde::Serialize;
use std::{fmt, sync::Arc};
use tower::ServiceExt;
use tracing::Instrument;

/// Why a call was not sent.
const NO_KEY: &str = "a contract with partitions: its calls are made by a key";

/// Bytes of a routing key: an AMQP short string.
const ADDRESS_BYTES_MAX: usize = 255;

/// The client of a contract: the queue it is called through, and the layers a call passes. Cheap to
/// clone.
///
/// Every generated client wraps one. By itself it calls a contract that was written by hand, such
/// as one that a gateway learned of at run time:
///
/// ```
/// use replybus::{
///     Bus, Never,
///     client::ServiceClient,
///     contract::{MethodContract, MethodKind, ServiceContract},
///     queue_handler,
/// };
/// use std::collections::BTreeMap;
///
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
/// static GREETER: ServiceContract = ServiceContract::new(
///     "Greeter",
///     "greeter.requests",
///     &[MethodContract::new("greet", MethodKind::Query)],
/// );
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bus = Bus::in_memory();
/// # let serving = bus.serve(GreeterServer::new(English)).await?;
/// let client = ServiceClient::new(&bus, &GREETER);
/// let (greet, _) = GREETER.method("greet").ok_or("no such method")?;
/// let arguments = BTreeMap::from([("name", "Ada")]); // they travel by name
/// let greeting = client.call::<_, Result<String, Never>>(greet, &arguments).await?;
/// assert_eq!(greeting, "Hello, Ada!");
/// # serving.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceClient(Arc<Shared>);

/// What the clones of a client share.
#[derive(Clone)]
struct Shared {
    contract: &'static ServiceContract,
    queue: Text,
    /// The same without the namespace.
    queue_name: Text,
    lanes: Arc<QueueLanes>,
    /// Of a contract with partitions: where its calls go.
    partitions: Option<Arc<Ways>>,
    /// The reason why the queue can't be one, if it can't.
    misnamed: Option<Arc<str>>,
    content_type: ContentType,
    bus: Bus,
    service: ClientService,
    /// Of each method in the contract, and behind them of none.
    metrics: Arc<[MethodMetrics]>,
}

impl ServiceClient {
    /// A client of `contract` over `bus`.
    #[must_use]
    pub fn new(bus: &Bus, contract: &'static ServiceContract) -> Self {
        let methods = contract.methods.iter().chain([&NO_METHOD]);
        let queue: Text = bus.name(contract.queue).into();
        Self(Arc::new(Shared {
            contract,
            lanes: bus.inner().bundler.lanes(&queue),
            partitions: ways(bus, contract, contract.queue),
            queue,
            queue_name: Text::from_static(contract.queue),
            misnamed: misnamed(bus, contract.queue),
            content_type: ContentType::default(),
            bus: bus.clone(),
            service: bus
                .inner()
                .client_layers
                .wrap(ClientService::new(Caller(bus.inner()))),
            metrics: methods
                .map(|method| MethodMetrics::of_calls(contract.name, method.name))
                .collect(),
        }))
    }

    /// Calls through another queue than the contract's, such as one per tenant. A name that can't
    /// be a queue's makes calls fail as not sent.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler};
    ///
    /// #[queue_handler("stock.requests")]
    /// pub trait Stock {
    ///     #[query]
    ///     async fn count(&self, article: u32) -> Result<u32, Never>;
    /// }
    /// # struct Shelf;
    /// # impl Stock for Shelf {
    /// #     async fn count(&self, _: u32) -> Result<u32, Never> { Ok(3) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// let serving = bus.serve(StockServer::new(Shelf)).on_queue("stock.vienna").await?;
    /// let vienna = StockClient::new(&bus).on_queue("stock.vienna");
    /// assert_eq!(vienna.count(17).await?, 3);
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_queue(mut self, queue: impl Into<String>) -> Self {
        let queue = queue.into();
        let shared = Arc::make_mut(&mut self.0);
        shared.misnamed = misnamed(&shared.bus, &queue);
        shared.partitions = ways(&shared.bus, shared.contract, &queue);
        shared.queue = shared.bus.name(&queue).into();
        shared.queue_name = queue.into();
        shared.lanes = shared.bus.inner().bundler.lanes(&shared.queue);
        self
    }

    /// Encodes requests, and has replies encoded, in another way than
    /// [MessagePack](ContentType::MessagePack).
    ///
    /// ```
    /// use replybus::{Bus, ContentType, Never, queue_handler};
    ///
    /// #[queue_handler("greeter.requests")]
    /// pub trait Greeter {
    ///     async fn greet(&self, name: String) -> Result<String, Never>;
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// // So that people can read along in the broker's web page.
    /// let greeter = GreeterClient::new(&Bus::in_memory()).with_content_type(ContentType::Json);
    /// # assert!(greeter.greet("Ada".into()).await.is_err());
    /// # }
    /// ```
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        Arc::make_mut(&mut self.0).content_type = content_type;
        self
    }

    /// Wraps the calls of this client in a [`tower::Layer`]; the last one added is the outermost.
    /// See [`ClientLayer`], and for a layer of one's own [`CallRequest`].
    #[must_use]
    pub fn layer<L: ClientLayer>(mut self, layer: L) -> Self {
        let shared = Arc::make_mut(&mut self.0);
        shared.service = layer.wrap(shared.service.clone());
        self
    }

    /// Prepares a call of the method at `method` in the contract.
    pub fn call<A: Serialize, R>(&self, method: usize, arguments: &A) -> Call<R> {
        // Generated code counts the methods of its own contract.
        let methods = self.0.contract.methods;
        let position = method.min(methods.len());
        let method = methods.get(position).unwrap_or(&NO_METHOD);
        let body = codec::encode(self.0.content_type, arguments, REQUEST_BYTES_MAX);
        Call::new(self.clone(), position, method, body)
    }

    /// Prepares a call of the method at `method` in the contract, whose answer is a stream.
    pub fn stream<A: Serialize, R>(&self, method: usize, arguments: &A) -> StreamCall<R> {
        StreamCall::new(self.call(method, arguments))
    }

    /// Prepares a call of a contract with [partitions](ServiceContract::partitions), which is run
    /// after all calls of this key that the broker had before it.
    ///
    /// ```
    /// use replybus::{
    ///     Bus, Never,
    ///     client::ServiceClient,
    ///     contract::{MethodContract, MethodKind, ServiceContract},
    ///     queue_handler,
    /// };
    /// use std::collections::BTreeMap;
    ///
    /// # #[queue_handler("greeter.requests", partitions = 4)]
    /// # pub trait Greeter {
    /// #     #[query]
    /// #     async fn greet(&self, #[key] name: String) -> Result<String, Never>;
    /// # }
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self, name: String) -> Result<String, Never> {
    /// #         Ok(format!("Hello, {name}!"))
    /// #     }
    /// # }
    /// static GREETER: ServiceContract = ServiceContract::new(
    ///     "Greeter",
    ///     "greeter.requests",
    ///     &[MethodContract::new("greet", MethodKind::Query)],
    /// )
    /// .partitions(4);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// # let serving = bus.serve(GreeterServer::new(English)).await?;
    /// let client = ServiceClient::new(&bus, &GREETER);
    /// let (name, arguments) = ("Ada", BTreeMap::from([("name", "Ada")]));
    /// let call = client.call_by_key::<_, Result<String, Never>, _>(0, &arguments, name);
    /// assert_eq!(call.await?, "Hello, Ada!");
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call_by_key<A: Serialize, R, K: PartitionKey + ?Sized>(
        &self,
        method: usize,
        arguments: &A,
        key: &K,
    ) -> Call<R> {
        self.call(method, arguments).by_key(partition::hash(key))
    }

    /// The same of a method whose answer is a stream: it is opened in this order, and its items
    /// travel beside what comes after.
    pub fn stream_by_key<A: Serialize, R, K: PartitionKey + ?Sized>(
        &self,
        method: usize,
        arguments: &A,
        key: &K,
    ) -> StreamCall<R> {
        StreamCall::new(self.call_by_key(method, arguments, key))
    }

    /// Prepares a call of the method at `method` in the contract, an argument of which is a stream of
    /// `items`.
    pub fn feed<A: Serialize, T, R>(
        &self,
        method: usize,
        arguments: &A,
        items: impl Stream<Item = T> + Send + 'static,
    ) -> FeedCall<R>
    where
        T: Serialize + Send + 'static,
        R: Outcome,
    {
        FeedCall::new(self.call(method, arguments), items)
    }

    pub(crate) fn contract(&self) -> &'static ServiceContract {
        self.0.contract
    }

    /// The metrics of the method at `position`.
    pub(crate) fn metrics(&self, position: usize) -> Option<&MethodMetrics> {
        self.0.metrics.get(position)
    }

    /// The queue of a call, by the hash of its key if it has one, and what calls to it share.
    pub(crate) fn way(&self, key: Option<u32>) -> Result<(Text, Arc<QueueLanes>), BoxError> {
        if let Some(reason) = &self.0.misnamed {
            return Err(reason.as_ref().into());
        }
        match (&self.0.partitions, key) {
            (None, None) => Ok((self.0.queue.clone(), Arc::clone(&self.0.lanes))),
            (Some(ways), Some(key)) => ways.of(key).cloned().ok_or_else(|| NO_KEY.into()),
            (Some(_), None) => Err(NO_KEY.into()),
            (None, Some(_)) => Err("a call by a key: the contract has no partitions".into()),
        }
    }

    /// The queue's name without the namespace.
    pub(crate) fn queue_name(&self) -> &Text {
        &self.0.queue_name
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(crate) fn content_type(&self) -> ContentType {
        self.0.content_type
    }

    async fn run(&self, request: &CallRequest) -> Result<CallResponse, CallFailure> {
        let span = tracing::info_span!(
            "call",
            service = self.0.contract.name,
            method = request.method.name,
            call_id = %request.id(),
        );
        match self.0.service.as_plain() {
            Some(caller) if !trace::is_on() => caller.make(request).instrument(span).await,
            // Boxed: what a call without layers waits with has no room for it.
            _ => Box::pin(self.run_traced(request).instrument(span)).await,
        }
    }

    async fn run_traced(&self, request: &CallRequest) -> Result<CallResponse, CallFailure> {
        let mut span = trace::calling(request);
        let outcome = match self.0.service.as_plain() {
            Some(caller) => caller.make(request).await,
            None => {
                let called = self.0.service.clone().oneshot(request.clone());
                let called = called.await;
                called.map_err(|error| failure_of(error, &request.info()))
            }
        };
        trace::answered(&mut span, &outcome);
        outcome
    }
}

/// The reason why no message could be addressed to a queue of this name, if none could.
fn misnamed(bus: &Bus, queue: &str) -> Option<Arc<str>> {
    if let Err(error) = check_name("queue", queue) {
        return Some(error.to_string().into());
    }
    let bytes = bus.name(queue).len();
    (bytes > ADDRESS_BYTES_MAX).then(|| {
        format!("queue: {bytes} bytes with its namespace, {ADDRESS_BYTES_MAX} are allowed").into()
    })
}

/// The ways to the partitions of a queue, if its contract has such.
fn ways(bus: &Bus, contract: &ServiceContract, queue: &str) -> Option<Arc<Ways>> {
    let partitions = contract.partitions?;
    Some(Arc::new(Ways::to(bus, queue, partitions)))
}

/// The failure that an error out of the layers stands for: our own as it is, tower's own by what
/// they mean, anything else as a failed layer.
fn failure_of(error: BoxError, info: &CallInfo) -> CallFailure {
    let kind = kind_of(&error);
    match error.downcast::<CallFailure>() {
        Ok(failure) => *failure,
        Err(error) => info.failure(kind).with_cause(error),
    }
}

/// The same, as far as it can be told of a reference: its kind, and whether the work can have been
/// done.
fn failed(error: &BoxError) -> (FailureKind, bool) {
    let kind = kind_of(error);
    let failure = error.downcast_ref::<CallFailure>();
    let ran = failure.map_or(kind.may_have_executed(), CallFailure::may_have_executed);
    (kind, ran)
}

fn kind_of(error: &BoxError) -> FailureKind {
    if let Some(failure) = error.downcast_ref::<CallFailure>() {
        failure.kind()
    } else if error.is::<tower::timeout::error::Elapsed>() {
        FailureKind::TimedOut
    } else if error.is::<tower::load_shed::error::Overloaded>() {
        FailureKind::Overloaded
    } else {
        FailureKind::Layer
    }
}

static NO_METHOD: MethodContract = MethodContract {
    name: "",
    kind: MethodKind::Command,
    timeout: None,
    own_record: false,
    job: None,
    signature: "",
    stream: false,
    feed: false,
    retry: None,
    cache: None,
    invalidates: &[],
};

impl fmt::Debug for ServiceClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceClient")
            .field("service", &self.0.contract.name)
            .field("queue", &self.0.queue)
            .field("content_type", &self.0.content_type)
            .finish_non_exhaustive()
    }
}
