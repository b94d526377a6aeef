//! The settings of a service that is about to be served.

use super::{
    Service, Serving,
    layer::{ServerLayer, ServerService},
};
use crate::{
    bus::Bus,
    contract::QueueType,
    error::SetupError,
    limits::{CONCURRENCY, DRAIN_WITHIN, PREFETCH},
    signature::ServiceSignatures,
};
use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

impl Bus {
    /// Serves a service: options, then `.await` for the running service.
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
    /// # let bus = Bus::in_memory();
    /// let serving = bus
    ///     .serve(GreeterServer::new(English))
    ///     .concurrency(64)
    ///     .await?;
    /// // .. until it is time to stop:
    /// serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve(&self, service: impl Service) -> Serve {
        Serve::new(self, Arc::new(service))
    }
}

/// A service about to be served: set options, then await it. Each option starts from the
/// contract's attribute, and that from [`crate::limits`].
#[must_use = "a service does nothing until it is awaited"]
pub struct Serve {
    pub(super) bus: Bus,
    pub(super) service: Arc<dyn Service>,
    pub(super) queue: String,
    pub(super) concurrency: u16,
    pub(super) prefetch: u16,
    pub(super) queue_type: QueueType,
    pub(super) queue_length_max: Option<u32>,
    pub(super) drain_within: Duration,
    pub(super) shed_load: bool,
    pub(super) bundles: bool,
    pub(super) version: Option<String>,
    pub(super) allow_drain: bool,
    pub(super) secret_metadata: Vec<String>,
    pub(super) signatures: ServiceSignatures,
    pub(super) layers: Vec<Box<dyn FnOnce(ServerService) -> ServerService + Send>>,
    /// The layers of the bus are around it, too.
    pub(super) is_within_bus_layers: bool,
}

impl Serve {
    fn new(bus: &Bus, service: Arc<dyn Service>) -> Self {
        let contract = service.contract();
        let defaults = &contract.defaults;
        let concurrency = defaults.concurrency.unwrap_or(CONCURRENCY);
        Self {
            bus: bus.clone(),
            queue: contract.queue.to_owned(),
            concurrency,
            prefetch: defaults
                .prefetch
                .unwrap_or_else(|| PREFETCH.max(concurrency)),
            queue_type: defaults.queue_type,
            queue_length_max: defaults.queue_length_max,
            drain_within: DRAIN_WITHIN,
            shed_load: false,
            bundles: defaults.bundles,
            version: None,
            allow_drain: false,
            secret_metadata: Vec::new(),
            signatures: ServiceSignatures::default(),
            layers: Vec::new(),
            is_within_bus_layers: true,
            service,
        }
    }

