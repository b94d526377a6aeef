//! A TCP proxy that breaks connections the way networks do.

use crate::servers::ReservedPort;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream, lookup_host,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use url::Url;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// Chunks of one direction that may be on their way.
const CHUNKS_MAX: usize = 1024;

/// Between two attempts to listen again.
const REBIND_EVERY: Duration = Duration::from_millis(10);

/// What the proxy does with connections.
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
}

/// A proxy in front of one server. Dropped, it resets its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    accepting: JoinHandle<()>,
}

/// What holds at the moment, for connections numbered in the order they were accepted.
#[derive(Debug, Clone, Copy)]
struct Rules {
    mode: Mode,
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
        let (rules, _) = watch::channel(Rules {
            mode: Mode::Pass,
            accepted: 0,
            cut_up_to: 0,
            swallowed_up_to: 0,
        });
        let accepting = tokio::spawn(accept(listener, port, server, rules.clone()));
        Ok(Self {
            address,
            rules,
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

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does, for connections that are open and for new ones.
    pub fn set(&self, mode: Mode) {
        self.rules.send_modify(|rules| {
            rules.mode = mode;
            match mode {
                Mode::Cut | Mode::Refuse => rules.cut_up_to = rules.accepted,
                Mode::SwallowOld => rules.swallowed_up_to = rules.accepted,
                Mode::Pass | Mode::Swallow | Mode::Latency(_) => {}
            }
        });
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.rules.borrow().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.set(Mode::Refuse);
        self.accepting.abort();
    }
}

/// Accepts connections until aborted.
async fn accept(
    listener: TcpListener,
    port: ReservedPort,
    server: SocketAddr,
    rules: watch::Sender<Rules>,
) {
    let mut listener = Some(listener);
    let mut changes = rules.subscribe();
    loop {
        if changes.borrow_and_update().mode == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(port.address()).await.ok();
            if listener.is_none() {
                // The port is reserved: what is in the way is a socket that is being closed.
                tokio::time::sleep(REBIND_EVERY).await;
                continue;
            }
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let client = tokio::select! {
            Ok((client, _)) = accepted => client,
            _ = changes.changed() => continue,
        };
        rules.send_modify(|rules| rules.accepted += 1);
        let (number, rules) = (rules.borrow().accepted, rules.subscribe());
        tokio::spawn(serve(client, server, number, rules));
    }
}

/// Carries one connection until both ends are done or it is cut.
async fn serve(
    mut client: TcpStream,
    server: SocketAddr,
    number: u64,
    mut rules: watch::Receiver<Rules>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        let _ = client.set_zero_linger();
        return;
    };
    // What is delayed is delayed on purpose.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let cut = {
        let (there, back) = (rules.clone(), rules.clone());
        tokio::select! {
            _ = rules.wait_for(|rules| rules.cut_up_to >= number) => true,
            _ = async {
                tokio::join!(
                    forward(from_client, to_server, number, there),
                    forward(from_server, to_client, number, back),
                )
            } => false,
        }
    };
    if cut {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

/// Carries one direction to its end.
async fn forward(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    number: u64,
    rules: watch::Receiver<Rules>,
) {
    let (chunks, mut arrived) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let mut at_entry = rules.clone();
    let read = async move {
        let mut buffer = vec![0; CHUNK_BYTES];
        // Unread bytes stay in the sockets' buffers, as in those of a network that may come back.
        while open(&mut at_entry, number).await {
            let length = tokio::select! {
                biased;
                _ = at_entry.changed() => continue,
                length = from.read(&mut buffer) => length.unwrap_or(0),
            };
            let chunk = buffer.get(..length).unwrap_or_default().to_vec();
            let due = Instant::now() + at_entry.borrow().latency();
            if chunk.is_empty() || chunks.send((due, chunk)).await.is_err() {
                return;
            }
        }
    };
    let mut at_exit = rules;
    let write = async move {
        while let Some((due, chunk)) = arrived.recv().await {
            tokio::time::sleep_until(due).await;
            if !open(&mut at_exit, number).await || to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

/// Waits until the connection may carry bytes; `false` if the proxy is gone.
async fn open(rules: &mut watch::Receiver<Rules>, number: u64) -> bool {
    rules
        .wait_for(|rules| !rules.swallows(number))
        .await
        .is_ok()
}

#[cfg(test)]
mod tests;
