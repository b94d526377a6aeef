//! Who is connected to this process. Each user has a ring of messages that their sockets read; one
//! that is too slow, or all when the subscription is lost, learn that they missed something.

use crate::told::Told;
use axum::extract::ws::Utf8Bytes;
use contracts::UserId;
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
const BEHIND_MAX: usize = 64;
/// A socket that comes while there is no subscription waits for it so long.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(3);

type Rings = HashMap<UserId, broadcast::Sender<Utf8Bytes>>;

/// The sockets of this process, by user.
pub(super) struct Listeners {
    rings: Mutex<Rings>,
    /// Whether what is published is heard here. Changed only under the lock of the rings, so that
    /// nobody takes a seat on which nothing would arrive.
    hearing: watch::Sender<bool>,
}

/// What a client gets.
#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: Uuid,
    message: &'a str,
    is_read: bool,
    created_at: Timestamp,
}

/// There is no seat for a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// The user has too many.
    Full,
    /// Nothing that is published would arrive.
    Deaf,
}

/// A socket's seat misses messages: it was too slow, or the subscription was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Missed;

impl Listeners {
    pub(super) fn new(hearing: bool) -> Self {
        Self {
            rings: Mutex::default(),
            hearing: watch::Sender::new(hearing),
        }
    }

    /// From now on, what is published is heard.
    pub(super) fn hears(&self) {
        let _rings = self.rings();
        self.hearing.send_replace(true);
    }

    /// What is published may be missed: everybody is told so.
    pub(super) fn is_deaf(&self) {
        let mut rings = self.rings();
        self.hearing.send_replace(false);
        rings.clear();
    }

    /// Hands a notification to its user's sockets, if there are some.
    pub(super) fn tell(&self, told: &Told) {
        let Some(ring) = self.rings().get(&told.user_id).cloned() else {
            return;
        };
        let message = Message {
            kind: "notification",
            id: told.id,
            message: &told.message,
            is_read: false,
            created_at: told.created_at,
        };
        match serde_json::to_string(&message) {
            // That nobody reads it any more is no error.
            Ok(text) => drop(ring.send(text.into())),
            Err(error) => tracing::error!(%error, "a notification can't be shown"),
        }
    }

    /// A seat for a socket of this user, unless they have `most`.
    pub(super) async fn seat(
        listeners: &Arc<Self>,
        user: UserId,
        most: usize,
    ) -> Result<Seat, NoSeat> {
        let mut hearing = listeners.hearing.subscribe();
        let heard = hearing.wait_for(|hearing| *hearing);
        // The outcome is looked at again under the lock. It is not held over the wait.
        let _ = timeout(SUBSCRIBED_WITHIN, heard).await.is_ok();
        let mut rings = listeners.rings();
        if !*listeners.hearing.borrow() {
            return Err(NoSeat::Deaf);
        }
        let ring = rings
            .entry(user)
            .or_insert_with(|| broadcast::Sender::new(BEHIND_MAX));
        if ring.receiver_count() >= most {
            return Err(NoSeat::Full);
        }
        Ok(Seat {
            user,
            messages: Some(ring.subscribe()),
            listeners: Arc::clone(listeners),
        })
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket's place in its user's ring.
pub(crate) struct Seat {
    user: UserId,
    /// Always there; taken when the seat is left.
    messages: Option<broadcast::Receiver<Utf8Bytes>>,
    listeners: Arc<Listeners>,
}

impl Seat {
    /// The next message, as it goes to the client. Dropped before it is ready, nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Utf8Bytes, Missed> {
        let messages = self.messages.as_mut().ok_or(Missed)?;
        messages.recv().await.map_err(|missed| match missed {
            RecvError::Lagged(_) | RecvError::Closed => Missed,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut rings = self.listeners.rings();
        drop(self.messages.take());
        if let Some(ring) = rings.get(&self.user)
            && ring.receiver_count() == 0
        {
            rings.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(user_id: UserId, message: &str) -> Told {
        Told {
            id: Uuid::now_v7(),
            user_id,
            message: message.to_owned(),
            created_at: Timestamp::now(),
        }
    }

    #[tokio::test]
    async fn the_last_to_leave_takes_the_ring_away() {
        let listeners = Arc::new(Listeners::new(true));
        let (ada, bob) = (UserId::new(), UserId::new());
        let first = Listeners::seat(&listeners, ada, 2).await.ok();
        let second = Listeners::seat(&listeners, ada, 2).await.ok();
        let third = Listeners::seat(&listeners, ada, 2).await.err();
        assert_eq!(third, Some(NoSeat::Full));
        let other = Listeners::seat(&listeners, bob, 2).await.ok();
        assert_eq!(listeners.rings().len(), 2);
        drop(first);
        assert_eq!(listeners.rings().len(), 2);
        drop((second, other));
        assert_eq!(listeners.rings().len(), 0);
    }

    #[tokio::test]
    async fn who_is_too_slow_learns_that_it_missed_something() {
        let listeners = Arc::new(Listeners::new(true));
        let ada = UserId::new();
        let mut seat = Listeners::seat(&listeners, ada, 1).await.ok().unwrap();
        for _ in 0..BEHIND_MAX {
            listeners.tell(&told(ada, "in time"));
        }
        assert!(seat.next().await.unwrap().contains("in time"));
        listeners.tell(&told(ada, "in time"));
        listeners.tell(&told(ada, "too much"));
        assert_eq!(seat.next().await, Err(Missed));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_sits_where_nothing_arrives() {
        let listeners = Arc::new(Listeners::new(false));
        let ada = UserId::new();
        let refused = Listeners::seat(&listeners, ada, 1).await.err();
        assert_eq!(refused, Some(NoSeat::Deaf));

        let waiting = Listeners::seat(&listeners, ada, 1);
        let (seat, ()) = tokio::join!(waiting, async { listeners.hears() });
        let mut seat = seat.ok().unwrap();
        listeners.is_deaf();
        assert_eq!(seat.next().await, Err(Missed));
        listeners.hears();
        assert_eq!(seat.next().await, Err(Missed), "nothing comes after a gap");
    }
}
