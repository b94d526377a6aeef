//! Those who are connected to this process. Each user has a bounded broadcast channel that their
//! sockets read; one that is too slow, or all when the connection to Redis is lost, learn that they
//! missed something.

use crate::NewNotification;
use axum::extract::ws::Utf8Bytes;
use contracts::{UserId, shown};
use jiff::Timestamp;
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    time::timeout,
};
use uuid::Uuid;

/// Messages that a slow socket may be behind.
const LAG_MAX: usize = 64;
/// A socket that comes while there is no connection waits for it so long.
const CONNECTED_WITHIN: Duration = Duration::from_secs(3);

type Senders = HashMap<UserId, broadcast::Sender<Utf8Bytes>>;

/// The subscriptions of this process, by user.
pub(super) struct Subscribers {
    senders: Mutex<Senders>,
    /// `true` while what is published arrives here. Changed only under the lock of the senders, so
    /// that nobody subscribes to what would never arrive.
    connected: watch::Sender<bool>,
}

/// A notification as its client gets it.
#[derive(Serialize)]
struct Message {
    #[serde(rename = "type")]
    kind: &'static str,
    id: Uuid,
    message: String,
    is_read: bool,
    created_at: Timestamp,
}

/// The reason why a socket can't subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SubscribeError {
    /// The user has too many subscriptions.
    TooMany,
    /// Nothing that is published would arrive.
    Disconnected,
}

/// A subscription missed messages: it was too slow, or the connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed;

impl Subscribers {
    pub(super) fn new(connected: bool) -> Self {
        Self {
            senders: Mutex::default(),
            connected: watch::Sender::new(connected),
        }
    }

    /// From now on, what is published arrives.
    pub(super) fn connected(&self) {
        let _senders = self.senders();
        self.connected.send_replace(true);
    }

    /// What is published may be missed: everybody is told so.
    pub(super) fn disconnected(&self) {
        let mut senders = self.senders();
        self.connected.send_replace(false);
        senders.clear();
    }

    /// Hands a notification to its user's sockets, if there are some. It comes from wherever the
    /// channel of Redis may be written to.
    pub(super) fn deliver(&self, notification: &NewNotification) {
        let Some(sender) = self.senders().get(&notification.user_id).cloned() else {
            return;
        };
        let message = Message {
            kind: "notification",
            id: notification.id,
            message: shown(&notification.message),
            is_read: false,
            created_at: notification.created_at,
        };
        match serde_json::to_string(&message) {
            // That nobody reads it any more is no error.
            Ok(text) => drop(sender.send(text.into())),
            Err(error) => tracing::error!(%error, "a notification can't be shown"),
        }
    }

    /// Subscribes a socket of this user, unless they have `max`.
    pub(super) async fn subscribe(
        subscribers: &Arc<Self>,
        user: UserId,
        max: usize,
    ) -> Result<Subscription, SubscribeError> {
        let mut connected = subscribers.connected.subscribe();
        let connecting = connected.wait_for(|connected| *connected);
        // The outcome is looked at again under the lock. It is not held over the wait.
        let _ = timeout(CONNECTED_WITHIN, connecting).await.is_ok();
        let mut senders = subscribers.senders();
        if !*subscribers.connected.borrow() {
            return Err(SubscribeError::Disconnected);
        }
        let sender = senders
            .entry(user)
            .or_insert_with(|| broadcast::Sender::new(LAG_MAX));
        if sender.receiver_count() >= max {
            return Err(SubscribeError::TooMany);
        }
        Ok(Subscription {
            user,
            messages: Some(sender.subscribe()),
            subscribers: Arc::clone(subscribers),
        })
    }

    fn senders(&self) -> MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages of one socket.
pub(crate) struct Subscription {
    user: UserId,
    /// Always there; taken when the subscription is dropped.
    messages: Option<broadcast::Receiver<Utf8Bytes>>,
    subscribers: Arc<Subscribers>,
}

impl Subscription {
    /// The next message, as it goes to the client. Dropped before it is ready, nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Utf8Bytes, Missed> {
        let messages = self.messages.as_mut().ok_or(Missed)?;
        messages.recv().await.map_err(|missed| match missed {
            RecvError::Lagged(_) | RecvError::Closed => Missed,
        })
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut senders = self.subscribers.senders();
        drop(self.messages.take());
        if let Some(sender) = senders.get(&self.user)
            && sender.receiver_count() == 0
        {
            senders.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::notification;

    #[tokio::test]
    async fn the_last_to_leave_takes_the_channel_away() {
        let subscribers = Arc::new(Subscribers::new(true));
        let (ada, bob) = (UserId::new(), UserId::new());
        let first = Subscribers::subscribe(&subscribers, ada, 2).await.ok();
        let second = Subscribers::subscribe(&subscribers, ada, 2).await.ok();
        let third = Subscribers::subscribe(&subscribers, ada, 2).await.err();
        assert_eq!(third, Some(SubscribeError::TooMany));
        let other = Subscribers::subscribe(&subscribers, bob, 2).await.ok();
        assert_eq!(subscribers.senders().len(), 2);
        drop(first);
        assert_eq!(subscribers.senders().len(), 2);
        drop((second, other));
        assert_eq!(subscribers.senders().len(), 0);
    }

    #[tokio::test]
    async fn who_is_too_slow_learns_that_it_missed_something() {
        let subscribers = Arc::new(Subscribers::new(true));
        let ada = UserId::new();
        let mut slow = Subscribers::subscribe(&subscribers, ada, 1)
            .await
            .ok()
            .unwrap();
        for _ in 0..LAG_MAX {
            subscribers.deliver(&notification(ada, "in time"));
        }
        assert!(slow.next().await.unwrap().contains("in time"));
        subscribers.deliver(&notification(ada, "in time"));
        subscribers.deliver(&notification(ada, "too much"));
        assert_eq!(slow.next().await, Err(Missed));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_subscribes_where_nothing_arrives() {
        let subscribers = Arc::new(Subscribers::new(false));
        let ada = UserId::new();
        let refused = Subscribers::subscribe(&subscribers, ada, 1).await.err();
        assert_eq!(refused, Some(SubscribeError::Disconnected));

        let waiting = Subscribers::subscribe(&subscribers, ada, 1);
        let (subscribed, ()) = tokio::join!(waiting, async { subscribers.connected() });
        let mut subscription = subscribed.ok().unwrap();
        subscribers.disconnected();
        assert_eq!(subscription.next().await, Err(Missed));
        subscribers.connected();
        assert_eq!(
            subscription.next().await,
            Err(Missed),
            "nothing comes after a gap"
        );
    }
}
