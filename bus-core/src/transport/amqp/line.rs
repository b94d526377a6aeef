//! The way to the broker: no channels, channels being opened, or channels.

use super::{
    channel::{ConfirmChannel, Progress},
    failure::Failure,
    link::Live,
    unconfirmed::UnconfirmedChannel,
};
use futures_util::future::BoxFuture;
use std::{
    future::{pending, poll_fn},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// The two channels of one connection: a publish waits on the one that fits it.
pub(super) struct Channels {
    pub(super) confirmed: Box<ConfirmChannel>,
    pub(super) unconfirmed: UnconfirmedChannel,
}

impl Channels {
    async fn open(pause: Duration, live: Arc<Live>) -> Result<Box<Self>, Failure> {
        tokio::time::sleep(pause).await;
        Ok(Box::new(Self {
            unconfirmed: UnconfirmedChannel::open(&live).await?,
            confirmed: ConfirmChannel::open(live).await?,
        }))
    }

    pub(super) fn live(&self) -> &Arc<Live> {
        self.confirmed.live()
    }

    pub(super) fn are_open(&self) -> bool {
        self.confirmed.is_open() && self.unconfirmed.is_open()
    }

    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        if let Poll::Ready(ended) = self.unconfirmed.poll_progress(cx) {
            return Poll::Ready(Progress::Resolved(ended));
        }
        self.confirmed.poll_progress(cx)
    }

    /// Ends both; see there.
    pub(super) fn give_up(self) {
        self.unconfirmed.give_up();
        self.confirmed.give_up();
    }
}

pub(super) enum Line {
    Down,
    Opening(BoxFuture<'static, Result<Box<Channels>, Failure>>),
    Up(Box<Channels>),
}

/// What a line came to next.
pub(super) enum Step {
    Opened(Result<Box<Channels>, Failure>),
    Progress(Progress),
}

impl Line {
    /// Channels on a connection, after a pause.
    pub(super) fn opening(pause: Duration, live: Arc<Live>) -> Self {
        Self::Opening(Box::pin(Channels::open(pause, live)))
    }

    /// Waits for the next step; for ever while there is no line.
    ///
    /// # Cancel safety
    /// Safe; it can be called again.
    pub(super) async fn next(&mut self) -> Step {
        match self {
            Self::Down => pending().await,
            Self::Opening(opening) => Step::Opened(opening.await),
            Self::Up(channels) => Step::Progress(poll_fn(|cx| channels.poll_progress(cx)).await),
        }
    }
}
