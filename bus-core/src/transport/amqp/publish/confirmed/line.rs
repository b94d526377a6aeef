//! The line with confirms: the messages that wait for it, the channel they are written to, and the
//! one before that.
//!
//! A queue that is stuck confirms nothing, and says nothing of the connection, which others share.
//! So when confirms are overdue the channel is replaced, on the same connection: opening the new
//! one is what shows whether the connection is alive. The old one retires. Others of its messages
//! may still be confirmed, until only overdue ones are left.

use super::{
    backlog::Backlog,
    channel::{Admission, ConfirmedChannel, Progress},
};
use crate::transport::{
    Verdict,
    amqp::{
        connect::Link,
        publish::{
            IN_FLIGHT_MAX,
            job::{Job, id_of},
            line::Line,
            suspects::Suspects,
        },
    },
};
use futures_util::future::BoxFuture;
use std::{
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

pub(crate) struct ConfirmedLine {
    line: Line<Box<ConfirmedChannel>>,
    retiring: Option<Box<ConfirmedChannel>>,
    backlog: Backlog,
    confirm_timeout: Duration,
    /// Messages are written one by one, each to be refused by itself.
    is_trial: bool,
    /// Time before this does not count against the broker: it had blocked us.
    patient_since: Instant,
}

/// The next thing that happened on the line.
pub(crate) enum Step {
    Opened,
    Progress(Progress),
    Retiring(Progress),
}

impl ConfirmedLine {
    /// The line of all messages with confirms.
    pub(crate) fn new(confirm_timeout: Duration, suspects: Suspects) -> Self {
        Self::of_window(IN_FLIGHT_MAX, confirm_timeout, suspects)
    }

    /// The line of messages that the broker may refuse by closing their channel.
    pub(crate) fn trial(confirm_timeout: Duration, suspects: Suspects) -> Self {
        Self::of_window(1, confirm_timeout, suspects)
    }

    fn of_window(window: usize, confirm_timeout: Duration, suspects: Suspects) -> Self {
        let open = move |live| -> BoxFuture<'static, _> {
            Box::pin(ConfirmedChannel::open(live, suspects.clone(), window))
        };
        Self {
            line: Line::new(open),
            retiring: None,
            backlog: Backlog::default(),
            confirm_timeout,
            is_trial: window == 1,
            patient_since: Instant::now(),
        }
    }

    pub(crate) fn push(&mut self, job: Job) {
        self.backlog.push(job);
    }

    /// `true` if nothing waits, neither to be written nor for a verdict.
    pub(crate) fn is_idle(&self) -> bool {
        let mut channels = self.line.up().into_iter().chain(&self.retiring);
        self.backlog.is_empty() && channels.all(|channel| channel.unconfirmed() == 0)
    }

    /// Brings the channel in line with the connection.
    pub(crate) fn follow(&mut self, link: &Link) {
        if let Some(live) = self.line.behind(link) {
            let last = self.line.move_to(live);
            self.lose(last);
        }
    }

    /// Gives up the channels of a connection that is gone.
    fn lose(&mut self, last: Option<Box<ConfirmedChannel>>) {
        for channel in [last, self.retiring.take()].into_iter().flatten() {
            channel.give_up();
        }
        self.backlog.release();
    }

    /// Writes what may be written now.
    pub(crate) fn write(&mut self) {
        if self.line.live().is_none_or(|live| live.is_blocked()) {
            return;
        }
        let Some(channel) = self.line.up_mut() else {
            return;
        };
        while channel.has_slot()
            && let Some(job) = self.backlog.take()
        {
            match channel.admit(&job) {
                Admission::Now => {
                    let id = id_of(&job.outgoing.message.properties).cloned();
                    channel.write(job);
                    // One that was withdrawn is not on its way.
                    if let Some(id) = id
                        && !channel.carries(&id)
                    {
                        self.backlog.free(id);
                    }
                }
                Admission::Behind(id) => self.backlog.set_behind(id, job),
                Admission::Asking => self.backlog.set_asking(job),
            }
        }
    }

    /// Waits for the next step; for ever while there is no line.
    ///
    /// # Cancel safety
    /// Safe; it can be called again.
    pub(crate) async fn next(&mut self) -> Step {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(retiring) = &mut self.retiring
            && let Poll::Ready(progress) = retiring.poll_progress(cx)
        {
            return Poll::Ready(Step::Retiring(progress));
        }
        match self.line.up_mut() {
            Some(channel) => channel.poll_progress(cx).map(Step::Progress),
            None => self.line.poll_opened(cx).map(|()| Step::Opened),
        }
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Opened | Step::Retiring(Progress::Exchange { .. }) => {}
            Step::Retiring(Progress::Resolved { ended, .. }) => {
                let is_done = |channel: &mut Box<ConfirmedChannel>| {
                    ended.is_some() || channel.unconfirmed() == 0
                };
                if let Some(channel) = self.retiring.take_if(is_done) {
                    channel.give_up();
                }
            }
            Step::Progress(Progress::Resolved { ids, ended }) => {
                ids.into_iter().for_each(|id| self.backlog.free(id));
                if let Some(reason) = ended {
                    self.reopen(&reason);
                }
            }
            Step::Progress(Progress::Exchange { name, found }) => {
                if !found {
                    let is_lost = |job: &Job| job.outgoing.message.exchange == name;
                    self.refuse(Verdict::Unroutable, is_lost);
                }
                self.backlog.unset_asking();
            }
        }
    }

    /// Drops what is not worth writing any more, and replaces a channel whose confirms are overdue.
    pub(crate) fn sweep(&mut self, now: Instant, is_over: impl Fn(&Job) -> bool) {
        self.refuse(Verdict::NotWritten, is_over);
        let Some(live) = self.line.live() else {
            return;
        };
        if live.is_blocked() {
            self.patient_since = now;
            return;
        }
        let is_overdue = |written: Instant| {
            let waits = now.saturating_duration_since(written.max(self.patient_since));
            waits > self.confirm_timeout
        };
        let is_done = |channel: &mut Box<ConfirmedChannel>| {
            !channel.is_open() || channel.newest().is_none_or(is_overdue)
        };
        if let Some(channel) = self.retiring.take_if(is_done) {
            channel.give_up();
        }
        let Some(channel) = self.line.up() else {
            return;
        };
        if channel.oldest().is_some_and(is_overdue) {
            self.retire();
        } else if !channel.is_open() {
            self.reopen("the broker closed it");
        }
    }

    /// Replaces the channel and waits on for those of its confirms that are not overdue.
    fn retire(&mut self) {
        tracing::warn!(
            "no confirm within {:?}: publishing on another channel",
            self.confirm_timeout
        );
        let Some(mut last) = self.line.replace() else {
            return;
        };
        last.retire();
        if let Some(older) = self.retiring.replace(last) {
            older.give_up();
        }
        self.backlog.release();
    }

    /// Makes a new channel if the connection is still there.
    fn reopen(&mut self, reason: &str) {
        tracing::warn!(reason, "lost the channel to publish on");
        let last = match self.is_trial {
            true => self.line.replace_now(),
            false => self.line.replace(),
        };
        if let Some(last) = last {
            last.give_up();
        }
        self.backlog.release();
    }

    fn refuse(&mut self, verdict: Verdict, which: impl Fn(&Job) -> bool) {
        for job in self.backlog.drain_where(which) {
            job.refuse(verdict.clone());
        }
    }

    /// Messages that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.backlog.len()
    }

    /// Takes out what waits and `matches`.
    pub(crate) fn drain_where(&mut self, matches: impl Fn(&Job) -> bool) -> Vec<Job> {
        self.backlog.drain_where(matches)
    }

    /// Ends the line.
    pub(crate) fn end(&mut self) {
        let last = self.line.move_to(None);
        self.lose(last);
        self.refuse(Verdict::NotWritten, |_| true);
    }
}
