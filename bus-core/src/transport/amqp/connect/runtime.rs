//! tokio as lapin sees it, with the guarded stream in the place of a TCP connection: lapin takes
//! the type of its stream from its runtime.

use super::{frames::Notices, stream::GuardedStream};
use async_rs::{
    Runtime, Tokio,
    traits::Reactor,
    util::{DummyIO, RuntimeParts},
};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::AsyncTcpStream;
use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// A connection to the broker, with TLS or without.
pub(super) type Inner = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// The runtime that a connection of lapin works with.
pub(super) type GuardedRuntime = Runtime<RuntimeParts<Tokio, GuardedReactor>>;

/// The current runtime, on which streams are guarded.
pub(super) fn guarded(notices: Notices) -> GuardedRuntime {
    let tokio = Tokio::current();
    let reactor = GuardedReactor {
        tokio: tokio.clone(),
        notices,
    };
    Runtime::new(RuntimeParts::new(tokio, reactor))
}

/// The clock and the sockets of tokio.
#[derive(Debug, Clone)]
pub(super) struct GuardedReactor {
    tokio: Tokio,
    notices: Notices,
}

impl Reactor for GuardedReactor {
    type TcpStream = GuardedStream<Inner>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        // lapin has its sockets from where they are connected.
        Err::<DummyIO, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.tokio.sleep(time)
    }

    fn interval(&self, period: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(period)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.tokio.tcp_connect_addr(address);
        let notices = self.notices.clone();
        async move {
            let stream = AsyncTcpStream::Plain(connecting.await?);
            Ok(GuardedStream::new(stream, notices))
        }
    }
}
