//! The line without confirms: callers write to its channel themselves, past the publisher's task,
//! and leave to it what they can't write now.

use super::channel::DirectChannel;
use crate::transport::{
    Verdict,
    amqp::{
        connect::Link,
        publish::{
            job::{Job, drain_queue},
            line::Line,
            suspects::Suspects,
        },
    },
};
use futures_util::future::BoxFuture;
use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Arc, PoisonError, RwLock},
};

/// The channel that callers write to, while it is open.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallerChannel(Arc<RwLock<Option<Arc<DirectChannel>>>>);

impl CallerChannel {
    pub(crate) fn channel(&self) -> Option<Arc<DirectChannel>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, channel: Option<Arc<DirectChannel>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = channel;
    }
}

pub(crate) struct DirectLine {
    line: Line<Arc<DirectChannel>>,
    callers: CallerChannel,
    backlog: VecDeque<Job>,
}

impl DirectLine {
    pub(crate) fn new(callers: CallerChannel, suspects: Suspects) -> Self {
        let open = move |live| -> BoxFuture<'static, _> {
            let suspects = suspects.clone();
            Box::pin(async move { DirectChannel::open(live, suspects).await.map(Arc::new) })
        };
        Self {
            line: Line::new(open),
            callers,
            backlog: VecDeque::new(),
        }
    }

    pub(crate) fn push(&mut self, job: Job) {
        self.backlog.push_back(job);
    }

    /// Takes out what waits and `matches`.
    pub(crate) fn drain_where(&mut self, matches: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        drain_queue(&mut self.backlog, matches, &mut taken);
        taken
    }

    /// `true` if nothing waits to be written.
    pub(crate) fn is_idle(&self) -> bool {
        self.backlog.is_empty()
    }

    /// `true` if somebody asks about a message that was written.
    pub(crate) fn is_watched(&self) -> bool {
        self.line.up().is_some_and(|channel| channel.is_watched())
    }

    /// Brings the channel in line with the connection.
    pub(crate) fn follow(&mut self, link: &Link) {
        if let Some(live) = self.line.behind(link) {
            let last = self.line.move_to(live);
            self.lose(last);
        }
    }

    fn lose(&self, last: Option<Arc<DirectChannel>>) {
        self.callers.set(None);
        if let Some(channel) = last {
            channel.give_up();
        }
    }

    /// Writes what may be written now.
    pub(crate) fn write(&mut self) {
        if self.line.live().is_none_or(|live| live.is_blocked()) {
            return;
        }
        let Some(channel) = self.line.up() else {
            return;
        };
        while let Some(job) = self.backlog.pop_front() {
            if let Some(job) = channel.write(job, None) {
                self.backlog.push_front(job);
                return;
            }
        }
    }

    /// Opens the line to callers once its channel is up; waits for ever while there is none to
    /// open.
    ///
    /// # Cancel safety
    /// Safe; it can be called again.
    pub(crate) async fn opened(&mut self) {
        poll_fn(|cx| self.line.poll_opened(cx)).await;
        self.callers.set(self.line.up().cloned());
    }

    /// Takes what the broker returned.
    pub(crate) fn take_returned(&self) {
        if let Some(channel) = self.line.up() {
            channel.take_returned();
        }
    }

    /// Drops what is not worth writing any more, and replaces a channel that was closed.
    pub(crate) fn sweep(&mut self, is_over: impl Fn(&Job) -> bool) {
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
        for job in self.drain_where(which) {
            job.refuse(Verdict::NotWritten);
        }
    }

    /// Ends the line.
    fn end(&mut self) {
        let last = self.line.move_to(None);
        self.lose(last);
        self.refuse(|_| true);
    }
}

/// Also when the runtime ends under it: callers on another one would wait for nobody.
impl Drop for DirectLine {
    fn drop(&mut self) {
        self.end();
    }
}
