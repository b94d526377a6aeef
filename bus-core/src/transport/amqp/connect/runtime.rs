//! tokio as lapin sees it, with the guarded stream in the place of a TCP connection: lapin takes
//! the type of its stream from its runtime.

use super::{frames::Notices, quiet, stream::GuardedStream};
use async_rs::{
    Runtime, Tokio,
    traits::{Executor, Reactor, RuntimeKit},
    util::{DummyIO, Task},
};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::AsyncTcpStream;
use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};
use tracing::{Dispatch, instrument::WithSubscriber};

/// A connection to the broker, with TLS or without.
pub(super) type Inner = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// The runtime that a connection of lapin works with.
pub(super) type GuardedRuntime = Runtime<GuardedKit>;

/// The current runtime, on which streams are guarded, and lapin is quiet.
pub(super) fn guarded(notices: Notices) -> GuardedRuntime {
    Runtime::new(GuardedKit {
        tokio: Tokio::current(),
        notices,
        quiet: quiet::dispatch(),
    })
}

/// The tasks, the clock and the sockets of tokio.
#[derive(Debug, Clone)]
pub(super) struct GuardedKit {
    tokio: Tokio,
    notices: Notices,
    quiet: Dispatch,
}

impl RuntimeKit for GuardedKit {}

impl Executor for GuardedKit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    /// Called by lapin on its own thread, before it does anything else there.
    fn block_on<T, F: Future<Output = T>>(&self, future: F) -> T {
        quiet::install(&self.quiet);
        self.tokio.block_on(future)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        future: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn(future.with_subscriber(self.quiet.clone()))
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        blocking: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(blocking)
    }
}

impl Reactor for GuardedKit {
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
