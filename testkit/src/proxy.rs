//! A TCP proxy that breaks connections the way networks do.

use crate::servers::ReservedPort;
use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{
        TcpListener, TcpStream, lookup_host,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{broadcast, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use url::Url;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// Chunks of one direction that may be on their way.
const CHUNKS_MAX: usize = 1024;

/// Between two attempts to listen again, and between two looks at a client that is not read.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Bytes sent in the server's name that a connection may be behind with, in calls of
/// [`Proxy::inject`].
const INJECTED_MAX: usize = 64;

/// The treatment that connections get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Forwards both ways, beginning with what was held back.
    Pass,
    /// Resets every open connection, then goes on as [`Pass`](Self::Pass).
    Cut,
    /// Resets every open connection and refuses new ones, as a machine without the server does.
    Refuse,
    /// Accepts connections and forwards nothing on any, as a network that drops every packet.
    Swallow,
    /// Forwards nothing more on the connections that are open, ever; new ones pass. So looks a
    /// firewall that forgot a connection.
    SwallowOld,
    /// Forwards each chunk after this time, in both directions.
    Latency(Duration),
    /// Forwards at most so many bytes at a time, in both directions, and nothing for this time after
    /// each piece, as a line does that is slow. With no time it only cuts what passes.
    Pieces {
        /// The largest piece.
        bytes: usize,
        /// The time after each.
        pause: Duration,
    },
}

/// A proxy in front of one server. Dropped, it resets its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// The state that the proxy and its connections share.
#[derive(Debug)]
struct Shared {
    rules: watch::Sender<Rules>,
    injected: broadcast::Sender<Arc<[u8]>>,
    ended_by_client: AtomicU64,
}

/// The rules of the moment, for connections numbered in the order they were accepted.
#[derive(Debug, Clone, Copy)]
struct Rules {
    mode: Mode,
    server: SocketAddr,
    accepted: u64,
    /// Connections up to this one are to be reset.
    cut_up_to: u64,
    /// Connections up to this one get nothing more.
    swallowed_up_to: u64,
}

impl Rules {
    fn swallows(&self, connection: u64) -> bool {
        self.mode == Mode::Swallow || connection <= self.swallowed_up_to
    }

    fn latency(&self) -> Duration {
        match self.mode {
            Mode::Latency(latency) => latency,
            _ => Duration::ZERO,
        }
    }

    /// The most bytes that pass at once, and the time after them.
    fn piece(&self) -> (usize, Duration) {
        match self.mode {
            Mode::Pieces { bytes, pause } => (bytes.max(1), pause),
            _ => (usize::MAX, Duration::ZERO),
        }
    }
}

impl Proxy {
    /// A proxy that passes on to `server`.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn to(server: SocketAddr) -> io::Result<Self> {
        let port = ReservedPort::new()?;
        let address = port.address();
        let listener = TcpListener::bind(address).await?;
        let rules = Rules {
            mode: Mode::Pass,
            server,
            accepted: 0,
            cut_up_to: 0,
            swallowed_up_to: 0,
        };
        let shared = Arc::new(Shared {
            rules: watch::Sender::new(rules),
            injected: broadcast::Sender::new(INJECTED_MAX),
            ended_by_client: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, port, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// A proxy in front of the server in an address, and the address through the proxy.
    ///
    /// # Errors
    /// The address has no host or can't be resolved, or there is no free port.
    pub async fn before(url: &str, default_port: u16) -> io::Result<(Self, Url)> {
        let invalid = |reason: &str| io::Error::new(io::ErrorKind::InvalidInput, reason);
        let mut url = Url::parse(url).map_err(|error| invalid(&error.to_string()))?;
        let host = url.host_str().ok_or_else(|| invalid("it has no host"))?;
        let host = (host.to_owned(), url.port().unwrap_or(default_port));
        let server = lookup_host(host).await?.next();
        let server = server.ok_or_else(|| invalid("its host has no address"))?;
        let proxy = Self::to(server).await?;
        // Both are refused only by an address without a host.
        let _ = url.set_ip_host(proxy.address.ip());
        let _ = url.set_port(Some(proxy.address.port()));
        Ok((proxy, url))
    }

    /// The address it listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does, for connections that are open and for new ones.
    pub fn set(&self, mode: Mode) {
        self.shared.rules.send_modify(|rules| {
            rules.mode = mode;
            match mode {
                Mode::Cut | Mode::Refuse => rules.cut_up_to = rules.accepted,
                Mode::SwallowOld => rules.swallowed_up_to = rules.accepted,
                Mode::Pass | Mode::Swallow | Mode::Latency(_) | Mode::Pieces { .. } => {}
            }
        });
    }

    /// Leads new connections to another server. Those that are open stay where they are.
    pub fn lead_to(&self, server: SocketAddr) {
        self.shared.rules.send_modify(|rules| rules.server = server);
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.rules.borrow().accepted
    }

    /// Connections that their clients have ended so far, those included of which nothing is read.
    #[must_use]
    pub fn ended_by_client(&self) -> u64 {
        self.shared.ended_by_client.load(Ordering::SeqCst)
    }

    /// Sends bytes to the client of every open connection as if the server had, after what is on
    /// its way.
    pub fn inject(&self, bytes: &[u8]) {
        // Without a connection nobody receives them.
        let _ = self.shared.injected.send(bytes.into());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Refuse);
        self.accepting.abort();
    }
}

/// Accepts connections until aborted.
async fn accept(listener: TcpListener, port: ReservedPort, shared: Arc<Shared>) {
    let mut listener = Some(listener);
    let mut changes = shared.rules.subscribe();
    loop {
        if changes.borrow_and_update().mode == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(port.address()).await.ok();
            if listener.is_none() {
                // The port is reserved: what is in the way is a socket that is being closed.
                sleep(LOOK_EVERY).await;
                continue;
            }
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => pending().await,
            }
        };
        let client = tokio::select! {
            Ok((client, _)) = accepted => client,
            _ = changes.changed() => continue,
        };
        shared.rules.send_modify(|rules| rules.accepted += 1);
        let connection = Connection {
            number: shared.rules.borrow().accepted,
            rules: shared.rules.subscribe(),
            shared: Arc::clone(&shared),
        };
        let injected = shared.injected.subscribe();
        tokio::spawn(connection.serve(client, injected));
    }
}

