//! What a bus is set to, before it is connected.

use super::{Bus, check_namespace};
use crate::{
    client::{ClientLayer, ClientService, waiters::Waiters},
    error::SetupError,
    flight::FlightRecord,
    layer::Everywhere,
    limits::NAME_BYTES_MAX,
    reply::{Arrivals, ReplyBackend},
    server::{ServerLayer, ServerService},
    signature::Signatures,
    transport::TransportBackend,
};
use std::sync::Arc;

/// Builds a [`Bus`].
#[derive(Debug, Clone)]
#[must_use]
pub struct BusBuilder {
    pub(super) namespace: String,
    pub(super) app_id: String,
    pub(super) wait_for_services: bool,
    pub(super) flight_record: Option<FlightRecord>,
    pub(super) client_layers: Everywhere<ClientService>,
    pub(super) server_layers: Everywhere<ServerService>,
    pub(super) signatures: Signatures,
}

impl Default for BusBuilder {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            app_id: program_name(),
            wait_for_services: false,
            flight_record: None,
            client_layers: Everywhere::default(),
            server_layers: Everywhere::default(),
            signatures: Signatures::default(),
        }
    }
}

impl BusBuilder {
    /// Puts a prefix before every queue, exchange and key of this bus, so that several can share
    /// servers without meeting: an environment, a tenant, a test.
    ///
    /// ```no_run
    /// # #[cfg(feature = "amqp")]
    /// use replybus::{Amqp, Bus, reply::memory::MemoryReplies};
    /// #
    /// # #[cfg(feature = "amqp")]
    /// # async fn connect() -> Result<(), replybus::SetupError> {
    /// // A test beside others on one broker: its queues begin with "test-4711.".
    /// let amqp = Amqp::new("amqp://guest:guest@127.0.0.1:5672/%2f");
    /// let bus = Bus::builder().namespace("test-4711").connect(amqp, MemoryReplies::new()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The name of this program to services (AMQP `app_id`). The program's file name unless
    /// set.
    pub fn app_id(mut self, app_id: impl Into<String>) -> Self {
        self.app_id = app_id.into();
        self
    }

