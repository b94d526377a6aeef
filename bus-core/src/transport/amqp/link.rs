//! One connection to the broker that is always being kept up.
//!
//! lapin's own recovery is not used: it leaves confirms pending and consumers silent. Here any sign
//! that the connection is lost drops it and makes a new one, for ever, one attempt at a time.

use super::{
    failure::{Failure, FailureKind, is_of_one_channel},
    socket::Socket,
    url::Address,
};
use crate::{error::SetupError, limits};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures_util::{Stream, StreamExt};
use lapin::{Connection, ConnectionProperties, Event};
use std::{
    fmt, io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often the state of a connection is looked at, for changes that lapin announces nowhere.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// How long the broker may take to agree to the end of a connection.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// What both connections of a transport have in common.
pub(super) struct Broker {
    pub(super) addresses: Vec<Address>,
    pub(super) name: String,
    /// Seconds.
    pub(super) heartbeat: u16,
    pub(super) connect_within: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: lapin::tcp::OwnedTLSConfig,
}

/// A connection that is up, until it is not.
pub(super) struct Live {
    pub(super) connection: Connection,
    socket: Socket,
    blocked: watch::Sender<Option<Arc<str>>>,
    broken: mpsc::Sender<String>,
}

impl Live {
    /// Asks for the connection to be dropped and made anew.
    pub(super) fn fail(&self, reason: impl Into<String>) {
        // When one reason is on its way already, another adds nothing.
        let _ = self.broken.try_send(reason.into());
    }

    /// Why the broker takes no messages on this connection, if it does not.
    pub(super) fn blocked(&self) -> Option<Arc<str>> {
        self.blocked.borrow().clone()
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.borrow().is_some()
    }

    /// A new channel, within [`limits::CONNECT_TIMEOUT`].
    pub(super) async fn channel(&self) -> Result<lapin::Channel, Failure> {
        self.answer(self.connection.create_channel()).await
    }

    /// The broker's answer to a request that it can answer itself, such as to open a channel. None
    /// in [`limits::CONNECT_TIMEOUT`] means that the connection is dead, whatever TCP says.
    pub(super) async fn answer<T>(
        &self,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout(limits::CONNECT_TIMEOUT, request).await {
            Ok(answer) => Ok(answer?),
            Err(_) => {
                let reason = format!("no answer within {:?}", limits::CONNECT_TIMEOUT);
                self.fail(reason.clone());
                Err(Failure::transient(reason))
            }
        }
    }
}

impl Live {
    /// The broker's answer to a request that a queue must answer. That can take as long as it likes
    /// while the connection, which others use too, is seen to be alive: until it has come or
    /// `until` is over. The same request is waited for all the time: another would take another
    /// channel, which can't be closed before the queue answers.
    pub(super) async fn answer_about_queue<T>(
        &self,
        queue: &str,
        until: Option<Instant>,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Failure> {
        let mut request = pin!(request);
        let started = Instant::now();
        loop {
            let patience = Instant::now() + limits::CONNECT_TIMEOUT;
            let wake = until.map_or(patience, |until| until.min(patience));
            if let Ok(answer) = timeout_at(wake, &mut request).await {
                return Ok(answer?);
            }
            let probe = self.channel().await?;
            let _ = self.answer(probe.close(200, "alive".into())).await;
            if until.is_some_and(|until| until <= Instant::now()) {
                return Err(Failure::silent(queue));
            }
            let waited = started.elapsed();
            tracing::warn!(
                queue,
                ?waited,
                "the queue does not answer, the connection does"
            );
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// Whether there is a connection.
#[derive(Debug, Clone)]
pub(super) enum LinkState {
    Up(Arc<Live>),
    Down(Arc<str>),
    Closed,
}

/// A connection that is always being kept up.
#[derive(Debug, Clone)]
pub(super) struct Link {
    state: watch::Receiver<LinkState>,
}

impl Link {
    /// Makes the first connection and keeps it up until `closing`.
    ///
    /// # Errors
    /// The broker refuses us, or can't be reached within `connect_within`.
    pub(super) async fn connect(
        broker: Arc<Broker>,
        role: &'static str,
        tasks: &TaskTracker,
        closing: CancellationToken,
    ) -> Result<Self, SetupError> {
        let opened = open_first(&broker, role).await?;
        let (sender, state) = watch::channel(LinkState::Up(Arc::clone(&opened.live)));
        tasks.spawn(keep_up(broker, role, opened, sender, closing));
        Ok(Self { state })
    }

    /// The state now.
    pub(super) fn state(&self) -> LinkState {
        self.state.borrow().clone()
    }

    /// Whether the broker takes no messages on the connection there is.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(&*self.state.borrow(), LinkState::Up(live) if live.is_blocked())
    }

    /// Waits for another state.
    pub(super) async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            // The supervisor is gone, and with it every change.
            std::future::pending::<()>().await;
        }
    }

    /// Waits for a connection; `None` once closed.
    pub(super) async fn up(&mut self) -> Option<Arc<Live>> {
        let state = self
            .state
            .wait_for(|state| !matches!(state, LinkState::Down(_)))
            .await
            .ok()?;
        match &*state {
            LinkState::Up(live) => Some(Arc::clone(live)),
            LinkState::Down(_) | LinkState::Closed => None,
        }
    }
}

struct Opened {
    live: Arc<Live>,
    events: Pin<Box<dyn Stream<Item = Event> + Send>>,
    broken: mpsc::Receiver<String>,
    address: String,
}

/// Pauses between attempts to reach a broker, or something on it: growing, jittered, without end.
pub(super) struct Pauses(ExponentialBackoff);

impl Pauses {
    pub(super) fn new() -> Self {
        // backon's jitter adds up to the whole pause, so half the bound is the bound.
        let backoff = ExponentialBuilder::new()
            .with_min_delay(limits::RECONNECT_MIN / 2)
            .with_max_delay(limits::RECONNECT_MAX / 2)
            .with_jitter()
            .without_max_times();
        Self(backoff.build())
    }

    pub(super) fn next(&mut self) -> Duration {
        self.0.next().unwrap_or(limits::RECONNECT_MAX)
    }
}

async fn open_first(broker: &Broker, role: &'static str) -> Result<Opened, SetupError> {
    let deadline = Instant::now() + broker.connect_within;
    let mut last = (
        broker
            .addresses
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
        Failure::transient("no attempt was finished"),
    );
    let mut pauses = Pauses::new();
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
        let pause = pauses.next();
        if Instant::now() + pause >= deadline {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    let (address, failure) = last;
    Err(SetupError::Unreachable {
        server: "RabbitMQ",
        address,
        source: failure.into(),
    })
}

/// One attempt. Dropped or failed, it leaves neither a socket nor a thread behind.
async fn open(broker: &Broker, role: &'static str, address: &Address) -> Result<Opened, Failure> {
    let socket = Socket::default();
    let slot = socket.slot();
    #[cfg(feature = "tls")]
    let tls = broker.tls.clone();
    let connecting = Connection::connector(
        address.uri(broker.heartbeat),
        lapin::runtime::default_runtime()?,
        async move |uri: lapin::uri::AMQPUri, runtime| {
            let authority = uri.authority;
            let connect = async {
                let host = authority.host.clone();
                let addresses = runtime.to_socket_addrs((host, authority.port));
                let stream = lapin::AsyncTcpStream::connect(&runtime, addresses).await?;
                #[allow(irrefutable_let_patterns)] // There are others with TLS.
                if let lapin::AsyncTcpStream::Plain(tcp) = &stream {
                    slot.fill(tcp.get_ref())?;
                }
                #[cfg(feature = "tls")]
                if uri.scheme == lapin::uri::AMQPScheme::AMQPS {
                    return stream.into_tls(&authority.host, tls.as_ref()).await;
                }
                Ok::<_, io::Error>(stream)
            };
            match timeout(limits::CONNECT_TIMEOUT, connect).await {
                Ok(stream) => Ok(stream?),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        },
        ConnectionProperties::default()
            .with_connection_name(format!("{} ({role})", broker.name).into()),
    );
    let connection = timeout(limits::CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| {
            Failure::transient(format!("no answer within {:?}", limits::CONNECT_TIMEOUT))
        })??;
    let events = Box::pin(connection.events_listener());
    let (broken, broken_receiver) = mpsc::channel(1);
    Ok(Opened {
        live: Arc::new(Live {
            connection,
            socket,
            blocked: watch::Sender::default(),
            broken,
        }),
        events,
        broken: broken_receiver,
        address: address.to_string(),
    })
}

async fn keep_up(
    broker: Arc<Broker>,
    role: &'static str,
    mut opened: Opened,
    state: watch::Sender<LinkState>,
    closing: CancellationToken,
) {
    tracing::info!(
        connection = role,
        address = opened.address,
        "connected to RabbitMQ"
    );
    loop {
        let reason = tokio::select! {
            reason = lost(&mut opened) => reason,
            () = closing.cancelled() => {
                state.send_replace(LinkState::Closed);
                // A blocked connection would never agree to its end.
                let _ = timeout(CLOSE_WITHIN, opened.live.connection.close(200, "closed".into())).await;
                opened.live.socket.cut();
                return;
            }
        };
        tracing::warn!(
            connection = role,
            address = opened.address,
            reason,
            "lost the connection to RabbitMQ"
        );
        state.send_replace(LinkState::Down(reason.into()));
        opened.live.socket.cut();
        opened = tokio::select! {
            opened = reopen(&broker, role) => opened,
            () = closing.cancelled() => {
                state.send_replace(LinkState::Closed);
                return;
            }
        };
        metrics::counter!("replybus_reconnects_total", "connection" => role).increment(1);
        tracing::info!(
            connection = role,
            address = opened.address,
            "connected to RabbitMQ again"
        );
        state.send_replace(LinkState::Up(Arc::clone(&opened.live)));
    }
}

async fn reopen(broker: &Broker, role: &'static str) -> Opened {
    let mut pauses = Pauses::new();
    loop {
        tokio::time::sleep(pauses.next()).await;
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

/// Follows a connection until it is lost, and says why.
async fn lost(opened: &mut Opened) -> String {
    let live = &opened.live;
    let status = live.connection.status();
    let mut check = tokio::time::interval(CHECK_EVERY);
    loop {
        tokio::select! {
            event = opened.events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => block(live, Some(reason)),
                Some(Event::ConnectionUnblocked) => block(live, None),
                // An error of one channel is told to those who use it.
                Some(Event::Error(error)) if !is_of_one_channel(&error) => {
                    return Failure::from(error).to_string();
                }
                Some(_) => {}
                None => return "the connection ended".to_owned(),
            },
            Some(reason) = opened.broken.recv() => return reason,
            _ = check.tick() => {
                if !status.connected() {
                    return "the connection ended".to_owned();
                }
                if status.blocked() != live.is_blocked() {
                    block(live, status.blocked().then(|| "no reason given".to_owned()));
                }
            }
        }
    }
}

fn block(live: &Live, reason: Option<String>) {
    match &reason {
        Some(reason) => tracing::warn!(reason, "RabbitMQ takes no messages for now"),
        None => tracing::info!("RabbitMQ takes messages again"),
    }
    live.blocked.send_replace(reason.map(Into::into));
}
