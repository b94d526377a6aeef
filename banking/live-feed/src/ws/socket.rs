//! One socket, from its first message to its close.

use super::{Admitted, MESSAGES_MAX, Sockets};
use crate::feed::{Interrupted, Subscription};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use chassis::http::Taken;
use contracts::Refused;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// A message is taken by the other side's network within this, or the socket is too slow.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The other side answers a close within this, or the connection is dropped.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Looks at a session in a row that may find the store of sessions away. It is often away together
/// with the feed, and that says better what clients should do.
const UNVERIFIED_MAX: u32 = 3;

/// The reason why a socket is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// The session is missing, not valid, or has ended.
    Refused,
    /// There are too many sockets.
    TooMany,
    /// The client says more than any needs to.
    TooMuch,
    /// What it needs can't be reached.
    Unavailable,
    /// It missed messages, or might have.
    Missed,
    /// This process stops.
    Stopping,
    /// The other side closed it or is gone.
    Gone,
}

impl CloseReason {
    /// That of a session that was refused.
    pub(super) fn of(refused: Refused) -> Self {
        match refused {
            Refused::Unauthenticated | Refused::Forbidden => Self::Refused,
            Refused::Unavailable => Self::Unavailable,
        }
    }

    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Refused => (close_code::POLICY, "the session is not valid"),
            Self::TooMuch => (close_code::POLICY, "too many messages"),
            Self::TooMany => (close_code::AGAIN, "too many connections"),
            Self::Unavailable => (close_code::AGAIN, "not available, try again later"),
            Self::Missed => (
                close_code::RESTART,
                "connect again and fetch the notifications",
            ),
            Self::Stopping => (close_code::AWAY, "the server stops"),
            Self::Gone => return None,
        };
        Some(CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        })
    }
}

/// A socket that is open.
pub(super) struct Socket {
    /// Of its connection. Before the socket itself, so that whoever sees its end finds it free.
    taken: Option<Taken>,
    socket: WebSocket,
    heard: Instant,
}

impl Socket {
    pub(super) fn new(socket: WebSocket, taken: Option<Taken>) -> Self {
        Self {
            taken,
            socket,
            heard: Instant::now(),
        }
    }

    /// Serves the socket until it ends, and closes it.
    pub(super) async fn serve(
        mut self,
        sockets: &Sockets,
        admitted: Result<Admitted, CloseReason>,
    ) {
        // It is counted among the sockets until it is closed; one that is refused is not, and goes on
        // to take one of the connections.
        let (reason, _permit) = match admitted {
            Ok(Admitted {
                session,
                subscription,
                permit,
            }) => {
                self.taken = self.taken.map(Taken::of_address);
                let open = metrics::gauge!("bank_live_sockets");
                open.increment(1.0);
                let reason = tokio::select! {
                    () = sockets.feed.closing() => CloseReason::Stopping,
                    reason = self.attend(sockets, &session, subscription) => reason,
                };
                open.decrement(1.0);
                (reason, Some(permit))
            }
            Err(reason) => (reason, None),
        };
        tracing::debug!(?reason, "a socket is closed");
        // A client that stays silent holds no task for long.
        let _ = timeout(CLOSE_WITHIN, self.close(reason)).await;
    }

    async fn attend(
        &mut self,
        sockets: &Sockets,
        session: &str,
        mut subscription: Subscription,
    ) -> CloseReason {
        let limits = &sockets.limits;
        let mut ping = every(limits.ping_every);
        let mut verify = every(limits.verify_every);
        let (mut unverified, mut said) = (0, 0);
        loop {
            tokio::select! {
                message = subscription.next() => match message {
                    Ok(text) => match self.send(Message::Text(text)).await {
                        Ok(()) => {}
                        Err(reason) => return reason,
                    },
                    Err(Interrupted::Missed) => return CloseReason::Missed,
                    Err(Interrupted::Ended) => return CloseReason::Refused,
                },
                received = self.socket.recv() => match received {
                    // What a client says does not matter, only that it lives.
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_) | Message::Binary(_))) => {
                        self.heard = Instant::now();
                        said += 1;
                        if said > MESSAGES_MAX {
                            return CloseReason::TooMuch;
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return CloseReason::Gone,
                },
                _ = ping.tick() => {
                    said = 0;
                    if self.heard.elapsed() >= limits.silence_max {
                        return CloseReason::Missed;
                    }
                    if let Err(reason) = self.send(Message::Ping(axum::body::Bytes::new())).await {
                        return reason;
                    }
                }
                _ = verify.tick() => match sockets.verify(session).await {
                    Ok(_) => unverified = 0,
                    Err(Refused::Unauthenticated | Refused::Forbidden) => {
                        return CloseReason::Refused;
                    }
                    Err(Refused::Unavailable) => {
                        unverified += 1;
                        if unverified == UNVERIFIED_MAX {
                            return CloseReason::Unavailable;
                        }
                    }
                },
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), CloseReason> {
        match timeout(SEND_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(CloseReason::Gone),
            Err(_) => Err(CloseReason::Missed),
        }
    }

    async fn close(&mut self, reason: CloseReason) {
        if let Some(frame) = reason.frame()
            && self.socket.send(Message::Close(Some(frame))).await.is_err()
        {
            return;
        }
        // The answer to a close is written by reading on. And a connection that is dropped before
        // the other side has read all may lose the code.
        while let Some(Ok(_)) = self.socket.recv().await {}
    }
}

/// Ticks, the first time after one period.
fn every(period: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
