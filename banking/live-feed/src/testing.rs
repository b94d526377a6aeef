//! A client and a server of `/ws`, for the tests.

use crate::{
    Feed, NewNotification,
    ws::{SocketLimits, router_within},
};
use axum::extract::ws::CloseCode;
use chassis::{
    Identity, Platform,
    identity::SessionStore,
    keys::Keys,
    settings::{PlatformSettings, Secret},
};
use contracts::UserId;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};
use uuid::Uuid;

/// Nothing takes so long.
pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A feed, as a process has it.
pub(crate) async fn feed(redis: Option<&str>, namespace: &str) -> Feed {
    let settings = PlatformSettings {
        namespace: namespace.to_owned(),
        redis_url: redis.map(|url| Secret::new(url.to_owned())),
        ..PlatformSettings::default()
    };
    Feed::open(&Platform::connect("test", settings).await.unwrap()).unwrap()
}

/// An identity that knows its sessions by itself.
pub(crate) fn identity() -> Identity {
    Identity::new("test", &Keys::draw().unwrap(), SessionStore::memory())
}

/// Serves a live router until the test ends.
pub(crate) async fn serve(identity: &Identity, feed: &Feed, limits: SocketLimits) -> SocketAddr {
    let router = router_within(identity.clone(), feed.clone(), Vec::new(), limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub(crate) fn notification(user_id: UserId, message: &str) -> NewNotification {
    NewNotification {
        id: Uuid::now_v7(),
        user_id,
        message: message.to_owned(),
        created_at: Timestamp::now(),
    }
}

/// A client of `/ws`.
pub(crate) struct Client(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(crate) async fn connect(address: SocketAddr, session: &str) -> Self {
        Self::open(&format!("ws://{address}/ws?session={session}")).await
    }

    pub(crate) async fn open(url: &str) -> Self {
        let opened = timeout(SOON, connect_async(url)).await;
        Self(opened.unwrap().unwrap().0)
    }

    /// The next message; none once the server closed.
    pub(crate) async fn message(&mut self) -> Option<serde_json::Value> {
        // Around all of it: each ping of the server is something that comes.
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    _ => return None,
                }
            }
        };
        timeout(SOON, next).await.unwrap()
    }

    /// Reads to the end; returns the code the server closed with.
    pub(crate) async fn closed(&mut self) -> Option<CloseCode> {
        let end = async {
            let mut code = None;
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Close(frame))) => code = frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return code,
                }
            }
        };
        timeout(SOON, end).await.unwrap()
    }
}
