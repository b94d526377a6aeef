//! One channel without confirms, for messages whose fate shows by itself: the caller waits for a
//! reply. The broker does not have to say that it has them, which spares a lone call a sixth of its
//! time and a persistent one nearly half, and only what went wrong is told.

use super::{
    channel::{Ready, id_of, publish},
    confirms::Confirms,
    failure::Failure,
    link::Live,
    publisher::Job,
};
use crate::transport::{Slip, Verdict};
use futures_util::FutureExt;
use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
};

/// Publishes that lapin holds unwritten at once: see [`super::channel`].
const WINDOW: usize = 512;

pub(super) struct UnconfirmedChannel {
    channel: Arc<lapin::Channel>,
    /// Writes that are not done; without confirm mode they resolve when the frames are out.
    writes: Confirms,
    writing: usize,
    order: u64,
    /// By `message_id`, those somebody still asks about.
    watched: HashMap<String, Slip>,
}

impl UnconfirmedChannel {
    pub(super) async fn open(live: &Live) -> Result<Self, Failure> {
        Ok(Self {
            channel: Arc::new(live.channel().await?),
            writes: Confirms::default(),
            writing: 0,
            order: 0,
            watched: HashMap::new(),
        })
    }

    /// Whether the broker has left it open.
    pub(super) fn is_open(&self) -> bool {
        self.channel.status().connected()
    }

    /// Whether the channel takes a message now.
    pub(super) fn admits(&self) -> bool {
        self.writing < WINDOW && self.is_open()
    }

    /// Whether anybody still asks.
    pub(super) fn is_watched(&self) -> bool {
        !self.watched.is_empty()
    }

    /// Writes a message, unless it was withdrawn or does not fit into AMQP.
    pub(super) fn write(&mut self, job: Job) {
        let Some(Ready {
            id,
            encoded,
            mandatory,
            slip,
            permit,
        }) = job.ready()
        else {
            return;
        };
        // It is counted by its caller from here on, who has a place to wait in.
        drop(permit);
        self.order += 1;
        self.writing += 1;
        let write = publish(Arc::clone(&self.channel), encoded, mandatory);
        self.writes.start(self.order, write);
        self.watched.insert(id, slip);
    }

    /// Waits for writes to be done; `Some` if the channel has ended, with the reason.
    pub(super) fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Option<String>> {
        let Poll::Ready(round) = self.writes.poll_round(cx) else {
            return Poll::Pending;
        };
        self.writing = self.writing.saturating_sub(round.len());
        let failed = round.into_iter().find_map(|(_, write)| write.err());
        Poll::Ready(failed.map(|error| Failure::from(error).to_string()))
    }

    /// Takes what the broker returned; lapin tells nobody when it comes.
    pub(super) fn take_returned(&mut self) {
        // Ready at once: outside confirm mode there is nothing to wait for.
        let returned = self.channel.wait_for_confirms().now_or_never();
        for message in returned.and_then(Result::ok).into_iter().flatten() {
            if let Some(slip) = id_of(&message).and_then(|id| self.watched.remove(&id)) {
                slip.fill(Verdict::Unroutable);
            }
        }
    }

    /// Forgets those nobody asks about any more: their replies came, or their time was up.
    pub(super) fn forget_abandoned(&mut self) {
        self.watched.retain(|_, slip| !slip.abandoned());
    }

    /// Ends the channel: nobody knows what became of what was written to it.
    pub(super) fn give_up(self) {
        for slip in self.watched.into_values() {
            slip.fill(Verdict::Lost);
        }
    }
}