    /// Has all calls of this bus wait for their service, where nobody serves it, until their time is
    /// over: as [`Call::wait_for_service`](crate::Call::wait_for_service) does for one. Right where
    /// services are restarted one at a time, and a call that takes seconds is better than one that
    /// fails.
    ///
    /// ```
    /// use replybus::{Bus, reply::memory::MemoryReplies, transport::memory::MemoryBroker};
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), replybus::SetupError> {
    /// let builder = Bus::builder().wait_for_services();
    /// let bus = builder.connect(MemoryBroker::new(), MemoryReplies::new()).await?;
    /// # drop(bus);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_for_services(mut self) -> Self {
        self.wait_for_services = true;
        self
    }

    /// Records what becomes of calls, in the reply store, beside those of all other programs of this
    /// namespace that do: when each was made, taken, claimed, begun and answered, and by whom; nothing
    /// of what it was about. [`Bus::flight`] reads it, and so does `replybus explain`; see
    /// [`flight`](crate::flight). Off unless set, and then it costs nothing.
    ///
    /// ```
    /// use replybus::{
    ///     Bus, flight::FlightRecord, reply::memory::MemoryReplies,
    ///     transport::memory::MemoryBroker,
    /// };
    /// #
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), replybus::SetupError> {
    /// let builder = Bus::builder().flight_record(FlightRecord::new());
    /// let bus = builder.connect(MemoryBroker::new(), MemoryReplies::new()).await?;
    /// # drop(bus);
    /// # Ok(())
    /// # }
    /// ```
    pub fn flight_record(mut self, record: FlightRecord) -> Self {
        self.flight_record = Some(record);
        self
    }

    /// Signs the requests of this bus, and the replies of the services that it serves to requests that
    /// are signed, with a key: see [`signature`](crate::signature). Nothing is signed unless set.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn sign(mut self, key: crate::signature::SigningKey) -> Self {
        self.signatures.sign(key);
        self
    }

    /// Believes only replies that a key of the ring signed: a call with any other fails as
    /// [`BadReply`](crate::FailureKind::BadReply). A service signs its replies to requests that are
    /// signed, so this bus has to [`sign`](Self::sign), too. Of a stream it is each frame: one that
    /// is not signed is passed over, and a stream that has no others fails when nothing was heard of
    /// it for [`STREAM_SILENCE_MAX`](crate::limits::STREAM_SILENCE_MAX). Then a call that was cancelled
    /// is not known to have never been started, and no answer is taken that was kept for others.
    #[cfg(feature = "signed")]
    #[cfg_attr(docsrs, doc(cfg(feature = "signed")))]
    pub fn only_signed_replies(mut self, ring: crate::signature::KeyRing) -> Self {
        self.signatures.only_signed_replies(ring);
        self
    }

    /// Wraps the calls of all clients of this bus in a layer; the last one added is the outermost. It
    /// is nearer to the bus than the layers of a client are: a [`RetryLayer`](crate::client::RetryLayer)
    /// of one passes it with each attempt.
    ///
    /// ```
    /// use replybus::{
    ///     Bus, client::BreakerLayer, reply::memory::MemoryReplies,
    ///     transport::memory::MemoryBroker,
    /// };
    /// # use replybus::queue_handler;
    /// # #[queue_handler("stock.requests")]
    /// # pub trait Stock {
    /// #     #[query]
    /// #     async fn count(&self, article: u32) -> Result<u32, replybus::Never>;
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), replybus::SetupError> {
    /// let breaker = BreakerLayer::new();
    /// let builder = Bus::builder().client_layer(breaker.clone());
    /// let bus = builder.connect(MemoryBroker::new(), MemoryReplies::new()).await?;
    /// # let _ = StockClient::new(&bus).count(17).await;
    /// for circuit in breaker.report() {
    ///     println!("{}.{}: {}", circuit.queue, circuit.method, circuit.state.as_str());
    /// }
    /// # assert_eq!(breaker.report().len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn client_layer(mut self, layer: impl ClientLayer + Clone + Send + Sync + 'static) -> Self {
        self.client_layers.add(layer);
        self
    }

    /// Wraps all services of this bus in a layer; the last one added is the outermost. It is around the
    /// layers that a service has of its own ([`Serve::layer`](crate::server::Serve::layer)). Schedules
    /// and subscriptions are no services, and are not wrapped.
    ///
    /// ```
    /// use replybus::{
    ///     Bus, FailureKind,
    ///     error::FaultCode,
    ///     layer::{Next, from_fn},
    ///     reply::memory::MemoryReplies,
    ///     server::{Answer, Request, ServerService},
    ///     transport::memory::MemoryBroker,
    /// };
    /// # use replybus::{Never, queue_handler};
    /// # #[queue_handler("stock.requests")]
    /// # pub trait Stock {
    /// #     #[query]
    /// #     async fn count(&self, article: u32) -> Result<u32, Never>;
    /// # }
    /// # struct Shelf;
    /// # impl Stock for Shelf {
    /// #     async fn count(&self, _: u32) -> Result<u32, Never> { Ok(3) }
    /// # }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // No service of this program answers a caller that does not say who it is.
    /// let checked = from_fn(async |request: Request, next: Next<ServerService>| {
    ///     match request.context().metadata().get("token") {
    ///         Some("secret") => next.run(request).await,
    ///         _ => Ok(Answer::fault(FaultCode::Denied, "a token is needed")),
    ///     }
    /// });
    /// let builder = Bus::builder().server_layer(checked);
    /// let bus = builder.connect(MemoryBroker::new(), MemoryReplies::new()).await?;
    /// # let serving = bus.serve(StockServer::new(Shelf)).await?;
    /// # let stock = StockClient::new(&bus);
    /// # assert_eq!(stock.count(17).await.unwrap_err().kind(), Some(FailureKind::Denied));
    /// # assert_eq!(stock.count(17).metadata("token", "secret").await?, 3);
    /// # serving.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn server_layer(mut self, layer: impl ServerLayer + Clone + Send + Sync + 'static) -> Self {
        self.server_layers.add(layer);
        self
    }

    /// Connects to a broker and to a reply store; see [`Bus::connect`].
    ///
    /// # Errors
    /// As [`Bus::connect`].
    ///
    /// # Cancel safety
    /// As [`Bus::connect`].
    pub async fn connect(
        self,
        transport: impl TransportBackend,
        replies: impl ReplyBackend,
    ) -> Result<Bus, SetupError> {
        self.check()?;
        let transport = Box::new(transport).open().await?;
        let waiters = Arc::new(Waiters::default());
        let arrivals: Arc<dyn Arrivals> = Arc::<Waiters>::clone(&waiters);
        let replies = Box::new(replies).open(&self.namespace, arrivals).await?;
        Ok(Bus::from_parts(self, transport, replies, waiters))
    }

    fn check(&self) -> Result<(), SetupError> {
        check_namespace(&self.namespace)?;
        self.signatures.check()?;
        if let Some(record) = &self.flight_record {
            record.check()?;
        }
        let bytes = self.app_id.len();
        if bytes == 0 || bytes > NAME_BYTES_MAX {
            let reason = format!("{bytes} bytes, 1 to {NAME_BYTES_MAX} are allowed");
            return Err(SetupError::setting("app_id", reason));
        }
        Ok(())
    }
}

fn program_name() -> String {
    std::env::args_os()
        .next()
        .map(std::path::PathBuf::from)
        .and_then(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX)
        .unwrap_or_else(|| "replybus".to_owned())
}
