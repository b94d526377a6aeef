//! Opening a connection: one attempt at each address of the broker, in turn, until one succeeds.

use super::{
    backoff::Backoff,
    failure::{Failure, FailureKind},
    frames::{FRAME_BYTES_MAX, Notices},
    live::Live,
    runtime::guarded,
    socket::Socket,
    stream::GuardedStream,
    url::Address,
};
use crate::{error::SetupError, limits::CONNECT_TIMEOUT};
use futures_util::Stream;
use lapin::{Connection, ConnectionProperties, Event};
use std::{io, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout, timeout_at},
};
use uuid::Uuid;

/// The settings that both connections of a transport have in common.
pub(crate) struct Broker {
    pub(crate) addresses: Vec<Address>,
    pub(crate) name: String,
    /// Seconds.
    pub(crate) heartbeat: u16,
    pub(crate) connect_within: Duration,
    /// There if an address is encrypted.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<lapin::tcp::RustlsConnector>,
}

/// A connection that was opened, and the signs by which its loss is seen.
pub(super) struct Opened {
    pub(super) live: Arc<Live>,
    pub(super) events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    pub(super) broken: mpsc::Receiver<String>,
    pub(super) address: String,
}

/// The first connection.
///
/// # Errors
/// The broker refuses us, or can't be reached within `connect_within`.
pub(super) async fn open_first(broker: &Broker, role: &'static str) -> Result<Opened, SetupError> {
    let deadline = Instant::now() + broker.connect_within;
    let mut last = (
        broker
            .addresses
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
        Failure::transient("no attempt was finished"),
    );
    let mut backoff = Backoff::new();
    loop {
        for address in &broker.addresses {
            match timeout_at(deadline, open(broker, role, address)).await {
                Ok(Ok(opened)) => return Ok(opened),
                Ok(Err(failure)) if failure.kind == FailureKind::Refused => {
                    return Err(SetupError::Refused {
                        server: "RabbitMQ",
                        address: address.to_string(),
                        reason: failure.to_string(),
                    });
                }
                Ok(Err(failure)) => {
                    tracing::warn!(connection = role, %address, %failure, "RabbitMQ can't be reached yet");
                    last = (address.to_string(), failure);
                }
                Err(_) => break,
            }
        }
        let pause = backoff.next();
        if Instant::now() + pause >= deadline {
            break;
        }
        sleep(pause).await;
    }
    let (address, failure) = last;
    Err(SetupError::Unreachable {
        server: "RabbitMQ",
        address,
        source: failure.into(),
    })
}

/// Another connection after one that was lost, however long it takes.
pub(super) async fn reopen(broker: &Broker, role: &'static str, backoff: &mut Backoff) -> Opened {
    loop {
        sleep(backoff.next()).await;
        for address in &broker.addresses {
            match open(broker, role, address).await {
                Ok(opened) => return opened,
                Err(failure) => {
                    tracing::warn!(connection = role, %address, %failure, "RabbitMQ can't be reached");
                }
            }
        }
    }
}

/// One attempt. Dropped or failed, it leaves neither a socket nor a thread behind.
async fn open(broker: &Broker, role: &'static str, address: &Address) -> Result<Opened, Failure> {
    let socket = Socket::default();
    let opened = socket.opened();
    #[cfg(feature = "tls")]
    let tls = broker.tls.clone();
    let notices = Notices::new(&Uuid::new_v4().simple().to_string());
    let guard = notices.clone();
    let runtime = lapin::runtime::default_runtime()?;
    let connecting = Connection::connector(
        address.uri(broker.heartbeat, FRAME_BYTES_MAX),
        guarded(notices.clone()),
        async move |uri: lapin::uri::AMQPUri, _| {
            let authority = uri.authority;
            let connect = async {
                let host = authority.host.clone();
                let addresses = runtime.to_socket_addrs((host, authority.port));
                let stream = lapin::AsyncTcpStream::connect(&runtime, addresses).await?;
                #[allow(irrefutable_let_patterns)] // There are others with TLS.
                if let lapin::AsyncTcpStream::Plain(tcp) = &stream {
                    opened.fill(tcp.get_ref())?;
                }
                #[cfg(feature = "tls")]
                if uri.scheme == lapin::uri::AMQPScheme::AMQPS {
                    // Never in the clear, whatever became of the settings.
                    let connector = tls.as_ref().ok_or(io::ErrorKind::Unsupported)?;
                    return stream.into_rustls(connector, &authority.host).await;
                }
                Ok::<_, io::Error>(stream)
            };
            match timeout(CONNECT_TIMEOUT, connect).await {
                Ok(stream) => Ok(lapin::AsyncTcpStream::Plain(GuardedStream::new(
                    stream?,
                    guard.clone(),
                ))),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        },
        ConnectionProperties::default()
            .with_connection_name(format!("{} ({role})", broker.name).into()),
    );
    let connection = timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| Failure::transient(format!("no answer within {CONNECT_TIMEOUT:?}")))??;
    let events = Box::pin(connection.events_listener());
    let (live, broken) = Live::over(connection, socket, notices);
    Ok(Opened {
        live: Arc::new(live),
        events,
        broken,
        address: address.to_string(),
    })
}
