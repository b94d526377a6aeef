//! The way to the broker for one kind of message: no channel, one being opened, or one.

use crate::transport::amqp::connect::{Backoff, Failure, Link, LinkState, Live};
use futures_util::future::BoxFuture;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// Opens a channel on a connection.
type Open<C> = Box<dyn Fn(Arc<Live>) -> BoxFuture<'static, Result<C, Failure>> + Send>;

/// One channel that is always being kept up, as long as there is a connection.
pub(super) struct Line<C> {
    open: Open<C>,
    live: Option<Arc<Live>>,
    state: State<C>,
    /// A channel that keeps being closed, such as by publishes that are not permitted, is opened
    /// less and less often.
    backoff: Backoff,
    opened: Instant,
}

enum State<C> {
    Down,
    Opening(BoxFuture<'static, Result<C, Failure>>),
    Up(C),
}

impl<C: Send + 'static> Line<C> {
    pub(super) fn new(
        open: impl Fn(Arc<Live>) -> BoxFuture<'static, Result<C, Failure>> + Send + 'static,
    ) -> Self {
        Self {
            open: Box::new(open),
            live: None,
            state: State::Down,
            backoff: Backoff::new(),
            opened: Instant::now(),
        }
    }

    /// The connection it is on, if there is one.
    pub(super) fn live(&self) -> Option<&Arc<Live>> {
        self.live.as_ref()
    }

    pub(super) fn up(&self) -> Option<&C> {
        match &self.state {
            State::Up(channel) => Some(channel),
            State::Down | State::Opening(_) => None,
        }
    }

    pub(super) fn up_mut(&mut self) -> Option<&mut C> {
        match &mut self.state {
            State::Up(channel) => Some(channel),
            State::Down | State::Opening(_) => None,
        }
    }

    /// The connection to move to, `None` if there is none; nothing if it is on that already.
    pub(super) fn behind(&self, link: &Link) -> Option<Option<Arc<Live>>> {
        let there = match link.state() {
            LinkState::Up(live) => Some(live),
            LinkState::Down(_) | LinkState::Closed => None,
        };
        let same = match (&self.live, &there) {
            (Some(here), Some(there)) => Arc::ptr_eq(here, there),
            (None, None) => true,
            _ => false,
        };
        (!same).then_some(there)
    }

    /// Moves to another connection; gives back the channel on the last one.
    pub(super) fn move_to(&mut self, live: Option<Arc<Live>>) -> Option<C> {
        self.live = live;
        let last = self.hang_up();
        self.open_after(Duration::ZERO);
        last
    }

    /// Opens another channel on the same connection, after a pause; gives back the present one.
    pub(super) fn replace(&mut self) -> Option<C> {
        let last = self.hang_up();
        if last.is_some() {
            self.backoff.lost_after(self.opened.elapsed());
        }
        let pause = self.backoff.next();
        self.open_after(pause);
        last
    }

    /// As [`replace`](Self::replace), at once: for a channel whose end was to be expected.
    pub(super) fn replace_now(&mut self) -> Option<C> {
        let last = self.hang_up();
        self.open_after(Duration::ZERO);
        last
    }

    fn hang_up(&mut self) -> Option<C> {
        match std::mem::replace(&mut self.state, State::Down) {
            State::Up(channel) => Some(channel),
            State::Down | State::Opening(_) => None,
        }
    }

    fn open_after(&mut self, pause: Duration) {
        if let Some(live) = &self.live {
            let opening = (self.open)(Arc::clone(live));
            self.state = State::Opening(Box::pin(async move {
                tokio::time::sleep(pause).await;
                opening.await
            }));
        }
    }

    /// Waits until a channel that was being opened is up.
    pub(super) fn poll_opened(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let State::Opening(opening) = &mut self.state {
            match ready!(opening.as_mut().poll(cx)) {
                Ok(channel) => {
                    self.state = State::Up(channel);
                    self.opened = Instant::now();
                    return Poll::Ready(());
                }
                Err(failure) => {
                    // If it is the connection that failed, the link will say so.
                    tracing::warn!(%failure, "can't open a channel to publish on");
                    self.replace();
                }
            }
        }
        Poll::Pending
    }
}
