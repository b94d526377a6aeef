//! One connection while it is up, as those who work on it see it.

use super::{
    failure::{Failure, FailureKind, is_of_one_channel},
    frames::{ChannelClose, Marker, Notices},
    socket::Socket,
};
use crate::limits::CONNECT_TIMEOUT;
use lapin::{Connection, ConnectionStatus};
use std::{
    fmt,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout, timeout_at},
};

/// A connection that is up, until it is not.
pub(crate) struct Live {
    connection: Connection,
    socket: Socket,
    notices: Notices,
    blocked: watch::Sender<Option<Arc<str>>>,
    broken: mpsc::Sender<String>,
    /// Numbers of channels that can't be had again on this connection.
    spoiled: AtomicU16,
}

impl Live {
    /// Takes over an open connection. Reasons to drop it come out of the receiver.
    pub(super) fn over(
        connection: Connection,
        socket: Socket,
        notices: Notices,
    ) -> (Self, mpsc::Receiver<String>) {
        let (broken, reasons) = mpsc::channel(1);
        let live = Self {
            connection,
            socket,
            notices,
            blocked: watch::Sender::default(),
            broken,
            spoiled: AtomicU16::new(0),
        };
        (live, reasons)
    }

    /// Asks for the connection to be dropped and made anew.
    fn fail(&self, reason: impl Into<String>) {
        // When one reason is on its way already, another adds nothing.
        let _ = self.broken.try_send(reason.into());
    }

    /// The sign of content headers on this connection that were replaced.
    pub(crate) fn marker(&self) -> &Marker {
        &self.notices.marker
    }

    /// The reason why the broker closed `channel`, if it did.
    pub(crate) fn close_of(&self, channel: &lapin::Channel) -> Option<ChannelClose> {
        self.notices.closes.of(channel.id())
    }

    /// The reason why the broker takes no messages on this connection, if it does not.
    pub(crate) fn blocked(&self) -> Option<Arc<str>> {
        self.blocked.borrow().clone()
    }

    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.borrow().is_some()
    }

    /// Notes that the broker takes no messages, or takes them again.
    pub(super) fn block(&self, reason: Option<String>) {
        match &reason {
            Some(reason) => tracing::warn!(reason, "RabbitMQ takes no messages for now"),
            None => tracing::info!("RabbitMQ takes messages again"),
        }
        self.blocked.send_replace(reason.map(Into::into));
    }

    pub(super) fn status(&self) -> &ConnectionStatus {
        self.connection.status()
    }

    /// Asks the broker to end the connection, and waits until it agrees.
    pub(super) async fn close(&self) {
        // What can't be closed is closed already.
        let _ = self.connection.close(200, "closed".into()).await;
    }

    /// Ends the connection without asking.
    pub(super) fn cut(&self) {
        self.socket.cut();
    }

    /// A new channel, within [`CONNECT_TIMEOUT`].
    pub(crate) async fn channel(&self) -> Result<lapin::Channel, Failure> {
        let opened = self.answer(self.open_channel()).await;
        opened.map_err(|failure| self.explained(failure))
    }

    /// A new channel, however long the broker takes, which says nothing of the connection.
    pub(crate) async fn channel_without_bound(&self) -> Result<lapin::Channel, Failure> {
        let opened = self.open_channel().await;
        opened.map_err(|error| self.explained(error.into()))
    }

    /// A new channel. The number of one that the broker closed, such as over a queue that is not there,
    /// has its error for ever in lapin 4.12: whoever is given it again is told that error, and the number
    /// is lost. The next one is taken.
    async fn open_channel(&self) -> lapin::Result<lapin::Channel> {
        loop {
            match self.connection.create_channel().await {
                // Nothing that the broker says of an opened channel: there was none.
                Err(error) if is_of_one_channel(&error) => {
                    self.spoiled.fetch_add(1, Ordering::Relaxed);
                }
                opened => return opened,
            }
        }
    }

    /// The failure to open a channel, which names the limit if it is that. If numbers were lost a new
    /// connection has all of them.
    fn explained(&self, failure: Failure) -> Failure {
        if failure.kind != FailureKind::Exhausted {
            return failure;
        }
        match self.spoiled.load(Ordering::Relaxed) {
            0 => Failure::exhausted(self.connection.configuration().channel_max()),
            spoiled => {
                let reason =
                    format!("{spoiled} channels were closed by the broker, and no more are left");
                self.fail(reason.clone());
                Failure::transient(reason)
            }
        }
    }

    /// The broker's answer to a request that it can answer itself, such as to open a channel. None
    /// in [`CONNECT_TIMEOUT`] means that the connection is dead, whatever TCP says; but while the
    /// broker has blocked it, it reads nothing, and that says nothing of the connection.
    pub(crate) async fn answer<T>(
        &self,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            answer = request => Ok(answer?),
            () = silence(self.blocked.subscribe()) => {
                let reason = format!("no answer within {CONNECT_TIMEOUT:?}");
                self.fail(reason.clone());
                Err(Failure::transient(reason))
            }
        }
    }

    /// The broker's answer to a request that a queue must answer. That can take as long as it likes
    /// while the connection, which others use too, is seen to be alive: until it has come or
    /// `until` is over. The same request is waited for all the time: another would take another
    /// channel, which can't be closed before the queue answers.
    pub(crate) async fn answer_about_queue<T>(
        &self,
        queue: &str,
        until: Option<Instant>,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Failure> {
        let mut request = pin!(request);
        let started = Instant::now();
        loop {
            let patience = Instant::now() + CONNECT_TIMEOUT;
            let wake = until.map_or(patience, |until| until.min(patience));
            if let Ok(answer) = timeout_at(wake, &mut request).await {
                return Ok(answer?);
            }
            let probe = self.channel().await?;
            let _ = self.answer(probe.close(200, "alive".into())).await;
            if until.is_some_and(|until| until <= Instant::now()) {
                return Err(Failure::silent(queue));
            }
            let waited = started.elapsed();
            tracing::warn!(
                queue,
                ?waited,
                "the queue does not answer, the connection does"
            );
        }
    }
}

/// Ends when an answer was due: the broker has read for [`CONNECT_TIMEOUT`] without a break.
async fn silence(mut blocked: watch::Receiver<Option<Arc<str>>>) {
    loop {
        // Fails only without a connection, of which nobody expects an answer.
        let _ = blocked.wait_for(Option::is_none).await;
        if timeout(CONNECT_TIMEOUT, blocked.wait_for(Option::is_some))
            .await
            .is_err()
        {
            return;
        }
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_due_only_while_the_broker_reads() {
        let blocked = watch::Sender::new(None);
        let start = Instant::now();
        let almost = CONNECT_TIMEOUT - Duration::from_millis(1);
        let broker = async {
            tokio::time::sleep(almost).await;
            blocked.send_replace(Some("low on memory".into()));
            tokio::time::sleep(10 * CONNECT_TIMEOUT).await;
            blocked.send_replace(None);
        };
        tokio::join!(silence(blocked.subscribe()), broker);
        assert_eq!(start.elapsed(), almost + 11 * CONNECT_TIMEOUT);
    }
}