/// One connection through the proxy.
#[derive(Clone)]
struct Connection {
    number: u64,
    rules: watch::Receiver<Rules>,
    shared: Arc<Shared>,
}

/// Bytes on their way, and when they are due.
type Chunk = (Instant, Vec<u8>);

impl Connection {
    /// Carries it until both ends are done or it is cut.
    async fn serve(mut self, mut client: TcpStream, injected: broadcast::Receiver<Arc<[u8]>>) {
        let server = self.rules.borrow().server;
        let Ok(mut server) = TcpStream::connect(server).await else {
            let _ = client.set_zero_linger();
            return;
        };
        // What is delayed is delayed on purpose.
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let (there, arrived_there) = mpsc::channel(CHUNKS_MAX);
        let (back, arrived_back) = mpsc::channel(CHUNKS_MAX);
        let parts = [(); 4].map(|()| self.clone());
        let cut = {
            let [one, two, three, four] = parts;
            let ended = || {
                self.shared.ended_by_client.fetch_add(1, Ordering::SeqCst);
            };
            let number = self.number;
            tokio::select! {
                _ = self.rules.wait_for(|rules| rules.cut_up_to >= number) => true,
                _ = async {
                    tokio::join!(
                        one.read(from_client, there, ended),
                        two.write(arrived_there, None, to_server),
                        three.read(from_server, back, || ()),
                        four.write(arrived_back, Some(injected), to_client),
                    )
                } => false,
            }
        };
        if cut {
            let _ = client.set_zero_linger();
            let _ = server.set_zero_linger();
        }
    }

    /// Reads from one end until it is done, which it tells once.
    async fn read(mut self, mut from: ReadHalf<'_>, chunks: mpsc::Sender<Chunk>, ended: impl Fn()) {
        let mut told = false;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            // Unread bytes stay in the sockets' buffers, as in those of a network that may come
            // back.
            tokio::select! {
                biased;
                () = self.open() => {}
                () = closed(&from), if !told => {
                    told = true;
                    ended();
                    continue;
                }
            }
            let length = tokio::select! {
                biased;
                _ = self.rules.changed() => continue,
                length = from.read(&mut buffer) => length.unwrap_or(0),
            };
            let chunk = buffer.get(..length).unwrap_or_default().to_vec();
            if chunk.is_empty() {
                if !told {
                    ended();
                }
                return;
            }
            let due = Instant::now() + self.rules.borrow().latency();
            if chunks.send((due, chunk)).await.is_err() {
                return;
            }
        }
    }

    /// Writes to the other end what was read, and what is sent in the reader's name.
    async fn write(
        mut self,
        mut chunks: mpsc::Receiver<Chunk>,
        mut injected: Option<broadcast::Receiver<Arc<[u8]>>>,
        mut to: WriteHalf<'_>,
    ) {
        loop {
            let injection = async {
                match &mut injected {
                    Some(injected) => injected.recv().await,
                    None => pending().await,
                }
            };
            let (due, bytes) = tokio::select! {
                biased;
                chunk = chunks.recv() => match chunk {
                    Some(chunk) => chunk,
                    None => break,
                },
                Ok(bytes) = injection => (Instant::now(), bytes.to_vec()),
            };
            sleep_until(due).await;
            if self.pass(&bytes, &mut to).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    }

    /// Writes bytes in pieces as large as the rules allow, which may change between two of them.
    async fn pass(&mut self, mut bytes: &[u8], to: &mut WriteHalf<'_>) -> io::Result<()> {
        while !bytes.is_empty() {
            self.open().await;
            let (at_most, pause) = self.rules.borrow().piece();
            let (piece, rest) = bytes.split_at(at_most.min(bytes.len()));
            to.write_all(piece).await?;
            bytes = rest;
            if pause > Duration::ZERO {
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = self.rules.changed() => {}
                }
            } else if !bytes.is_empty() {
                // So that the other end can read the piece by itself.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Waits until it may carry bytes.
    async fn open(&mut self) {
        let number = self.number;
        // Fails only when there is nobody who can change the rules; this connection could.
        let _ = self.rules.wait_for(|rules| !rules.swallows(number)).await;
    }
}

/// Waits until the other end of a connection that is not read has ended it. The system wakes nobody
/// for that while there are bytes to read.
async fn closed(from: &ReadHalf<'_>) {
    while let Ok(ready) = from.ready(Interest::READABLE).await {
        if ready.is_read_closed() {
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests;