    /// Serves another queue than the contract's, such as one per tenant.
    pub fn on_queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = queue.into();
        self
    }

    /// Handlers that run at the same time in this process; at least 1, at most the prefetch. A
    /// command that a layer gave up on counts until it ends.
    pub fn concurrency(mut self, concurrency: u16) -> Self {
        self.concurrency = concurrency;
        self.prefetch = self.prefetch.max(concurrency);
        self
    }

    /// Deliveries held here before the first is settled; at least the concurrency, at most
    /// [`PREFETCH_MAX`](crate::limits::PREFETCH_MAX).
    ///
    /// ```
    /// # use replybus::{Bus, Never, queue_handler};
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
    /// # let bus = Bus::in_memory();
    /// // Handlers take seconds: what waits, waits where another worker can take it.
    /// let serving = bus
    ///     .serve(GreeterServer::new(English))
    ///     .concurrency(2)
    ///     .prefetch(2)
    ///     .await?;
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// The kind of queue to declare.
    pub fn queue_type(mut self, queue_type: QueueType) -> Self {
        self.queue_type = queue_type;
        self
    }

    /// Messages the queue holds before further calls are refused as overloaded. Callers ask the
    /// broker whether the queue took their call only if their contract has a `queue_length_max`, of
    /// whatever number. Those whose contract has none are not told, and their calls time out. So it
    /// belongs into the contract, and here goes another number for one place.
    ///
    /// ```
    /// # use replybus::{Bus, Never, queue_handler};
    /// #[queue_handler("greeter.requests", queue_length_max = 10000)]
    /// pub trait Greeter {
    ///     #[query]
    ///     async fn greet(&self, name: String) -> Result<String, Never>;
    /// }
    ///
    /// # struct English;
    /// # impl Greeter for English {
    /// #     async fn greet(&self, name: String) -> Result<String, Never> {
    /// #         Ok(format!("Hello, {name}!"))
    /// #     }
    /// # }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let bus = Bus::in_memory();
    /// // A small broker: 1,000 requests wait here. Callers are told if there are more, since the
    /// // contract has a limit.
    /// let serving = bus.serve(GreeterServer::new(English)).queue_length_max(1_000).await?;
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn queue_length_max(mut self, messages: u32) -> Self {
        self.queue_length_max = Some(messages);
        self
    }

    /// The time a shutdown gives running handlers to finish.
    pub fn drain_within(mut self, drain_within: Duration) -> Self {
        self.drain_within = drain_within;
        self
    }

    /// Refuses calls beyond the concurrency as overloaded, instead of letting them wait in the
    /// queue. Right where a late answer is worth nothing. One-way calls wait all the same: nobody
    /// would learn that they were refused.
    ///
    /// ```
    /// # use replybus::{Bus, Never, queue_handler};
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
    /// # let bus = Bus::in_memory();
    /// // Someone waits for the greeting: better told at once that there is no room for it.
    /// let serving = bus.serve(GreeterServer::new(English)).shed_load().await?;
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shed_load(mut self) -> Self {
        self.shed_load = true;
        self
    }

    /// Sets whether callers may send requests that wait at the same time as one message, which one
    /// process gets. They do that while handlers take less than a millisecond. Turn it off for
    /// handlers that are fast and still must not run in the same process at once.
    ///
    /// ```
    /// # use replybus::{Bus, Never, queue_handler};
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
    /// # let bus = Bus::in_memory();
    /// // Each greeting is to go to whichever process has least to do.
    /// let serving = bus.serve(GreeterServer::new(English)).bundles(false).await?;
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn bundles(mut self, bundles: bool) -> Self {
        self.bundles = bundles;
        self
    }

    /// Sets the version that the instance says it is of, such as `env!("CARGO_PKG_VERSION")`: see
    /// [`Bus::instances`]. 1 to [`INSTANCE_TEXT_MAX`](crate::limits::INSTANCE_TEXT_MAX) bytes without
    /// control characters.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Lets whoever may publish to the control exchange drain this instance:
    /// [`Control::drain`](crate::control::Control::drain). Not allowed unless this says so: a
    /// program that calls may cancel its own calls there, and should not be able to end the service.
    pub fn allow_drain(mut self) -> Self {
        self.allow_drain = true;
        self
    }

    /// Names entries of metadata that dead letters of this service leave out, such as the token of
    /// a session: a dead letter is kept until somebody takes it, and read by people. One that is
    /// put back comes without them.
    ///
    /// ```
    /// # use replybus::{Bus, Never, queue_handler};
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
    /// # let bus = Bus::in_memory();
    /// // A dead letter is read by people: without the session of the user.
    /// let serving = bus.serve(GreeterServer::new(English)).secret_metadata(["session"]).await?;
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn secret_metadata<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.secret_metadata.extend(names.into_iter().map(N::into));
        self
    }

    /// Believes only requests that a key of the ring signed, and that it may ask for: all others are
    /// refused as [`Denied`](crate::FailureKind::Denied), before anything is run. What it covers, and
    /// what it does not, is said in [`signature`](crate::signature). A service with
    /// [jobs](crate::contract::MethodContract::job) needs a [key](Self::sign) beside it.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn only_signed(mut self, ring: crate::signature::KeyRing) -> Self {
        self.signatures.only_signed(ring);
        self
    }

    /// Signs the replies of this service with a key of its own, the frames of its streams, and that a
    /// job was started, in place of [the key of the bus](crate::BusBuilder::sign): of several services
    /// in one process each can have its own.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn sign(mut self, key: crate::signature::SigningKey) -> Self {
        self.signatures.sign(key);
        self
    }

    /// Believes these keys, beside its own, when they say that a [job](crate::contract::MethodContract::job)
    /// was started: those of other instances of this service, if they sign with other keys, such as
    /// one that is being replaced. No callers': who is believed in this can have a caller told that its
    /// job was interrupted. Of use with [`only_signed`](Self::only_signed) alone. Each key goes by
    /// another name.
    ///
    /// Without it an instance takes what another has started for a request as it came: it begins one
    /// anew that nobody runs any more until the time that its caller signed is over, and leaves it from
    /// then on to an instance that believes what is said of it.
    ///
    /// ```
    /// use replybus::{Bus, Never, queue_handler, signature::{KeyRing, SigningKey}};
    /// # #[queue_handler("works.requests")]
    /// # pub trait Works {
    /// #     #[command(job = "1h")]
    /// #     async fn build(&self) -> Result<(), Never>;
    /// # }
    /// # struct Bricks;
    /// # impl Works for Bricks { async fn build(&self) -> Result<(), Never> { Ok(()) } }
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let (bus, [caller, old, new]) = (Bus::in_memory(), [[1; 32], [2; 32], [3; 32]]);
    /// # let caller = SigningKey::from_bytes("gateway-1", &caller)?.public_key();
    /// # let old = SigningKey::from_bytes("works-1", &old)?.public_key();
    /// let serving = bus
    ///     .serve(WorksServer::new(Bricks))
    ///     .only_signed(KeyRing::new().trust("gateway-1", &caller)?)
    ///     .sign(SigningKey::from_bytes("works-2", &new)?)
    ///     // Jobs that were started before the key was replaced go on.
    ///     .believe_instances(KeyRing::new().trust("works-1", &old)?)
    ///     .await?;
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn believe_instances(mut self, ring: crate::signature::KeyRing) -> Self {
        self.signatures.believe_instances(ring);
        self
    }

    /// Without the layers of the bus, for what is no service of its user's.
    #[cfg(feature = "schedules")]
    pub(crate) fn without_bus_layers(mut self) -> Self {
        self.is_within_bus_layers = false;
        self
    }

    /// Wraps the handlers in a [`tower::Layer`]; the last one added is the outermost. Inside of
    /// them all run the handlers, outside of them all stand the concurrency limit and shedding.
    ///
    /// ```
    /// # use replybus::{Bus, Never, queue_handler};
    /// use tower::limit::GlobalConcurrencyLimitLayer;
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
    /// # let bus = Bus::in_memory();
    /// // No more than 8 at once here and in all other services that share the limit.
    /// let limit = GlobalConcurrencyLimitLayer::new(8);
    /// let serving = bus.serve(GreeterServer::new(English)).layer(limit).await?;
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer<L: ServerLayer + Send + 'static>(mut self, layer: L) -> Self {
        self.layers
            .push(Box::new(move |service| layer.wrap(service)));
        self
    }
}

impl IntoFuture for Serve {
    type Output = Result<Serving, SetupError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    /// Declares the queue and its queue of dead letters, and starts to consume.
    ///
    /// # Errors
    /// A setting makes no sense, another contract or a group has the queue in this bus, the queue
    /// exists with other arguments, or the broker can't be reached.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.start())
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("service", &self.service.contract().name)
            .field("queue", &self.queue)
            .field("concurrency", &self.concurrency)
            .field("prefetch", &self.prefetch)
            .finish_non_exhaustive()
    }
}
