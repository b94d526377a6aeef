//! Those who are connected to this process. Each user has a bounded broadcast channel that their
//! sockets read; one that is too slow, or all when the connection to Redis is lost, learn that they
//! missed something, and those of a session that it has ended.

use crate::NewNotification;
use axum::extract::ws::Utf8Bytes;
use chassis::{User, identity::EndedSession};
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

type Senders = HashMap<UserId, broadcast::Sender<News>>;

/// Something that the sockets of a user learn.
#[derive(Debug, Clone)]
enum News {
    /// A message for all of them, as it goes to the client.
    Message(Utf8Bytes),
    /// One of the user's sessions has ended.
    Ended(Uuid),
}

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

/// The reason why a subscription is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupted {
    /// It missed messages: it was too slow, or the connection was lost.
    Missed,
    /// Its session has ended.
    Ended,
}

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
            Ok(text) => drop(sender.send(News::Message(text.into()))),
            Err(error) => tracing::error!(%error, "a notification can't be shown"),
        }
    }

    /// Tells the sockets of a user that one of their sessions has ended.
    pub(super) fn end(&self, ended: EndedSession) {
        if let Some(sender) = self.senders().get(&ended.user_id) {
            // That nobody reads it any more is no error.
            let _ = sender.send(News::Ended(ended.session));
        }
    }

    /// Subscribes a socket of this user, unless they have `max`.
    pub(super) async fn subscribe(
        subscribers: &Arc<Self>,
        user: &User,
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
            .entry(user.id)
            .or_insert_with(|| broadcast::Sender::new(LAG_MAX));
        if sender.receiver_count() >= max {
            return Err(SubscribeError::TooMany);
        }
        Ok(Subscription {
            user: user.id,
            session: user.session,
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
    session: Uuid,
    /// Always there; taken when the subscription is dropped.
    messages: Option<broadcast::Receiver<News>>,
    subscribers: Arc<Subscribers>,
}

impl Subscription {
    /// The next message, as it goes to the client. Dropped before it is ready, nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Utf8Bytes, Interrupted> {
        let messages = self.messages.as_mut().ok_or(Interrupted::Missed)?;
        loop {
            match messages.recv().await {
                Ok(News::Message(text)) => return Ok(text),
                Ok(News::Ended(session)) if session == self.session => {
                    return Err(Interrupted::Ended);
                }
                Ok(News::Ended(_)) => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => return Err(Interrupted::Missed),
            }
        }
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

    fn user() -> User {
        User {
            id: UserId::new(),
            username: "ada".to_owned(),
            session: Uuid::new_v4(),
        }
    }

    #[tokio::test]
    async fn the_last_to_leave_takes_the_channel_away() {
        let subscribers = Arc::new(Subscribers::new(true));
        let (ada, bob) = (user(), user());
        let first = Subscribers::subscribe(&subscribers, &ada, 2).await.ok();
        let second = Subscribers::subscribe(&subscribers, &ada, 2).await.ok();
        let third = Subscribers::subscribe(&subscribers, &ada, 2).await.err();
        assert_eq!(third, Some(SubscribeError::TooMany));
        let other = Subscribers::subscribe(&subscribers, &bob, 2).await.ok();
        assert_eq!(subscribers.senders().len(), 2);
        drop(first);
        assert_eq!(subscribers.senders().len(), 2);
        drop((second, other));
        assert_eq!(subscribers.senders().len(), 0);
    }

    #[tokio::test]
    async fn who_is_too_slow_learns_that_it_missed_something() {
        let subscribers = Arc::new(Subscribers::new(true));
        let ada = user();
        let mut slow = Subscribers::subscribe(&subscribers, &ada, 1)
            .await
            .ok()
            .unwrap();
        for _ in 0..LAG_MAX {
            subscribers.deliver(&notification(ada.id, "in time"));
        }
        assert!(slow.next().await.unwrap().contains("in time"));
        subscribers.deliver(&notification(ada.id, "in time"));
        subscribers.deliver(&notification(ada.id, "too much"));
        assert_eq!(slow.next().await, Err(Interrupted::Missed));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_subscribes_where_nothing_arrives() {
        let subscribers = Arc::new(Subscribers::new(false));
        let ada = user();
        let refused = Subscribers::subscribe(&subscribers, &ada, 1).await.err();
        assert_eq!(refused, Some(SubscribeError::Disconnected));

        let waiting = Subscribers::subscribe(&subscribers, &ada, 1);
        let (subscribed, ()) = tokio::join!(waiting, async { subscribers.connected() });
        let mut subscription = subscribed.ok().unwrap();
        subscribers.disconnected();
        assert_eq!(subscription.next().await, Err(Interrupted::Missed));
        subscribers.connected();
        assert_eq!(
            subscription.next().await,
            Err(Interrupted::Missed),
            "nothing comes after a gap"
        );
    }
}
