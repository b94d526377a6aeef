//! Publishing: the handle that takes messages, and the task that owns the two lines they leave by.
//!
//! One line has confirms and the other has none. One task owns both: lapin mixes up the confirms of
//! a channel that several tasks publish on. Messages wait in its queue, not in lapin's, so that
//! they can still be withdrawn and expire. Neither line waits for the other, nor is lost with it.

mod complaint;
mod confirmed;
mod direct;
mod job;
mod line;
mod suspects;

pub(super) use job::Later;

use self::{
    confirmed::{ConfirmedLine, Step},
    direct::{CallerChannel, DirectLine},
    job::Job,
    suspects::Suspects,
};
use crate::{
    limits::UNCONFIRMED_MAX,
    transport::{Departure, DirectPublish, Outgoing, Receipt, Slip, Verdict, amqp::connect::Link},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The period at which waiting messages are looked through for expired and abandoned ones.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The period at which returned messages are looked for while calls wait: a call to a queue that
/// does not exist fails this much after the broker said so.
const RETURNS_EVERY: Duration = Duration::from_millis(5);

/// Messages taken from the queue before confirms are looked at again.
const BATCH: usize = 64;

/// Messages in lapin's hands on one channel at once: without confirms the unwritten ones, with them
/// the unconfirmed ones. Enough to keep the broker busy, few enough that little of what lapin holds
/// is stale once a blocked connection writes again.
const IN_FLIGHT_MAX: usize = 512;

/// Messages that may wait to be tried apart. Each takes a round trip, and a channel if it is
/// refused: beyond them messages of their kind are refused as busy, so that they leave others their
/// places.
const TRIALS_MAX: usize = 256;

/// Feeds the publisher's task.
#[derive(Debug)]
pub(super) struct Publisher {
    link: Link,
    jobs: mpsc::UnboundedSender<Job>,
    direct: CallerChannel,
    /// Tells the task that there is something to watch.
    written: Arc<Notify>,
    permits: Arc<Semaphore>,
    suspects: Suspects,
    drain: CancellationToken,
    tasks: TaskTracker,
    abandon: CancellationToken,
}

impl Publisher {
    /// Starts the task; it ends when `abandon` is cancelled, or after [`close`](Self::close).
    pub(super) fn start(link: Link, confirm_timeout: Duration, abandon: CancellationToken) -> Self {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let (direct, written) = (CallerChannel::default(), Arc::new(Notify::new()));
        let drain = CancellationToken::new();
        let tasks = TaskTracker::new();
        let suspects = Suspects::default();
        let task = Task {
            link: link.clone(),
            jobs: receiver,
            confirmed: ConfirmedLine::new(confirm_timeout, suspects.clone()),
            direct: DirectLine::new(direct.clone(), suspects.clone()),
            trial: ConfirmedLine::trial(confirm_timeout, suspects.clone()),
            suspects: suspects.clone(),
            written: Arc::clone(&written),
            sweep_every: sweep_every(confirm_timeout),
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
            permits: Arc::new(Semaphore::new(UNCONFIRMED_MAX)),
            suspects,
            drain,
            tasks,
            abandon,
        }
    }

    pub(super) fn publish(&self, outgoing: Outgoing) -> Receipt {
        let (job, receipt) = self.take_in(outgoing, None);
        if let Some(job) = job.and_then(|job| self.write_now(job, None)) {
            push(&self.jobs, job);
        }
        receipt
    }

    /// Publishes a message that waits on the broker first.
    pub(super) fn publish_later(&self, outgoing: Outgoing, later: Later) -> Receipt {
        let (job, receipt) = self.take_in(outgoing, Some(later));
        if let Some(job) = job {
            push(&self.jobs, job);
        }
        receipt
    }

    /// The same, when its way was made; or not, with the verdict if that fails.
    pub(super) fn publish_later_after(
        &self,
        way: impl Future<Output = Result<(), Verdict>> + Send + 'static,
        outgoing: Outgoing,
        later: Later,
    ) -> Receipt {
        let (job, receipt) = self.take_in(outgoing, Some(later));
        if let Some(job) = job {
            let (jobs, abandon) = (self.jobs.clone(), self.abandon.clone());
            self.tasks.spawn(async move {
                let made = tokio::select! {
                    made = way => made,
                    () = abandon.cancelled() => Err(Verdict::NotWritten),
                };
                match made {
                    Ok(()) => push(&jobs, job),
                    Err(verdict) => job.refuse(verdict),
                }
            });
        }
        receipt
    }

    /// A message as the publisher's task takes it; `None` if it is refused for load.
    fn take_in(&self, outgoing: Outgoing, later: Option<Later>) -> (Option<Job>, Receipt) {
        let (slip, receipt) = Receipt::pair();
        if self.link.is_blocked() {
            slip.fill(Verdict::Busy);
            return (None, receipt);
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            slip.fill(Verdict::Busy);
            return (None, receipt);
        };
        let job = Job {
            outgoing,
            later,
            slip,
            permit,
        };
        (Some(job), receipt)
    }

    /// Writes a message that no confirm is wanted for, past the task. Gives it back if that can't
    /// be done now.
    fn write_now(&self, job: Job, departure: Option<Departure>) -> Option<Job> {
        if job.outgoing.confirm || self.drain.is_cancelled() {
            return Some(job);
        }
        if self.suspects.holds(&job.outgoing.message) {
            return Some(job);
        }
        let Some(channel) = self.direct.channel() else {
            return Some(job);
        };
        let refused = channel.write(job, departure);
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

impl DirectPublish for Publisher {
    fn is_open(&self) -> bool {
        !self.link.is_blocked()
            && self
                .direct
                .channel()
                .is_some_and(|channel| channel.is_open())
    }

    fn write(
        &self,
        outgoing: Outgoing,
        slip: Slip,
        departure: Departure,
    ) -> Option<(Outgoing, Slip)> {
        if self.link.is_blocked() {
            return Some((outgoing, slip));
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            return Some((outgoing, slip));
        };
        let job = Job {
            outgoing,
            later: None,
            slip,
            permit,
        };
        let refused = self.write_now(job, Some(departure))?;
        Some((refused.outgoing, refused.slip))
    }
}

/// Hands a job to the task, if it still takes any.
fn push(jobs: &mpsc::UnboundedSender<Job>, job: Job) {
    if let Err(mpsc::error::SendError(job)) = jobs.send(job) {
        job.refuse(Verdict::NotWritten);
    }
}

struct Task {
    link: Link,
    jobs: mpsc::UnboundedReceiver<Job>,
    confirmed: ConfirmedLine,
    direct: DirectLine,
    /// A publish that the broker may refuse by closing its channel.
    trial: ConfirmedLine,
    suspects: Suspects,
    written: Arc<Notify>,
    sweep_every: Duration,
    drain: CancellationToken,
}

/// The reasons for the task to wake up.
enum Wake {
    Link,
    Jobs(usize),
    Confirmed(Step),
    Trial(Step),
    Opened,
    Written,
    Sweep,
    Returns,
    Drain,
    Abandon,
}

impl Task {
    async fn run(mut self, abandon: CancellationToken) {
        let mut sweep = interval(self.sweep_every);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut returns = interval(RETURNS_EVERY);
        returns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        let mut draining = false;
        self.follow_link();
        loop {
            self.set_suspects_apart();
            self.confirmed.write();
            self.direct.write();
            self.trial.write();
            let idle = self.confirmed.is_idle() && self.direct.is_idle() && self.trial.is_idle();
            let watched = self.direct.is_watched();
            if draining && idle && self.jobs.is_empty() {
                break;
            }
            let wake = tokio::select! {
                () = self.link.changed() => Wake::Link,
                count = self.jobs.recv_many(&mut batch, BATCH), if !self.jobs.is_closed() || !self.jobs.is_empty() => Wake::Jobs(count),
                step = self.confirmed.next() => Wake::Confirmed(step),
                step = self.trial.next() => Wake::Trial(step),
                () = self.direct.opened() => Wake::Opened,
                _ = sweep.tick(), if !idle || watched => Wake::Sweep,
                _ = returns.tick(), if watched => Wake::Returns,
                () = self.written.notified(), if !watched => Wake::Written,
                () = self.drain.cancelled(), if !draining => Wake::Drain,
                () = abandon.cancelled() => Wake::Abandon,
            };
            match wake {
                Wake::Link => self.follow_link(),
                Wake::Jobs(0) => draining = true, // The transport was dropped.
                Wake::Jobs(_) => batch.drain(..).for_each(|job| self.push(job)),
                Wake::Confirmed(step) => self.confirmed.take(step),
                Wake::Trial(step) => self.trial.take(step),
                Wake::Opened | Wake::Written => {} // There is something to write, or to watch.
                Wake::Sweep => self.sweep(),
                Wake::Returns => self.direct.take_returned(),
                Wake::Drain => {
                    draining = true;
                    self.jobs.close();
                }
                Wake::Abandon => break,
            }
        }
        self.end();
    }

    fn push(&mut self, job: Job) {
        if self.suspects.holds(&job.outgoing.message) {
            self.try_apart(job);
        } else if job.outgoing.confirm {
            self.confirmed.push(job);
        } else {
            self.direct.push(job);
        }
    }

    /// Moves what waits and has become suspect.
    fn set_suspects_apart(&mut self) {
        if !self.suspects.take_changed() {
            return;
        }
        let suspects = self.suspects.clone();
        let is_suspect = |job: &Job| suspects.holds(&job.outgoing.message);
        let mut apart = self.confirmed.drain_where(is_suspect);
        apart.extend(self.direct.drain_where(is_suspect));
        apart.into_iter().for_each(|job| self.try_apart(job));
    }

    fn try_apart(&mut self, job: Job) {
        if self.trial.waiting() < TRIALS_MAX {
            self.trial.push(job);
        } else {
            job.refuse(Verdict::Busy);
        }
    }

    fn follow_link(&mut self) {
        self.confirmed.follow(&self.link);
        self.direct.follow(&self.link);
        self.trial.follow(&self.link);
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        let is_over = |job: &Job| job.is_over(now);
        self.confirmed.sweep(now, is_over);
        self.direct.sweep(is_over);
        self.trial.sweep(now, is_over);
    }

    fn end(mut self) {
        self.confirmed.end();
        self.trial.end();
        self.jobs.close();
        while let Ok(job) = self.jobs.try_recv() {
            job.refuse(Verdict::NotWritten);
        }
    }
}

/// Often enough to notice a missing confirm in time.
fn sweep_every(confirm_timeout: Duration) -> Duration {
    (confirm_timeout / 4).clamp(Duration::from_millis(1), SWEEP_EVERY)
}
