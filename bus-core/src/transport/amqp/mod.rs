//! Requests and events over RabbitMQ.
//!
//! [`Amqp`] says where the broker is; what it connects is a [`Transport`]. It keeps two
//! connections, one to publish and one to consume, because RabbitMQ stops reading a connection that
//! publishes while it is short of memory or disk, and with it every ack. Each is dropped and made
//! anew on any sign that it is lost, for ever: lost connections are seen by callers as
//! [`Verdict::Lost`], by consumers as redelivered messages. A queue that does not answer, and an
//! error of one channel, are no such sign.
//!
//! Exchanges are durable topic exchanges, declared before the first message to them.
//!
//! What lapin logs above level `debug` is not passed on: it calls an error what is an answer, and
//! logs returned messages with their bodies. What matters of it is logged here. With
//! `lapin=debug` the rest is heard.
//!
//! [`Verdict::Lost`]: crate::transport::Verdict::Lost

mod browse;
mod connect;
mod consume;
mod convert;
mod delay;
mod headers;
mod publish;
mod removal;
mod rights;
mod topology;
mod transport;

pub use rights::AmqpRights;

use self::{
    connect::{Address, Broker},
    transport::AmqpTransport,
};
use super::{Transport, TransportBackend};
use crate::{error::SetupError, limits};
use async_trait::async_trait;
use std::{fmt, sync::Arc, time::Duration};

/// The address of RabbitMQ, and the settings of the connections to it.
///
/// ```no_run
/// # async fn example() -> Result<(), replybus::SetupError> {
/// use replybus::transport::amqp::Amqp;
///
/// let transport = Amqp::new("amqp://teller:secret@rabbit-1:5672/%2f")
///     .address("amqp://teller:secret@rabbit-2:5672/%2f")
///     .connection_name("teller")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "does nothing until it is connected"]
pub struct Amqp {
    urls: Vec<String>,
    connection_name: String,
    heartbeat: Duration,
    connect_within: Duration,
    confirm_timeout: Duration,
    #[cfg(feature = "tls")]
    tls: connect::Tls,
}

