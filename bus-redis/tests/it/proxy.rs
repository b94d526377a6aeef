//! A way to a server that can go dead without being closed.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// Connections made before this generation swallow what they are given.
    alive_from: watch::Sender<u64>,
    accepted: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", super::server::free_port()))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let alive_from = watch::Sender::new(0);
        let accepted = Arc::new(AtomicU64::new(0));
        let (generations, counter) = (alive_from.subscribe(), Arc::clone(&accepted));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let generation = *generations.borrow();
                counter.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
                    continue;
                };
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let alive = generations.clone();
                tokio::spawn(pump(from_client, to_server, generation, alive.clone()));
                tokio::spawn(pump(from_server, to_client, generation, alive));
            }
        });
        Self {
            address,
            alive_from,
            accepted,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// What is connected now goes dead but stays open; what connects later works.
    pub(crate) fn swallow_connected(&self) {
        self.alive_from.send_modify(|generation| *generation += 1);
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    generation: u64,
    alive_from: watch::Receiver<u64>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if generation >= *alive_from.borrow() && to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    if generation < *alive_from.borrow() {
        // Neither end learns that the other is gone.
        std::future::pending::<()>().await;
    }
}
