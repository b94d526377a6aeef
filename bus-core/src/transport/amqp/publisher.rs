//! The task that publishes, and the handle that feeds it.
//!
//! One task owns the channels, one with confirms and one without: lapin mixes up the confirms of a
//! channel that several tasks publish on. Messages wait in its queue, not in lapin's, so that they
//! can still be withdrawn and expire.

use super::{
    channel::{Admission, Progress},
    failure::Failure,
    line::{Channels, Line, Step},
    link::{Link, LinkState, Pauses},
    unconfirmed::UnconfirmedChannel,
    waiting::Waiting,
};
use crate::{
    limits,
    transport::{Outgoing, Receipt, Slip, Verdict},
};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often waiting messages are looked through for expired and abandoned ones.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// How often returned messages are looked for while calls wait: a call to a queue that does not
/// exist fails this much after the broker said so.
const RETURNS_EVERY: Duration = Duration::from_millis(5);

/// Messages taken from the queue before confirms are looked at again.
const BATCH: usize = 64;

/// The channel that is written to past the publisher's task, while it is open.
type Direct = Arc<RwLock<Option<Arc<UnconfirmedChannel>>>>;

/// A message, its slip, and its place among [`limits::UNCONFIRMED_MAX`].
pub(super) struct Job {
    pub(super) outgoing: Outgoing,
    pub(super) slip: Slip,
    pub(super) permit: OwnedSemaphorePermit,
}

impl Job {
    fn refuse(self, verdict: Verdict) {
        self.slip.fill(verdict);
    }
}

/// Feeds the publisher's task.
#[derive(Debug)]
pub(super) struct Publisher {
    link: Link,
    jobs: mpsc::UnboundedSender<Job>,
    direct: Direct,
    /// Tells the task that there is something to watch.
    written: Arc<Notify>,
    places: Arc<Semaphore>,
    drain: CancellationToken,
    tasks: TaskTracker,
    abandon: CancellationToken,
}

impl Publisher {
    /// Starts the task; it ends when `abandon` is cancelled, or after [`close`](Self::close).
    pub(super) fn start(link: Link, confirm_timeout: Duration, abandon: CancellationToken) -> Self {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let (direct, written) = (Direct::default(), Arc::new(Notify::new()));
        let drain = CancellationToken::new();
        let tasks = TaskTracker::new();
        let task = Task {
            link: link.clone(),
            jobs: receiver,
            waiting: Waiting::default(),
            line: Line::Down,
            direct: Arc::clone(&direct),
            written: Arc::clone(&written),
            pauses: Pauses::new(),
            confirm_timeout,
            patient_since: Instant::now(),
            drain: drain.clone(),
        };
        let abandoned = abandon.clone();
        tasks.spawn(async move { task.run(abandoned).await });
        tasks.close();
        Self {
            link,
            jobs,
            direct,
            written,
            places: Arc::new(Semaphore::new(limits::UNCONFIRMED_MAX)),
            drain,
            tasks,
            abandon,
        }
    }

    pub(super) fn publish(&self, outgoing: Outgoing) -> Receipt {
        let (slip, receipt) = Receipt::new();
        if self.link.is_blocked() {
            slip.fill(Verdict::Busy);
            return receipt;
        }
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            slip.fill(Verdict::Busy);
            return receipt;
        };
        let job = Job {
            outgoing,
            slip,
            permit,
        };
        if let Some(job) = self.write_now(job)
            && let Err(mpsc::error::SendError(job)) = self.jobs.send(job)
        {
            job.refuse(Verdict::NotWritten);
        }
        receipt
    }

    /// Writes a message that no confirm is wanted for, past the task. Gives it back if that can't be
    /// done now.
    fn write_now(&self, job: Job) -> Option<Job> {
        if job.outgoing.confirm || self.drain.is_cancelled() {
            return Some(job);
        }
        let channel = self
            .direct
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(channel) = channel else {
            return Some(job);
        };
        let refused = channel.write(job);
        if refused.is_none() {
            self.written.notify_one();
        }
        refused
    }

    /// Takes no more messages, lets those it has be confirmed, and ends the task.
    pub(super) async fn close(&self, within: Duration) {
        self.drain.cancel();
        if tokio::time::timeout(within, self.tasks.wait())
            .await
            .is_err()
        {
            self.abandon.cancel();
            self.tasks.wait().await;
        }
    }
}

struct Task {
    link: Link,
    jobs: mpsc::UnboundedReceiver<Job>,
    waiting: Waiting,
    line: Line,
    /// The open channel, for those who write past this task.
    direct: Direct,
    written: Arc<Notify>,
    /// A channel that keeps being closed, such as by publishes that are not permitted, is opened
    /// less and less often.
    pauses: Pauses,
    confirm_timeout: Duration,
    /// Time before this does not count against the broker: it had blocked us.
    patient_since: Instant,
    drain: CancellationToken,
}

enum Event {
    Link,
    Jobs(usize),
    Line(Step),
    Written,
    Sweep,
    Returns,
    Drain,
    Abandon,
}

