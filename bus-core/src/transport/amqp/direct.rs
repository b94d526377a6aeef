//! The line that is not confirmed: callers write to its channel themselves, past the publisher's
//! task, and leave to it what they can't write now.

use super::{
    line::Line, link::Link, publisher::Job, unconfirmed::UnconfirmedChannel, waiting::drain_line,
};
use crate::transport::Verdict;
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, PoisonError, RwLock},
};

/// The channel that callers write to, while it is open.
#[derive(Debug, Clone, Default)]
pub(super) struct Direct(Arc<RwLock<Option<Arc<UnconfirmedChannel>>>>);

impl Direct {
    pub(super) fn channel(&self) -> Option<Arc<UnconfirmedChannel>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, channel: Option<Arc<UnconfirmedChannel>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = channel;
    }
}

pub(super) struct DirectLine {
    line: Line<Arc<UnconfirmedChannel>>,
    direct: Direct,
    waiting: VecDeque<Job>,
}

impl DirectLine {
    pub(super) fn new(direct: Direct) -> Self {
        Self {
            line: Line::new(|live| {
                Box::pin(async move { UnconfirmedChannel::open(&live).await.map(Arc::new) })
            }),
            direct,
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether somebody asks about a message that was written.
    pub(super) fn is_watched(&self) -> bool {
        self.line.up().is_some_and(|channel| channel.is_watched())
    }

    /// Brings the channel in line with the connection.
    pub(super) fn follow(&mut self, link: &Link) {
        if let Some(live) = self.line.behind(link) {
            let last = self.line.move_to(live);
            self.lose(last);
        }
    }

    fn lose(&self, last: Option<Arc<UnconfirmedChannel>>) {
        self.direct.set(None);
        if let Some(channel) = last {
            channel.give_up();
        }
    }

    /// Writes what may be written now.
    pub(super) fn write(&mut self) {
        if self.line.live().is_none_or(|live| live.is_blocked()) {
            return;
        }
        let Some(channel) = self.line.up() else {
            return;
        };
        while let Some(job) = self.waiting.pop_front() {
            if let Some(job) = channel.write(job) {
                self.waiting.push_front(job);
                return;
            }
        }
    }

    /// Opens the line to callers once its channel is up; waits for ever while there is none to
    /// open.
    ///
    /// # Cancel safety
    /// Safe; it can be called again.
    pub(super) async fn opened(&mut self) {
        poll_fn(|cx| self.line.poll_opened(cx)).await;
        self.direct.set(self.line.up().cloned());
    }

    /// Takes what the broker returned.
    pub(super) fn take_returned(&self) {
        if let Some(channel) = self.line.up() {
            channel.take_returned();
        }
    }

    /// Drops what is not worth writing any more, and replaces a channel that was closed.
    pub(super) fn sweep(&mut self, is_over: impl Fn(&Job) -> bool) {
        self.refuse(is_over);
        let Some(channel) = self.line.up() else {
            return;
        };
        channel.forget_abandoned();
        if self.line.live().is_none_or(|live| live.is_blocked()) || channel.is_open() {
            return;
        }
        tracing::warn!("lost the channel that calls are published on");
        let last = self.line.replace();
        self.lose(last);
    }

    fn refuse(&mut self, which: impl Fn(&Job) -> bool) {
        let mut taken = Vec::new();
        drain_line(&mut self.waiting, which, &mut taken);
        for job in taken {
            job.refuse(Verdict::NotWritten);
        }
    }

    /// Ends the line.
    pub(super) fn end(&mut self) {
        let last = self.line.move_to(None);
        self.lose(last);
        self.refuse(|_| true);
    }
}
