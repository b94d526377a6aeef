//! The live feed: what is stored anywhere reaches the sockets of its user everywhere, or the
//! sockets are closed so that their clients fetch the list.

mod channel;
mod subscribers;

pub(crate) use subscribers::{Interrupted, SubscribeError, Subscription};

use crate::NewNotification;
use channel::Channel;
use chassis::{Identity, Platform, User, identity::ended_channel};
use std::{fmt, future::Future, sync::Arc, time::Duration};
use subscribers::Subscribers;
use tokio::{sync::broadcast::error::RecvError, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// Sockets that are told to close are waited for so long.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Live notifications, as they are stored; clones share it. One is enough for a process, and a
/// process without Redis must not have two: they would not hear of each other.
#[derive(Clone)]
pub struct Feed(Arc<Inner>);

struct Inner {
    subscribers: Arc<Subscribers>,
    /// None within one process.
    channel: Option<Channel>,
    sockets: TaskTracker,
    closing: CancellationToken,
    /// The last clone that is dropped ends the subscription.
    _end: DropGuard,
}

impl Feed {
    /// The feed of this platform: over Redis, or within this process. It subscribes when the first
    /// socket comes.
    ///
    /// # Errors
    /// The address of Redis can't be read.
    pub fn open(platform: &Platform) -> anyhow::Result<Self> {
        let namespace = &platform.settings().namespace;
        let channel = match platform.redis()? {
            Some(client) => Some(Channel::new(client, namespace, ended_channel(namespace))?),
            None => None,
        };
        let closing = CancellationToken::new();
        Ok(Self(Arc::new(Inner {
            subscribers: Arc::new(Subscribers::new(channel.is_none())),
            channel,
            sockets: TaskTracker::new(),
            _end: closing.clone().drop_guard(),
            closing,
        })))
    }

    /// Closes all sockets of this process, with the code that says that it goes away (1001), and
    /// waits until they are closed, for a few seconds. To be called when what serves them stops;
    /// sockets that come later are closed at once.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, sockets close in the background.
    pub async fn close(&self) {
        self.0.closing.cancel();
        self.0.sockets.close();
        if timeout(CLOSE_WITHIN, self.0.sockets.wait()).await.is_err() {
            tracing::warn!(left = self.0.sockets.len(), "sockets are still open");
        }
    }

    /// Shows notifications to their users, wherever they are connected. Never fails: that it could
    /// not be done, for 3 s at most, is logged, and what is stored is in the list.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, they may be shown or not.
    pub async fn publish(&self, notifications: &[NewNotification]) {
        match &self.0.channel {
            None => {
                for notification in notifications {
                    self.0.subscribers.deliver(notification);
                }
            }
            Some(channel) => channel.publish(notifications).await,
        }
    }

    /// Subscribes one more socket of a user, who may have `max`. Waits for the connection to Redis,
    /// for a few seconds.
    pub(crate) async fn subscribe(
        &self,
        user: &User,
        max: usize,
    ) -> Result<Subscription, SubscribeError> {
        if let Some(channel) = &self.0.channel {
            channel.listen(&self.0.subscribers, &self.0.closing);
        }
        Subscribers::subscribe(&self.0.subscribers, user, max).await
    }

    /// Has the sockets of a session end with it, where sessions are known in this process alone.
    pub(crate) fn end_with_sessions_of(&self, identity: &Identity) {
        let Some(mut ended) = identity.ended_sessions() else {
            return;
        };
        let (subscribers, closing) = (Arc::clone(&self.0.subscribers), self.0.closing.clone());
        tokio::spawn(closing.run_until_cancelled_owned(async move {
            loop {
                match ended.recv().await {
                    Ok(session) => subscribers.end(session),
                    // Their sockets look for themselves, a little later.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        }));
    }

    /// Runs a socket; [`close`](Self::close) waits for it.
    pub(crate) async fn run<F: Future>(&self, socket: F) -> F::Output {
        self.0.sockets.track_future(socket).await
    }

    /// Waits until sockets are to be closed.
    pub(crate) async fn closing(&self) {
        self.0.closing.cancelled().await;
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed")
            .field("redis", &self.0.channel.is_some())
            .field("sockets", &self.0.sockets.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