impl Task {
    async fn run(mut self, abandon: CancellationToken) {
        let mut sweep = interval(sweep_every(self.confirm_timeout));
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut returns = interval(RETURNS_EVERY);
        returns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        let mut draining = false;
        self.follow_link();
        loop {
            self.write_waiting();
            let (idle, watched) = (self.is_idle(), self.is_watched());
            if draining && idle && self.jobs.is_empty() {
                break;
            }
            let event = tokio::select! {
                () = self.link.changed() => Event::Link,
                count = self.jobs.recv_many(&mut batch, BATCH), if !self.jobs.is_closed() || !self.jobs.is_empty() => Event::Jobs(count),
                step = self.line.next() => Event::Line(step),
                _ = sweep.tick(), if !idle || watched => Event::Sweep,
                _ = returns.tick(), if watched => Event::Returns,
                () = self.written.notified(), if !watched => Event::Written,
                () = self.drain.cancelled(), if !draining => Event::Drain,
                () = abandon.cancelled() => Event::Abandon,
            };
            match event {
                Event::Link => self.follow_link(),
                Event::Jobs(0) => draining = true, // The transport was dropped.
                Event::Jobs(_) => batch.drain(..).for_each(|job| self.waiting.push(job)),
                Event::Line(Step::Opened(opened)) => self.opened(opened),
                Event::Line(Step::Progress(progress)) => self.progress(progress),
                Event::Written => {} // Watching begins.
                Event::Sweep => self.sweep(),
                Event::Returns => {
                    if let Line::Up(channels) = &mut self.line {
                        channels.unconfirmed.take_returned();
                    }
                }
                Event::Drain => {
                    draining = true;
                    self.jobs.close();
                }
                Event::Abandon => break,
            }
        }
        self.end();
    }

    fn is_idle(&self) -> bool {
        let unconfirmed = match &self.line {
            Line::Up(channels) => channels.confirmed.unconfirmed(),
            Line::Down | Line::Opening(_) => 0,
        };
        self.waiting.is_empty() && unconfirmed == 0
    }

    /// Whether somebody asks about a message that was written without a confirm to come.
    fn is_watched(&self) -> bool {
        matches!(&self.line, Line::Up(channels) if channels.unconfirmed.is_watched())
    }

    /// Writes what may be written now.
    fn write_waiting(&mut self) {
        let Line::Up(channels) = &mut self.line else {
            return;
        };
        if channels.live().is_blocked() {
            return;
        }
        while let Some(job) = self.waiting.unconfirmed.pop_front() {
            if let Some(job) = channels.unconfirmed.write(job) {
                self.waiting.unconfirmed.push_front(job);
                break;
            }
        }
        while let Some(job) = self.waiting.confirmed.pop_front() {
            match channels.confirmed.admit(&job) {
                Admission::Now => channels.confirmed.write(job),
                Admission::Later => {
                    self.waiting.confirmed.push_front(job);
                    return;
                }
            }
        }
    }

    /// Brings the channel in line with the connection.
    fn follow_link(&mut self) {
        match self.link.state() {
            LinkState::Up(live) => {
                let same =
                    matches!(&self.line, Line::Up(channel) if Arc::ptr_eq(channel.live(), &live));
                if !same {
                    self.hang_up();
                    self.line = Line::opening(Duration::ZERO, live);
                }
            }
            LinkState::Down(_) | LinkState::Closed => self.hang_up(),
        }
    }

    fn open_direct(&self, channel: Option<Arc<UnconfirmedChannel>>) {
        *self.direct.write().unwrap_or_else(PoisonError::into_inner) = channel;
    }

    fn hang_up(&mut self) {
        self.open_direct(None);
        if let Line::Up(channel) = std::mem::replace(&mut self.line, Line::Down) {
            channel.give_up();
        }
    }

    fn opened(&mut self, opened: Result<Box<Channels>, Failure>) {
        match opened {
            Ok(channels) => {
                self.open_direct(Some(Arc::clone(&channels.unconfirmed)));
                self.line = Line::Up(channels);
            }
            Err(failure) => self.reopen(&failure.to_string()),
        }
    }

    /// Makes a new channel if the connection is still there; if not, the link will say so.
    fn reopen(&mut self, reason: &str) {
        self.hang_up();
        let LinkState::Up(live) = self.link.state() else {
            return;
        };
        tracing::warn!(reason, "lost the channel to publish on");
        self.line = Line::opening(self.pauses.next(), live);
    }

    fn progress(&mut self, progress: Progress) {
        match progress {
            Progress::Resolved(None) => self.pauses = Pauses::new(),
            Progress::Exchange { found: true, .. } => {}
            Progress::Resolved(Some(reason)) => self.reopen(&reason),
            Progress::Exchange { name, found: false } => {
                let is_lost = |job: &Job| job.outgoing.message.exchange == name;
                for job in self.waiting.drain_where(is_lost) {
                    job.refuse(Verdict::Unroutable);
                }
            }
        }
    }

    /// Drops what is not worth writing any more, and gives the connection up if the broker does
    /// not confirm.
    fn sweep(&mut self) {
        let now = Instant::now();
        let is_over = |job: &Job| {
            job.slip.abandoned()
                || job
                    .outgoing
                    .deadline
                    .is_some_and(|deadline| deadline <= now)
        };
        for job in self.waiting.drain_where(is_over) {
            job.refuse(Verdict::NotWritten);
        }
        let Line::Up(channels) = &mut self.line else {
            return;
        };
        channels.unconfirmed.forget_abandoned();
        if channels.live().is_blocked() {
            self.patient_since = now;
        } else if let Some(oldest) = channels.confirmed.oldest()
            && now.saturating_duration_since(oldest.max(self.patient_since)) > self.confirm_timeout
        {
            let live = Arc::clone(channels.live());
            live.fail(format!("no confirm within {:?}", self.confirm_timeout));
            self.hang_up();
        } else if !channels.are_open() {
            self.reopen("the broker closed it");
        }
    }

    fn end(mut self) {
        self.hang_up();
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            job.refuse(Verdict::NotWritten);
        }
        for job in self.waiting.drain_where(|_| true) {
            job.refuse(Verdict::NotWritten);
        }
    }
}

/// Often enough to notice a missing confirm in time.
fn sweep_every(confirm_timeout: Duration) -> Duration {
    (confirm_timeout / 4).clamp(Duration::from_millis(1), SWEEP_EVERY)
}