impl Amqp {
    /// The broker at `amqp://user:password@host:port/vhost`. User, password and virtual host must
    /// be there; `/%2f` is the default virtual host. Nothing is checked before
    /// [`connect`](Self::connect).
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            connection_name: "replybus".to_owned(),
            heartbeat: limits::HEARTBEAT,
            connect_within: limits::CONNECT_WITHIN,
            confirm_timeout: limits::CONFIRM_TIMEOUT,
            #[cfg(feature = "tls")]
            tls: connect::Tls::default(),
        }
    }

    /// Another node of the same cluster, tried when those before it can't be reached.
    ///
    /// ```
    /// # use replybus::Amqp;
    /// # use std::time::Duration;
    /// // A cluster of brokers: the next one is tried when one is away.
    /// let amqp = Amqp::new("amqp://bank:secret@rabbit-1/%2f").address("amqp://bank:secret@rabbit-2/%2f");
    /// ```
    pub fn address(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// The name the broker shows for the connections. By default `replybus`.
    ///
    /// ```
    /// # use replybus::Amqp;
    /// # use std::time::Duration;
    /// // Seen in the broker's list of connections.
    /// let amqp = Amqp::new("amqp://bank:secret@rabbit/%2f").connection_name("account-service 7");
    /// ```
    pub fn connection_name(mut self, name: impl Into<String>) -> Self {
        self.connection_name = name.into();
        self
    }

    /// The period of the broker's signs of life: whole seconds, at least 1. Two missed ones end
    /// the connection. By default [`limits::HEARTBEAT`].
    ///
    /// ```
    /// # use replybus::Amqp;
    /// # use std::time::Duration;
    /// // A link that is often silent for longer than the usual 5 s.
    /// let amqp = Amqp::new("amqp://bank:secret@rabbit/%2f").heartbeat(Duration::from_secs(15));
    /// ```
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = every;
        self
    }

    /// The time that [`connect`](Self::connect), and consuming and declaring later, keep trying
    /// before they report that the broker can't be reached. By default [`limits::CONNECT_WITHIN`].
    ///
    /// ```
    /// # use replybus::Amqp;
    /// # use std::time::Duration;
    /// // A program that is to fail at once, such as a check of a deployment.
    /// let amqp = Amqp::new("amqp://bank:secret@rabbit/%2f").connect_within(Duration::from_secs(1));
    /// ```
    pub fn connect_within(mut self, limit: Duration) -> Self {
        self.connect_within = limit.min(limits::WAIT_MAX);
        self
    }

    /// The time the broker has to confirm a message before the next ones are published on
    /// another channel. One that is not confirmed within twice this time is
    /// [lost](crate::transport::Verdict::Lost). By default [`limits::CONFIRM_TIMEOUT`].
    ///
    /// ```
    /// # use replybus::Amqp;
    /// # use std::time::Duration;
    /// // A quorum queue over slow links.
    /// let amqp = Amqp::new("amqp://bank:secret@rabbit/%2f").confirm_timeout(Duration::from_secs(30));
    /// ```
    pub fn confirm_timeout(mut self, limit: Duration) -> Self {
        self.confirm_timeout = limit;
        self
    }

    /// Trusts the authorities whose certificates are in `pem` (one or more), and no others: those of
    /// the platform are not asked then. All addresses must be `amqps://`.
    ///
    /// ```no_run
    /// # use replybus::Amqp;
    /// # fn read() -> std::io::Result<()> {
    /// // An authority of one's own, and a broker that wants to know who connects.
    /// let amqp = Amqp::new("amqps://bank:secret@rabbit/%2f")
    ///     .ca_certificate_pem(std::fs::read_to_string("ca.pem")?)
    ///     .identity_pem(std::fs::read("bank.pem")?, std::fs::read("bank-key.pem")?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn ca_certificate_pem(mut self, pem: impl Into<String>) -> Self {
        self.tls.authority = Some(pem.into());
        self
    }

    /// Shows the broker this certificate (PEM, the leaf first), with its private key (PEM: PKCS#8,
    /// PKCS#1 or SEC1, not encrypted). All addresses must be `amqps://`.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn identity_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.identity = Some((certificate.into(), key.into()));
        self
    }

    /// Connects without a bus, trying again while the broker can't be reached. From then on lost
    /// connections are made anew for ever.
    ///
    /// # Errors
    /// A setting makes no sense, the broker refuses the user or virtual host, or it can't be
    /// reached within [`connect_within`](Self::connect_within).
    ///
    /// # Cancel safety
    /// Dropped before it is ready it leaves nothing behind.
    pub async fn connect(self) -> Result<Arc<dyn Transport>, SetupError> {
        let (broker, confirm_timeout) = self.checked()?;
        let transport = AmqpTransport::connect(broker, confirm_timeout).await?;
        Ok(Arc::new(transport))
    }

    fn checked(self) -> Result<(Broker, Duration), SetupError> {
        let addresses = self
            .urls
            .iter()
            .map(|url| Address::parse(url))
            .collect::<Result<Vec<_>, _>>()?;
        let seconds = self.heartbeat.as_secs();
        let heartbeat = u16::try_from(seconds)
            .ok()
            .filter(|_| seconds > 0 && self.heartbeat.subsec_nanos() == 0)
            .ok_or_else(|| {
                SetupError::setting("heartbeat", "must be whole seconds, from 1 to 65535")
            })?;
        for (name, limit) in [
            ("connect_within", self.connect_within),
            ("confirm_timeout", self.confirm_timeout),
        ] {
            if limit.is_zero() {
                return Err(SetupError::setting(name, "must be longer than zero"));
            }
        }
        #[cfg(feature = "tls")]
        let tls = self.tls.connector(&addresses)?;
        let broker = Broker {
            addresses,
            name: self.connection_name,
            heartbeat,
            connect_within: self.connect_within,
            #[cfg(feature = "tls")]
            tls,
        };
        Ok((broker, self.confirm_timeout))
    }
}

#[async_trait]
impl TransportBackend for Amqp {
    async fn open(self: Box<Self>) -> Result<Arc<dyn Transport>, SetupError> {
        self.connect().await
    }
}

/// Without passwords and keys.
impl fmt::Debug for Amqp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self
            .urls
            .iter()
            .map(|url| Address::parse(url).ok())
            .collect();
        f.debug_struct("Amqp")
            .field("addresses", &addresses)
            .field("connection_name", &self.connection_name)
            .field("heartbeat", &self.heartbeat)
            .field("connect_within", &self.connect_within)
            .field("confirm_timeout", &self.confirm_timeout)
            .finish_non_exhaustive()
    }
}
