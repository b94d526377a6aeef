//! One socket, from its first message to its close.

use super::{Admitted, Live};
use crate::feed::Missed;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use contracts::Refused;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};

/// A message is taken by the other side's network within this, or the socket is too slow.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The other side answers a close within this, or the connection is dropped.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Looks in a row that may find the store of sessions away. It is often away together with the
/// feed, and that says better what clients should do.
const LOOKS_IN_VAIN_MAX: u32 = 3;

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The session is missing, not valid, or has ended.
    Refused,
    /// There are too many sockets.
    Full,
    /// What it needs can't be reached.
    Unavailable,
    /// It missed messages, or might have.
    Missed,
    /// This process stops.
    Away,
    /// The other side closed it or is gone.
    Gone,
}

impl End {
    fn frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Refused => (close_code::POLICY, "the session is not valid"),
            Self::Full => (close_code::AGAIN, "too many connections"),
            Self::Unavailable => (close_code::AGAIN, "not available, try again later"),
            Self::Missed => (
                close_code::RESTART,
                "connect again and fetch the notifications",
            ),
            Self::Away => (close_code::AWAY, "the server stops"),
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
    socket: WebSocket,
    heard: Instant,
}

impl Socket {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self {
            socket,
            heard: Instant::now(),
        }
    }

    /// Serves the socket until it ends, and closes it.
    pub(super) async fn serve(mut self, live: &Live, admitted: Result<Admitted, End>) {
        let end = match admitted {
            Ok(admitted) => {
                let open = metrics::gauge!("bank_live_sockets");
                open.increment(1.0);
                let end = tokio::select! {
                    () = live.feed.closing() => End::Away,
                    end = self.attend(live, admitted) => end,
                };
                open.decrement(1.0);
                end
            }
            Err(end) => end,
        };
        tracing::debug!(?end, "a socket ends");
        // A client that stays silent holds no task for long.
        let _ = timeout(CLOSE_WITHIN, self.close(end)).await;
    }

    async fn attend(&mut self, live: &Live, mut admitted: Admitted) -> End {
        let settings = &live.settings;
        let mut ping = every(settings.ping_every);
        let mut look = every(settings.look_every);
        let mut looks_in_vain = 0;
        loop {
            tokio::select! {
                told = admitted.seat.next() => match told {
                    Ok(text) => match self.send(Message::Text(text)).await {
                        Ok(()) => {}
                        Err(end) => return end,
                    },
                    Err(Missed) => return End::Missed,
                },
                said = self.socket.recv() => match said {
                    // What a client says does not matter, only that it lives.
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Text(_) | Message::Binary(_))) => {
                        self.heard = Instant::now();
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
                },
                _ = ping.tick() => {
                    if self.heard.elapsed() >= settings.silence_max {
                        return End::Missed;
                    }
                    if let Err(end) = self.send(Message::Ping(axum::body::Bytes::new())).await {
                        return end;
                    }
                }
                _ = look.tick() => match live.look(&admitted.session).await {
                    Ok(_) => looks_in_vain = 0,
                    Err(Refused::Unauthenticated | Refused::Forbidden) => return End::Refused,
                    Err(Refused::Unavailable) => {
                        looks_in_vain += 1;
                        if looks_in_vain == LOOKS_IN_VAIN_MAX {
                            return End::Unavailable;
                        }
                    }
                },
            }
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Missed),
        }
    }

    async fn close(&mut self, end: End) {
        if let Some(frame) = end.frame()
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
